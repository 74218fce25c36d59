/* Products with dense matrices: small ones in tiles that fit the registers, large ones row by row. */
#include "internal.h"

#include <string.h>

#ifndef DOPED_SMALL

enum {
    TILE = 2048, /* floats of narrow values that are widened at a time; they stay in the first cache */
    TILE_WIDTH = 64,
    WIDE_FROM = 32 /* columns from which on registers of 16 floats pay */
};

INLINE void tile(const dense_product *p, int row, int column, const int rows, const int vectors) {
    const float *a = (const float *)p->a + row * p->a_row, *v = (const float *)p->v + column;
    const ptrdiff_t a_row = p->a_row, a_column = p->a_column, v_row = p->v_row;
    lanes sum[8][8] = {{{0}}};
    for (int d = 0; d < p->depth; d++, a += a_column, v += v_row) {
        for (int k = 0; k < vectors; k++) {
            lanes values = load(v + k * LANES);
            IN_REGISTER(values);
            for (int i = 0; i < rows; i++)
                sum[i][k] += a[i * a_row] * values;
        }
    }
    const int left = p->width - column - (vectors - 1) * LANES; /* of the last vector */
    for (int i = 0; i < rows; i++) {
        float *out = p->out + (row + i) * p->out_row + column;
        for (int k = 0; k < vectors; k++, out += LANES) {
            if (k + 1 < vectors || left >= LANES) {
                if (p->add)
                    sum[i][k] += load(out);
                store(out, sum[i][k]);
            } else {
                float rest[LANES];
                if (p->add)
                    sum[i][k] += load(out);
                store(rest, sum[i][k]);
                memcpy(out, rest, sizeof(float) * (size_t)left);
            }
        }
    }
}

/* All columns of a few rows, in tiles that fit the registers. */
#define ROWS_OF_TILES(rows, widest)                               \
    for (int column = 0; column < p->width;) {                    \
        int vectors = (p->width - column + LANES - 1) / LANES;    \
        if (vectors >= (widest) && vectors != (widest) + 1) {     \
            tile(p, row, column, rows, widest);                   \
            column += (widest)*LANES;                             \
        } else if (vectors >= 2) {                                \
            tile(p, row, column, rows, 2);                        \
            column += 2 * LANES;                                  \
        } else {                                                  \
            tile(p, row, column, rows, 1);                        \
            column += LANES;                                      \
        }                                                         \
    }

static void multiply_floats(const dense_product *p) {
#ifdef DOPED_AVX512
    dense_product rest;
    if (p->width >= WIDE_FROM && doped_has_avx512()) {
        const int done = doped_multiply_floats_avx512(p);
        rest = *p;
        rest.v = (const float *)p->v + done, rest.out += done, rest.width -= done;
        p = &rest;
    }
#endif
    int row = 0;
    if (p->width <= LANES)
        for (; row + 8 <= p->rows; row += 8)
            tile(p, row, 0, 8, 1);
    for (; row + 4 <= p->rows; row += 4)
        ROWS_OF_TILES(4, 3)
    for (; row < p->rows; row++)
        ROWS_OF_TILES(1, 8)
}

/* The same with v narrow: widened a tile at a time. */
static void multiply_narrow_v(const dense_product *p) {
    float widened_tile[TILE];
    for (int column = 0; column < p->width; column += TILE_WIDTH) {
        const int width = minimum(TILE_WIDTH, p->width - column), stride = padded(width), deepest = TILE / stride;
        for (int first = 0; first < p->depth; first += deepest) {
            const int depth = minimum(deepest, p->depth - first);
            for (int d = 0; d < depth; d++) {
                const int8_t *v = (const int8_t *)p->v + (first + d) * p->v_row + column;
                for (int k = 0; k < width; k++)
                    widened_tile[d * stride + k] = (float)v[k] * p->v_scales[column + k];
            }
            dense_product part = {(const float *)p->a + first * p->a_column, p->a_row, p->a_column, widened_tile, stride,
                                  p->out + column, p->out_row, p->rows, depth, width, p->add || first, NULL, NULL};
            multiply_floats(&part);
        }
    }
}

/* The same with a narrow, stored by rows or by columns. */
static void multiply_narrow_a(const dense_product *p) {
    enum { ROWS = TILE / TILE_WIDTH };
    float widened_tile[TILE];
    for (int row = 0; row < p->rows; row += ROWS) {
        const int rows = minimum(ROWS, p->rows - row);
        for (int first = 0; first < p->depth; first += TILE_WIDTH) {
            const int depth = minimum(TILE_WIDTH, p->depth - first);
            const int8_t *a = (const int8_t *)p->a + row * p->a_row + first * p->a_column;
            if (p->a_column == 1)
                for (int i = 0; i < rows; i++)
                    for (int d = 0; d < depth; d++)
                        widened_tile[i * TILE_WIDTH + d] = (float)a[i * p->a_row + d] * p->a_scales[row + i];
            else
                for (int d = 0; d < depth; d++)
                    for (int i = 0; i < rows; i++)
                        widened_tile[d * ROWS + i] = (float)a[d * p->a_column + i] * p->a_scales[row + i];
            dense_product part = {widened_tile, p->a_column == 1 ? TILE_WIDTH : 1, p->a_column == 1 ? 1 : ROWS,
                                  (const float *)p->v + first * p->v_row, p->v_row, p->out + row * p->out_row, p->out_row,
                                  rows, depth, p->width, p->add || first, NULL, NULL};
            multiply_floats(&part);
        }
    }
}

void doped_multiply_dense(const dense_product *p) {
    if (p->v_scales)
        multiply_narrow_v(p);
    else if (p->a_scales)
        multiply_narrow_a(p);
    else
        multiply_floats(p);
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
void doped_multiply_rows(const void *matrix, const float *scales, int rows, int columns, const float *x, float *y) {
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

#endif
