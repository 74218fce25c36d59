/* Products of the structured part M with one vector, in two stages: what is computed on the way, into `between`; and what is added to
 * the result. */
#include "internal.h"

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
    case DOPED_MONARCH:
        return 2 * left_rows * left_columns * terms * AT_ONCE;
    case DOPED_HYBRID:
        return 2 * AT_ONCE;
    default:
        return 0;
    }
}

void doped_by_rows(const doped_matrix *m, float *between, int begin, int end, int lanes) {
    const ptrdiff_t c = m->left_rows, b = m->left_columns, some = (ptrdiff_t)m->terms * lanes;
    for (ptrdiff_t j = begin; j < end; j++)
        for (ptrdiff_t i = 0; i < c; i++)
            memcpy(between + (b * c + i * b + j) * some, between + (j * c + i) * some, sizeof(float) * (size_t)some);
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
        doped_multiply_rows(element(m->right, (ptrdiff_t)begin * m->columns, m->right_scales), from_row(m->right_scales, begin),
                      end - begin, m->columns, x, between + begin);
    } else if (m->kind == DOPED_MONARCH) { /* V x, then the same by blocks of rows */
        int rows = m->left_rows * m->terms, columns = m->columns / m->left_columns;
        int begin = start_of(team, m->left_columns, 1), end = end_of(team, m->left_columns, 1);
        memset(between + (ptrdiff_t)begin * rows, 0, sizeof(float) * (size_t)(end - begin) * (size_t)rows);
        for (int j = begin; j < end; j++)
            doped_multiply_rows(element(m->right, (ptrdiff_t)j * rows * columns, m->right_scales),
                                from_row(m->right_scales, j * rows), rows, columns, x + (ptrdiff_t)j * columns,
                                between + (ptrdiff_t)j * rows);
        doped_by_rows(m, between, begin, end, 1);
    } else if (m->kind == DOPED_HYBRID && team.index == 0) {
        int half = m->columns / 2;
        between[0] = between[1] = 0;
        doped_multiply_rows(m->right, NULL, 1, half, x, between);
        doped_multiply_rows((const float *)m->right + half, NULL, 1, m->columns - half, x + half, between + 1);
    }
}

void doped_second_stage_of_vector(const doped_matrix *m, const float *x, const float *between, float *y, share team) {
    if (m->kind == DOPED_DENSE || m->kind == DOPED_HYBRID) {
        int rows = m->kind == DOPED_DENSE ? m->rows : m->rank;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        doped_multiply_rows(element(m->weight, (ptrdiff_t)begin * m->columns, m->weight_scales),
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
    } else if (m->kind == DOPED_MONARCH) {
        int depth = m->left_columns * m->terms, gates = m->rows % 4 ? 1 : 4, rows = m->rows / (gates * m->left_rows);
        const float *by_rows = between + (ptrdiff_t)m->left_rows * depth;
        for (int i = begin; i < end; i++)
            for (int gate = 0; gate < gates; gate++) {
                int row = (i * gates + gate) * rows;
                doped_multiply_rows(element(m->left, (ptrdiff_t)row * depth, m->left_scales), from_row(m->left_scales, row), rows,
                                    depth, by_rows + (ptrdiff_t)i * depth, y + (gate * m->left_rows + i) * rows);
            }
    } else if (m->kind == DOPED_LOW_RANK || m->kind == DOPED_HYBRID) {
        int first_row = m->kind == DOPED_HYBRID ? m->rank : 0, rows = m->rows - first_row;
        int first = start_of(team, rows, LANES), last = end_of(team, rows, LANES);
        int depth = m->kind == DOPED_HYBRID ? 2 : m->rank;
        dense_product p = {between, 0, 1, element(m->left, first, m->left_scales), padded(rows), y + first_row + first, 0,
                           1, depth, last - first, 1, NULL, from_row(m->left_scales, first)};
        doped_multiply_dense(&p);
    }
}
