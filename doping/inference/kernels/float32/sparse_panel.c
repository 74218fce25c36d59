/* Products of the sparse part S with a panel of 8 vectors: each has a lane, so nothing is gathered. */
#include "sparse_entries.h"

#ifndef DOPED_SMALL

/* The values of some entries from k on, entry after entry, as floats: where they are; or four widened into a buffer. */
INLINE const float *values_from(const doped_matrix *m, size_t k, const int block, const int narrow, float *buffer) {
    if (!narrow)
        return (const float *)m->values + (size_t)block * k;
    for (int place = 0; place < 4; place++) {
        if (block == 8)
            store(buffer + 8 * place, widened(*(const lanes_bits *)((const int8_t *)m->values + 8 * k), place));
        else
            *(quad *)(buffer + 4 * place) = widened4(*(const quad_bits *)((const int8_t *)m->values + 4 * k), place);
    }
    return buffer;
}

INLINE void slices_of_panel(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                            const int narrow) {
    const size_t at_once = narrow ? 4 : 1;
    for (int group = begin; group < end; group++) {
        float buffer[32];
        lanes sum[8] = {{0}};
        for (size_t k = m->offsets[group]; k < m->offsets[group + 1]; k += at_once) {
            const float *values = values_from(m, k, 8, narrow, buffer);
            for (size_t n = 0; n < 8 * at_once; n += 8)
                for (size_t i = 0; i < 8; i++)
                    sum[i] += values[n + i] * load(x + LANES * (size_t)one_index(m->indices, 8 * k + n + i, wide));
        }
        int rows = minimum(8, m->rows - 8 * group), wide_order = m->rows > 1 << 16;
        for (int i = 0; i < rows; i++) {
            float *to = y + LANES * (size_t)one_index(m->order, (size_t)(8 * group + i), wide_order);
            store(to, load(to) + sum[i] * (narrow ? m->value_scales[8 * group + i] : 1));
        }
    }
}

INLINE void row_blocks_of_panel(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                                const int narrow) {
    const size_t at_once = narrow ? 4 : 1;
    for (int group = begin; group < end; group++) {
        float buffer[32];
        lanes sum[8] = {{0}};
        for (size_t k = m->offsets[group]; k < m->offsets[group + 1]; k += at_once) {
            const float *values = values_from(m, k, 8, narrow, buffer);
            for (size_t n = 0; n < at_once; n++) {
                lanes inputs = load(x + LANES * (size_t)one_index(m->indices, k + n, wide));
                for (int i = 0; i < 8; i++)
                    sum[i] += values[8 * n + (size_t)i] * inputs;
            }
        }
        int rows = minimum(8, m->rows - 8 * group);
        for (int i = 0; i < rows; i++) {
            float *to = y + (ptrdiff_t)(8 * group + i) * LANES;
            store(to, load(to) + sum[i] * (narrow ? m->value_scales[8 * group + i] : 1));
        }
    }
}

INLINE void gate_blocks_of_panel(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                                 const int narrow) {
    int units = m->rows / 4;
    for (int unit = begin; unit < end; unit++) {
        float buffer[16];
        lanes sum[2][4] = {{{0}}};
        size_t k = m->offsets[unit], stop = m->offsets[unit + 1];
        for (; k + 4 <= stop; k += 4) {
            const float *values = values_from(m, k, 4, narrow, buffer);
            for (size_t n = 0; n < 4; n++) {
                lanes inputs = load(x + LANES * (size_t)one_index(m->indices, k + n, wide));
                for (size_t i = 0; i < 4; i++)
                    sum[n % 2][i] += values[4 * n + i] * inputs;
            }
        }
        for (; !narrow && k < stop; k++)
            for (size_t i = 0; i < 4; i++)
                sum[0][i] += ((const float *)m->values)[4 * k + i] * load(x + LANES * (size_t)one_index(m->indices, k, wide));
        for (int gate = 0; gate < 4; gate++) {
            float *to = y + ((ptrdiff_t)gate * units + unit) * LANES;
            lanes total = sum[0][gate] + sum[1][gate];
            store(to, load(to) + total * (narrow ? m->value_scales[4 * unit + gate] : 1));
        }
    }
}

void doped_sparse_of_panel(const doped_matrix *m, const float *x, float *y, int begin, int end) {
    switch (m->pattern) {
    case DOPED_UNSTRUCTURED: SPECIALIZED(slices_of_panel); break;
    case DOPED_ROWS: SPECIALIZED(row_blocks_of_panel); break;
    case DOPED_GATES: SPECIALIZED(gate_blocks_of_panel); break;
    default: break;
    }
}

#endif
