/* The products and the gates for a processor without vectors, with little code and little stack: plain loops over a vector. */
#include "internal.h"

#ifdef DOPED_SMALL

/* Loops over the sums that are kept in registers. */
#define UNROLLED _Pragma("GCC unroll 8")

INLINE float value_of(const void *array, ptrdiff_t at, const int narrow) {
    return narrow ? (float)((const int8_t *)array)[at] : ((const float *)array)[at];
}

/* ---- dense ---- */

enum { COLUMNS = 4 };

INLINE void multiply_dense(const dense_product *p, const int narrow_a, const int narrow_v) {
    for (int row = 0; row < p->rows; row++)
        for (int column = 0; column < p->width; column += COLUMNS) {
            float sum[COLUMNS] = {0};
            ptrdiff_t a = row * p->a_row, v = column;
            for (int d = 0; d < p->depth; d++, a += p->a_column, v += p->v_row) {
                const float factor = value_of(p->a, a, narrow_a);
                UNROLLED
                for (int k = 0; k < COLUMNS; k++)
                    sum[k] += factor * value_of(p->v, v + k, narrow_v);
            }
            float *out = p->out + row * p->out_row + column;
            UNROLLED
            for (int k = 0; k < COLUMNS; k++)
                if (column + k < p->width) {
                    const float scale = narrow_a ? p->a_scales[row] : narrow_v ? p->v_scales[column + k] : 1;
                    out[k] = (p->add ? out[k] : 0) + scale * sum[k];
                }
        }
}

void doped_multiply_dense(const dense_product *p) {
    if (p->v_scales)
        multiply_dense(p, 0, 1);
    else if (p->a_scales)
        multiply_dense(p, 1, 0);
    else
        multiply_dense(p, 0, 0);
}

enum { ROWS = 4 };

INLINE void multiply_rows(const void *matrix, const float *scales, int rows, int columns, const float *x, float *y,
                          const int narrow) {
    for (int row = 0; row < rows; row += ROWS) {
        float sum[ROWS] = {0};
        ptrdiff_t start[ROWS];
        UNROLLED
        for (int i = 0; i < ROWS; i++)
            start[i] = (ptrdiff_t)minimum(row + i, rows - 1) * columns;
        for (int n = 0; n < columns; n++) {
            UNROLLED
            for (int i = 0; i < ROWS; i++)
                sum[i] += x[n] * value_of(matrix, start[i] + n, narrow);
        }
        UNROLLED
        for (int i = 0; i < ROWS; i++)
            if (row + i < rows)
                y[row + i] += (narrow ? scales[row + i] : 1) * sum[i];
    }
}

void doped_multiply_rows(const void *matrix, const float *scales, int rows, int columns, const float *x, float *y) {
    if (scales)
        multiply_rows(matrix, scales, rows, columns, x, y, 1);
    else
        multiply_rows(matrix, scales, rows, columns, x, y, 0);
}

/* ---- sparse ---- */

static uint32_t index_of(const void *indices, size_t at, int wide) {
    return wide ? ((const uint32_t *)indices)[at] : ((const uint16_t *)indices)[at];
}

/* A group of rows: entries of `block` values, with an index for all of them or, in slices, for each. */
INLINE void sparse_product(const doped_matrix *m, const float *x, float *y, int begin, int end, const int block,
                           const int slices, const int narrow) {
    const int wide = m->columns > 1 << 16, wide_order = m->rows > 1 << 16;
    for (int group = begin; group < end; group++) {
        float sum[8] = {0};
        for (size_t k = m->offsets[group]; k < m->offsets[group + 1]; k++) {
            /* Narrow entries come in fours, the values of one place side by side. */
            const size_t first = narrow ? k / 4 * 4 * (size_t)block + k % 4 : k * (size_t)block, apart = narrow ? 4 : 1;
            const float input = slices ? 0 : x[index_of(m->indices, k, wide)];
            UNROLLED
            for (int i = 0; i < block; i++)
                sum[i] += value_of(m->values, (ptrdiff_t)(first + apart * (size_t)i), narrow) *
                          (slices ? x[index_of(m->indices, 8 * k + (size_t)i, wide)] : input);
        }
        UNROLLED
        for (int i = 0; i < block; i++) {
            const int place = block * group + i;
            if (place < m->rows) {
                const uint32_t row = slices       ? index_of(m->order, (size_t)place, wide_order)
                                     : block == 4 ? (uint32_t)(i * (m->rows / 4) + group)
                                                  : (uint32_t)place;
                y[row] += (narrow ? m->value_scales[place] : 1) * sum[i];
            }
        }
    }
}

void doped_sparse_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end) {
    const int narrow = m->value_scales != NULL;
    switch (2 * m->pattern + narrow) {
    case 2 * DOPED_UNSTRUCTURED: sparse_product(m, x, y, begin, end, 8, 1, 0); break;
    case 2 * DOPED_UNSTRUCTURED + 1: sparse_product(m, x, y, begin, end, 8, 1, 1); break;
    case 2 * DOPED_ROWS: sparse_product(m, x, y, begin, end, 8, 0, 0); break;
    case 2 * DOPED_ROWS + 1: sparse_product(m, x, y, begin, end, 8, 0, 1); break;
    case 2 * DOPED_GATES: sparse_product(m, x, y, begin, end, 4, 0, 0); break;
    case 2 * DOPED_GATES + 1: sparse_product(m, x, y, begin, end, 4, 0, 1); break;
    default: break;
    }
}

/* ---- gates ---- */

static float tanh_of(float x) {
    x = x > TANH_LIMIT ? TANH_LIMIT : x < -TANH_LIMIT ? -TANH_LIMIT : x;
    const float z = x * x, y = x * TANH_P(z) / TANH_Q(z);
    return y > 1 ? 1 : y < -1 ? -1 : y;
}

static float sigmoid_of(float x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }

void doped_step_of_vector(const float *z, int hidden, float *c, float *h, share team) {
    for (int unit = start_of(team, hidden, LANES); unit < end_of(team, hidden, LANES); unit++) {
        const float *gate = z + unit;
        c[unit] = sigmoid_of(gate[hidden]) * c[unit] + sigmoid_of(gate[0]) * tanh_of(gate[2 * hidden]);
        h[unit] = sigmoid_of(gate[3 * hidden]) * tanh_of(c[unit]);
    }
}

void doped_tanh(int32_t count, const float *x, float *y) {
    for (int32_t k = 0; k < count; k++)
        y[k] = tanh_of(x[k]);
}

void doped_sigmoid(int32_t count, const float *x, float *y) {
    for (int32_t k = 0; k < count; k++)
        y[k] = sigmoid_of(x[k]);
}

#endif
