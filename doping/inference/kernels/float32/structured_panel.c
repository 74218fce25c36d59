/* Products of the structured part M with a panel of 8 vectors, in the same two stages as with one. */
#include "internal.h"

#ifndef DOPED_SMALL

void doped_first_stage_of_panel(const doped_matrix *m, const float *x, float *between, share team) {
    if (m->kind == DOPED_KRONECKER) {
        int right_columns = m->columns / m->left_columns, right_rows = m->rows / m->left_rows, stride = padded(right_rows);
        int begin = start_of(team, m->left_columns, 1), end = end_of(team, m->left_columns, 1);
        for (int j = begin; j < end; j++)
            for (int term = 0; term < m->terms; term++) {
                dense_product p = {element(m->right, term * stride, m->right_scales), 1, (ptrdiff_t)m->terms * stride,
                                   x + (ptrdiff_t)j * right_columns * LANES, LANES,
                                   between + ((ptrdiff_t)j * m->terms + term) * right_rows * LANES, LANES, right_rows,
                                   right_columns, LANES, 0, from_row(m->right_scales, term * stride), NULL};
                doped_multiply_dense(&p);
            }
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int width = m->columns / m->left_columns * LANES, rows = m->left_rows * m->terms;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * m->left_columns, m->left_scales), m->left_columns, 1, x,
                           width, between + (ptrdiff_t)begin * width, width, end - begin, m->left_columns, width, 0,
                           from_row(m->left_scales, begin), NULL};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK) {
        int begin = start_of(team, m->rank, 8), end = end_of(team, m->rank, 8);
        dense_product p = {element(m->right, (ptrdiff_t)begin * m->columns, m->right_scales), m->columns, 1, x, LANES,
                           between + begin * LANES, LANES, end - begin, m->columns, LANES, 0,
                           from_row(m->right_scales, begin), NULL};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_MONARCH) {
        int rows = m->left_rows * m->terms, columns = m->columns / m->left_columns;
        int begin = start_of(team, m->left_columns, 1), end = end_of(team, m->left_columns, 1);
        for (int j = begin; j < end; j++) {
            dense_product p = {element(m->right, (ptrdiff_t)j * rows * columns, m->right_scales), columns, 1,
                               x + (ptrdiff_t)j * columns * LANES, LANES, between + (ptrdiff_t)j * rows * LANES, LANES, rows,
                               columns, LANES, 0, from_row(m->right_scales, j * rows), NULL};
            doped_multiply_dense(&p);
        }
        doped_by_rows(m, between, begin, end, LANES);
    } else if (m->kind == DOPED_HYBRID && team.index == 0) {
        int half = m->columns / 2;
        dense_product first = {m->right, 0, 1, x, LANES, between, LANES, 1, half, LANES, 0, NULL, NULL};
        dense_product second = {(const float *)m->right + half, 0, 1, x + (ptrdiff_t)half * LANES, LANES, between + LANES,
                                LANES, 1, m->columns - half, LANES, 0, NULL, NULL};
        doped_multiply_dense(&first);
        doped_multiply_dense(&second);
    }
}

void doped_second_stage_of_panel(const doped_matrix *m, const float *x, const float *between, float *y, share team) {
    if (m->kind == DOPED_DENSE || m->kind == DOPED_HYBRID) {
        int rows = m->kind == DOPED_DENSE ? m->rows : m->rank;
        int begin = start_of(team, rows, 8), end = end_of(team, rows, 8);
        dense_product p = {element(m->weight, (ptrdiff_t)begin * m->columns, m->weight_scales), m->columns, 1, x, LANES,
                           y + (ptrdiff_t)begin * LANES, LANES, end - begin, m->columns, LANES, 1,
                           from_row(m->weight_scales, begin), NULL};
        doped_multiply_dense(&p);
    }
    if (m->kind == DOPED_KRONECKER) {
        int depth = m->left_columns * m->terms, width = m->rows / m->left_rows * LANES;
        int begin = start_of(team, m->left_rows, 4), end = end_of(team, m->left_rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * depth, m->left_scales), depth, 1, between, width,
                           y + (ptrdiff_t)begin * width, width, end - begin, depth, width, 1,
                           from_row(m->left_scales, begin), NULL};
        doped_multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int depth = m->columns / m->left_columns * m->terms, right_rows = m->rows / m->left_rows;
        int begin = start_of(team, m->left_rows, 1), end = end_of(team, m->left_rows, 1);
        for (int i = begin; i < end; i++) {
            dense_product p = {m->right, 1, padded(right_rows), between + (ptrdiff_t)i * depth * LANES, LANES,
                               y + (ptrdiff_t)i * right_rows * LANES, LANES, right_rows, depth, LANES, 1, m->right_scales,
                               NULL};
            doped_multiply_dense(&p);
        }
    } else if (m->kind == DOPED_MONARCH) {
        int depth = m->left_columns * m->terms, gates = m->rows % 4 ? 1 : 4, rows = m->rows / (gates * m->left_rows);
        int begin = start_of(team, m->left_rows, 1), end = end_of(team, m->left_rows, 1);
        for (int i = begin; i < end; i++)
            for (int gate = 0; gate < gates; gate++) {
                int row = (i * gates + gate) * rows;
                dense_product p = {element(m->left, (ptrdiff_t)row * depth, m->left_scales), depth, 1,
                                   between + ((ptrdiff_t)m->left_rows + i) * depth * LANES, LANES,
                                   y + (ptrdiff_t)(gate * m->left_rows + i) * rows * LANES, LANES, rows, depth, LANES, 1,
                                   from_row(m->left_scales, row), NULL};
                doped_multiply_dense(&p);
            }
    } else if (m->kind == DOPED_LOW_RANK || m->kind == DOPED_HYBRID) {
        int first_row = m->kind == DOPED_HYBRID ? m->rank : 0, rows = m->rows - first_row;
        int begin = start_of(team, rows, 8), end = end_of(team, rows, 8);
        int depth = m->kind == DOPED_HYBRID ? 2 : m->rank;
        dense_product p = {element(m->left, begin, m->left_scales), 1, padded(rows), between, LANES,
                           y + (ptrdiff_t)(first_row + begin) * LANES, LANES, end - begin, depth, LANES, 1,
                           from_row(m->left_scales, begin), NULL};
        doped_multiply_dense(&p);
    }
}

#endif
