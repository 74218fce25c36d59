/* Products of the sparse part S with one vector: the lanes run along the rows of the result. */
#include "sparse_entries.h"

#ifndef DOPED_SMALL

INLINE quad gathered(const float *x, four index) {
    return (quad){x[index.at[0]], x[index.at[1]], x[index.at[2]], x[index.at[3]]};
}

/* Four entries from k on, 8 values each. Narrow ones come in fours, one entry's values at the same place of each word. */
INLINE void four_entries(const doped_matrix *m, size_t k, const int narrow, lanes entries[4]) {
    for (int i = 0; i < 4; i++)
        entries[i] = narrow ? widened(*(const lanes_bits *)((const int8_t *)m->values + 8 * k), i)
                            : load((const float *)m->values + 8 * (k + (size_t)i));
}
/* Four narrow entries of 4 values each. */
INLINE void four_narrow_quads(const doped_matrix *m, size_t k, quad entries[4]) {
    for (int i = 0; i < 4; i++)
        entries[i] = widened4(*(const quad_bits *)((const int8_t *)m->values + 4 * k), i);
}

INLINE void slices_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                             const int narrow) {
    const size_t at_once = narrow ? 4 : 1;
    for (int group = begin; group < end; group++) {
        quad sum[2] = {{0}}, entries[2][4];
        for (size_t k = m->offsets[group]; k < m->offsets[group + 1]; k += at_once)
            for (size_t half = 0; half < 2; half++) { /* the upper four rows, the lower four */
                if (narrow)
                    four_narrow_quads(m, 2 * k + 4 * half, entries[half]);
                else
                    entries[half][0] = load4((const float *)m->values + 8 * k + 4 * half);
                for (size_t n = 0; n < at_once; n++)
                    sum[half] += entries[half][n] * gathered(x, four_indices(m->indices, 8 * (k + n) + 4 * half, wide));
            }
        int rows = minimum(8, m->rows - 8 * group), wide_order = m->rows > 1 << 16;
        for (int i = 0; i < rows; i++) {
            float total = sum[i / 4][i % 4];
            y[one_index(m->order, (size_t)(8 * group + i), wide_order)] += total * (narrow ? m->value_scales[8 * group + i] : 1);
        }
    }
}

INLINE void row_blocks_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                                 const int narrow) {
    for (int group = begin; group < end; group++) {
        lanes sum[4] = {{0}}, entries[4];
        size_t k = m->offsets[group], stop = m->offsets[group + 1];
        for (; k + 4 <= stop; k += 4) {
            four index = four_indices(m->indices, k, wide);
            four_entries(m, k, narrow, entries);
            for (int i = 0; i < 4; i++)
                sum[i] += x[index.at[i]] * entries[i];
        }
        for (; !narrow && k < stop; k++)
            sum[0] += x[one_index(m->indices, k, wide)] * load((const float *)m->values + 8 * k);
        lanes total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        if (narrow)
            total *= load(m->value_scales + 8 * group);
        int rows = minimum(8, m->rows - 8 * group);
        if (rows == LANES)
            store(y + 8 * group, load(y + 8 * group) + total);
        else
            for (int i = 0; i < rows; i++)
                y[8 * group + i] += total[i];
    }
}

/* Each of two numbers in four lanes. */
INLINE lanes pair(float a, float b) { return (lanes){a, a, a, a, b, b, b, b}; }

INLINE void gate_blocks_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                                  const int narrow) {
    int units = m->rows / 4;
    for (int unit = begin; unit < end; unit++) {
        lanes sum[4] = {{0}};
        size_t k = m->offsets[unit], stop = m->offsets[unit + 1];
        for (; narrow && k + 8 <= stop; k += 8) {
            four low = four_indices(m->indices, k, wide), high = four_indices(m->indices, k + 4, wide);
            lanes_bits words = *(const lanes_bits *)((const int8_t *)m->values + 4 * k);
            for (int i = 0; i < 4; i++)
                sum[i] += pair(x[low.at[i]], x[high.at[i]]) * widened(words, i);
        }
        for (; !narrow && k + 4 <= stop; k += 4) {
            four index = four_indices(m->indices, k, wide);
            const float *values = (const float *)m->values + 4 * k;
            sum[0] += pair(x[index.at[0]], x[index.at[1]]) * load(values);
            sum[1] += pair(x[index.at[2]], x[index.at[3]]) * load(values + 8);
        }
        lanes both = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        quad total = (quad){both[0], both[1], both[2], both[3]} + (quad){both[4], both[5], both[6], both[7]};
        if (narrow && k < stop) {
            quad entries[4];
            four index = four_indices(m->indices, k, wide);
            four_narrow_quads(m, k, entries);
            for (int i = 0; i < 4; i++)
                total += x[index.at[i]] * entries[i];
        }
        for (; !narrow && k < stop; k++)
            total += x[one_index(m->indices, k, wide)] * load4((const float *)m->values + 4 * k);
        if (narrow)
            total *= load4(m->value_scales + 4 * unit);
        for (int gate = 0; gate < 4; gate++)
            y[gate * units + unit] += total[gate];
    }
}

void doped_sparse_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end) {
    switch (m->pattern) {
    case DOPED_UNSTRUCTURED: SPECIALIZED(slices_of_vector); break;
    case DOPED_ROWS: SPECIALIZED(row_blocks_of_vector); break;
    case DOPED_GATES: SPECIALIZED(gate_blocks_of_vector); break;
    default: break;
    }
}

#endif
