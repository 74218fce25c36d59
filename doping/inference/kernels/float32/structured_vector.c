/* Products of the structured part M with one vector, in two stages: what is computed on the way, into `between`; and what is added to
 * the result. */
#include "parts.h"

#include <string.h>

size_t doped_floats_between(const doped_matrix *m) {
    size_t left_rows = (size_t)m->left_rows, left_columns = (size_t)m->left_columns, terms = (size_t)m->terms;
    switch (m->kind) {
    case DOPED_KRONECKER:
        return left_columns * terms * (size_t)padded(m->rows / m->left_rows) * AT_ONCE;
    case DOPED_KRONECKER_LEFT_FIRST:
        return left_rows * terms * (size_t)(m->columns / m->left_columns) * AT_ONCE;
    case DOPED_LOW_RANK:
        return (size_t)m->rank * AT_ONCE;
    case DOPED_HYBRID:
        return 2 * AT_ONCE;
    default:
        return 0;
    }
}

INLINE float dot(const float *a, const float *b, int count) {
    lanes sum = {0};
    int n = 0;
    for (; n + LANES <= count; n += LANES)
        sum += load(a + n) * load(b + n);
    float total = sum_of(sum);
    for (; n < count; n++)
        total += a[n] * b[n];
    return total;
}

/* y += W x for one vector, W narrow. A load of 32 values is 8 words of four; so the x that they meet are sorted by their place in
 * the word. */
static void multiply_narrow_rows(const int8_t *weight, const float *scales, int rows, int columns, const float *x, float *y) {
    float sorted[TILE];
    for (int first = 0; first < columns; first += TILE) {
        const int count = minimum(TILE, columns - first), whole = count / (4 * LANES) * 4 * LANES;
        for (int n = 0; n < whole; n += 4 * LANES)
            for (int k = 0; k < 4 * LANES; k++)
                sorted[n + k % 4 * LANES + k / 4] = x[first + n + k];
        for (int row = 0; row < rows; row += 4) {
            const int some = minimum(4, rows - row);
            const int8_t *w = weight + (ptrdiff_t)row * columns + first;
            lanes sum[4] = {{0}};
            for (int n = 0; n < whole; n += 4 * LANES)
                for (int i = 0; i < 4; i++) {
                    lanes_bits words = *(const lanes_bits *)(w + (ptrdiff_t)minimum(i, some - 1) * columns + n);
                    for (int place = 0; place < 4; place++)
                        sum[i] += widened(words, place) * load(sorted + n + place * LANES);
                }
            for (int i = 0; i < some; i++) {
                float total = sum_of(sum[i]);
                for (int k = whole; k < count; k++)
                    total += (float)w[(ptrdiff_t)i * columns + k] * x[first + k];
                y[row + i] += scales[row + i] * total;
            }
        }
    }
}

/* y += W x for one vector: dot products of 4 rows at a time with x. */
static void multiply_rows(const void *matrix, const float *scales, int rows, int columns, const float *x, float *y) {
    if (scales) {
        multiply_narrow_rows(matrix, scales, rows, columns, x, y);
        return;
    }
    const float *weight = matrix;
    int row = 0;
    for (; row + 4 <= rows; row += 4) {
        const float *w = weight + (ptrdiff_t)row * columns;
        lanes sum[4][2] = {{{0}}};
        int n = 0;
        for (; n + 2 * LANES <= columns; n += 2 * LANES)
            for (int half = 0; half < 2; half++) {
                lanes values = load(x + n + half * LANES);
                for (int i = 0; i < 4; i++)
                    sum[i][half] += load(w + (ptrdiff_t)i * columns + n + half * LANES) * values;
            }
        for (int i = 0; i < 4; i++) {
            float total = sum_of(sum[i][0] + sum[i][1]);
            for (int k = n; k < columns; k++)
                total += w[(ptrdiff_t)i * columns + k] * x[k];
            y[row + i] += total;
        }
    }
    for (; row < rows; row++)
        y[row] += dot(weight + (ptrdiff_t)row * columns, x, columns);
}

void doped_first_stage_of_vector(const doped_matrix *m, const float *x, float *between, share team) {
    if (m->kind == DOPED_KRONECKER) { /* T = X C^T, for all terms side by side: (left_columns, terms, padded rows of C) */
        int right_columns = m->columns / m->left_columns, width = m->terms * padded(m->rows / m->left_rows);
        int begin = start_of(team, m->left_columns, 4), end = end_of(team, m->left_columns, 4);
        dense_product p = {x + begin * right_columns, right_columns, 1, m->right, width, between + (ptrdiff_t)begin * width,
                           width, end - begin, right_columns, width, 0, NULL, m->right_scales};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) { /* P = B X: (left_rows, terms, columns of C) */
        int right_columns = m->columns / m->left_columns, rows = m->left_rows * m->terms;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * m->left_columns, m->left_scales), m->left_columns, 1, x,
                           right_columns, between + (ptrdiff_t)begin * right_columns, right_columns, end - begin,
                           m->left_columns, right_columns, 0, from_row(m->left_scales, begin), NULL};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK) {
        int begin = start_of(team, m->rank, 4), end = end_of(team, m->rank, 4);
        memset(between + begin, 0, sizeof(float) * (size_t)(end - begin));
        multiply_rows(element(m->right, (ptrdiff_t)begin * m->columns, m->right_scales), from_row(m->right_scales, begin),
                      end - begin, m->columns, x, between + begin);
    } else if (m->kind == DOPED_HYBRID && team.index == 0) {
        int half = m->columns / 2;
        between[0] = dot(m->right, x, half);
        between[1] = dot((const float *)m->right + half, x + half, m->columns - half);
    }
}

void doped_second_stage_of_vector(const doped_matrix *m, const float *x, const float *between, float *y, share team) {
    if (m->kind == DOPED_DENSE || m->kind == DOPED_HYBRID) {
        int rows = m->kind == DOPED_DENSE ? m->rows : m->rank;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        multiply_rows(element(m->weight, (ptrdiff_t)begin * m->columns, m->weight_scales),
                      from_row(m->weight_scales, begin), end - begin, m->columns, x, y + begin);
    }
    int begin = start_of(team, m->left_rows, 4), end = end_of(team, m->left_rows, 4);
    if (m->kind == DOPED_KRONECKER) {
        int depth = m->terms * m->left_columns, right_rows = m->rows / m->left_rows;
        dense_product p = {element(m->left, (ptrdiff_t)begin * depth, m->left_scales), depth, 1, between, padded(right_rows),
                           y + (ptrdiff_t)begin * right_rows, right_rows, end - begin, depth, right_rows, 1,
                           from_row(m->left_scales, begin), NULL};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int depth = m->terms * (m->columns / m->left_columns), right_rows = m->rows / m->left_rows;
        dense_product p = {between + (ptrdiff_t)begin * depth, depth, 1, m->right, padded(right_rows),
                           y + (ptrdiff_t)begin * right_rows, right_rows, end - begin, depth, right_rows, 1, NULL,
                           m->right_scales};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK || m->kind == DOPED_HYBRID) {
        int first_row = m->kind == DOPED_HYBRID ? m->rank : 0, rows = m->rows - first_row;
        int first = start_of(team, rows, LANES), last = end_of(team, rows, LANES);
        int depth = m->kind == DOPED_HYBRID ? 2 : m->rank;
        dense_product p = {between, 0, 1, element(m->left, first, m->left_scales), padded(rows), y + first_row + first, 0,
                           1, depth, last - first, 1, NULL, from_row(m->left_scales, first)};
        doped_multiply_dense(&p);
    }
}
