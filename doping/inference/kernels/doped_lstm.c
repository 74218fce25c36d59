/* LSTM layers whose weight matrices are compressed: see doped_lstm.h.
 *
 * Two ways to compute a product, with the same stored matrices. One vector at a time (when generating): the vector of 8 lanes runs
 * along the rows of the result. A panel of 8 vectors (8 steps of a sequence, or 8 sequences of a batch): lane k belongs to vector
 * k, so each weight is loaded once, spread over the lanes, and meets 8 neighbouring inputs; nothing is gathered.
 *
 * A product has stages, with a barrier after each where several threads share the work:
 *   1. what M computes on the way (the product with one factor), into `between`; and S x, added to the result;
 *   2. M's other factor, added to the result.
 */
#include "doped_lstm.h"

#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* All functions that take vectors are inlined, so no calling convention is at stake. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunknown-warning-option" /* older ones do not know the next one */
#endif
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = 8,
    PANEL_FROM = 3, /* from so many vectors on, a panel costs less than one vector after the other */
    PADDING = 16,   /* floats that may be read behind an array of the workspace */
    TILE = 2048,    /* floats of narrow values that are widened at a time; they stay in the first cache */
    TILE_WIDTH = 64
};

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t lanes_mask __attribute__((vector_size(32), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t lanes_bits __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t quad_bits __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t quad_mask __attribute__((vector_size(16)));

/* The part of the work that a thread does. */
typedef struct {
    int index, count;
} share;

INLINE lanes load(const float *from) { return *(const lanes *)from; }
INLINE void store(float *to, lanes value) { *(lanes *)to = value; }
INLINE quad load4(const float *from) { return *(const quad *)from; }

/* The narrow values at one place of each word of four, the first in memory being the first, as floats. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SHIFT_UP(place) (8 * (place))
#else
#define SHIFT_UP(place) (24 - 8 * (place))
#endif
INLINE lanes widened(lanes_bits words, const int place) {
    return __builtin_convertvector((lanes_mask)(words << SHIFT_UP(place)) >> 24, lanes);
}
INLINE quad widened4(quad_bits words, const int place) {
    return __builtin_convertvector((quad_mask)(words << SHIFT_UP(place)) >> 24, quad);
}

/* The element of an array that is narrow if it has scales. */
static const void *element(const void *array, ptrdiff_t index, const float *scales) {
    return scales ? (const void *)((const int8_t *)array + index) : (const void *)((const float *)array + index);
}
static const float *from_row(const float *scales, ptrdiff_t row) { return scales ? scales + row : NULL; }

static int minimum(int a, int b) { return a < b ? a : b; }
static int padded(int count) { return (count + LANES - 1) / LANES * LANES; }

/* Bounds of a thread's part of `count` things that are best taken in groups of `unit`. */
static int start_of(share team, int count, int unit) {
    int units = (count + unit - 1) / unit;
    return minimum(count, (int)((int64_t)units * team.index / team.count) * unit);
}
static int end_of(share team, int count, int unit) {
    share next = {team.index + 1, team.count};
    return start_of(next, count, unit);
}

static void wait_for_all(share team) {
#ifdef _OPENMP
    if (team.count > 1) {
#pragma omp barrier
    }
#else
    (void)team;
#endif
}

/* ---- small dense products ------------------------------------------------------------------------------------------- */

/* out (rows, width) = or += a (rows, depth) times v (depth, width), each with its own strides. v may be read, not used, up to the
 * next multiple of 8 columns. One of the factors may be narrow: a with a scale a row, and a_row or a_column 1; or v with a scale a
 * column. */
typedef struct {
    const void *a;
    ptrdiff_t a_row, a_column;
    const void *v;
    ptrdiff_t v_row;
    float *out;
    ptrdiff_t out_row;
    int rows, depth, width;
    int add;
    const float *a_scales, *v_scales;
} dense_product;

/* GCC would load a vector anew for each product that it is in, and loads are what bounds them. This is no instruction. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__AVX__)
#define IN_REGISTER(vector) __asm__("" : "+x"(vector))
#else
#define IN_REGISTER(vector) (void)(vector)
#endif

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

static void multiply_dense(const dense_product *p) {
    if (p->v_scales)
        multiply_narrow_v(p);
    else if (p->a_scales)
        multiply_narrow_a(p);
    else
        multiply_floats(p);
}

INLINE float sum_of(lanes v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

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
    for (; row < rows; row++) {
        lanes sum = {0};
        int n = 0;
        for (; n + LANES <= columns; n += LANES)
            sum += load(weight + (ptrdiff_t)row * columns + n) * load(x + n);
        float total = sum_of(sum);
        for (; n < columns; n++)
            total += weight[(ptrdiff_t)row * columns + n] * x[n];
        y[row] += total;
    }
}

/* ---- M ---------------------------------------------------------------------------------------------------------------- */

/* Floats between the stages, a vector or a panel at a time. */
static size_t floats_between(const doped_matrix *m) {
    size_t left_rows = (size_t)m->left_rows, left_columns = (size_t)m->left_columns, terms = (size_t)m->terms;
    switch (m->kind) {
    case DOPED_KRONECKER:
        return left_columns * terms * (size_t)padded(m->rows / m->left_rows) * LANES;
    case DOPED_KRONECKER_LEFT_FIRST:
        return left_rows * terms * (size_t)(m->columns / m->left_columns) * LANES;
    case DOPED_LOW_RANK:
        return (size_t)m->rank * LANES;
    case DOPED_HYBRID:
        return 2 * LANES;
    default:
        return 0;
    }
}

static void first_stage_of_vector(const doped_matrix *m, const float *x, float *between, share team) {
    if (m->kind == DOPED_KRONECKER) { /* T = X C^T, for all terms side by side: (left_columns, terms, padded rows of C) */
        int right_columns = m->columns / m->left_columns, width = m->terms * padded(m->rows / m->left_rows);
        int begin = start_of(team, m->left_columns, 4), end = end_of(team, m->left_columns, 4);
        dense_product p = {x + begin * right_columns, right_columns, 1, m->right, width, between + (ptrdiff_t)begin * width,
                           width, end - begin, right_columns, width, 0, NULL, m->right_scales};
        multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) { /* P = B X: (left_rows, terms, columns of C) */
        int right_columns = m->columns / m->left_columns, rows = m->left_rows * m->terms;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * m->left_columns, m->left_scales), m->left_columns, 1, x,
                           right_columns, between + (ptrdiff_t)begin * right_columns, right_columns, end - begin,
                           m->left_columns, right_columns, 0, from_row(m->left_scales, begin), NULL};
        multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK) {
        int begin = start_of(team, m->rank, 4), end = end_of(team, m->rank, 4);
        memset(between + begin, 0, sizeof(float) * (size_t)(end - begin));
        multiply_rows(element(m->right, (ptrdiff_t)begin * m->columns, m->right_scales), from_row(m->right_scales, begin),
                      end - begin, m->columns, x, between + begin);
    } else if (m->kind == DOPED_HYBRID && team.index == 0) {
        int half = m->columns / 2;
        between[0] = between[1] = 0;
        multiply_rows(m->right, NULL, 1, half, x, between);
        multiply_rows((const float *)m->right + half, NULL, 1, m->columns - half, x + half, between + 1);
    }
}

static void second_stage_of_vector(const doped_matrix *m, const float *x, const float *between, float *y, share team) {
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
        multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int depth = m->terms * (m->columns / m->left_columns), right_rows = m->rows / m->left_rows;
        dense_product p = {between + (ptrdiff_t)begin * depth, depth, 1, m->right, padded(right_rows),
                           y + (ptrdiff_t)begin * right_rows, right_rows, end - begin, depth, right_rows, 1, NULL,
                           m->right_scales};
        multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK || m->kind == DOPED_HYBRID) {
        int first_row = m->kind == DOPED_HYBRID ? m->rank : 0, rows = m->rows - first_row;
        int first = start_of(team, rows, LANES), last = end_of(team, rows, LANES);
        int depth = m->kind == DOPED_HYBRID ? 2 : m->rank;
        dense_product p = {between, 0, 1, element(m->left, first, m->left_scales), padded(rows), y + first_row + first, 0,
                           1, depth, last - first, 1, NULL, from_row(m->left_scales, first)};
        multiply_dense(&p);
    }
}

static void first_stage_of_panel(const doped_matrix *m, const float *x, float *between, share team) {
    if (m->kind == DOPED_KRONECKER) {
        int right_columns = m->columns / m->left_columns, right_rows = m->rows / m->left_rows, stride = padded(right_rows);
        int begin = start_of(team, m->left_columns, 1), end = end_of(team, m->left_columns, 1);
        for (int j = begin; j < end; j++)
            for (int term = 0; term < m->terms; term++) {
                dense_product p = {element(m->right, term * stride, m->right_scales), 1, (ptrdiff_t)m->terms * stride,
                                   x + (ptrdiff_t)j * right_columns * LANES, LANES,
                                   between + ((ptrdiff_t)j * m->terms + term) * right_rows * LANES, LANES, right_rows,
                                   right_columns, LANES, 0, from_row(m->right_scales, term * stride), NULL};
                multiply_dense(&p);
            }
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int width = m->columns / m->left_columns * LANES, rows = m->left_rows * m->terms;
        int begin = start_of(team, rows, 4), end = end_of(team, rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * m->left_columns, m->left_scales), m->left_columns, 1, x,
                           width, between + (ptrdiff_t)begin * width, width, end - begin, m->left_columns, width, 0,
                           from_row(m->left_scales, begin), NULL};
        multiply_dense(&p);
    } else if (m->kind == DOPED_LOW_RANK) {
        int begin = start_of(team, m->rank, 8), end = end_of(team, m->rank, 8);
        dense_product p = {element(m->right, (ptrdiff_t)begin * m->columns, m->right_scales), m->columns, 1, x, LANES,
                           between + begin * LANES, LANES, end - begin, m->columns, LANES, 0,
                           from_row(m->right_scales, begin), NULL};
        multiply_dense(&p);
    } else if (m->kind == DOPED_HYBRID && team.index == 0) {
        int half = m->columns / 2;
        dense_product first = {m->right, 0, 1, x, LANES, between, LANES, 1, half, LANES, 0, NULL, NULL};
        dense_product second = {(const float *)m->right + half, 0, 1, x + (ptrdiff_t)half * LANES, LANES, between + LANES,
                                LANES, 1, m->columns - half, LANES, 0, NULL, NULL};
        multiply_dense(&first);
        multiply_dense(&second);
    }
}

static void second_stage_of_panel(const doped_matrix *m, const float *x, const float *between, float *y, share team) {
    if (m->kind == DOPED_DENSE || m->kind == DOPED_HYBRID) {
        int rows = m->kind == DOPED_DENSE ? m->rows : m->rank;
        int begin = start_of(team, rows, 8), end = end_of(team, rows, 8);
        dense_product p = {element(m->weight, (ptrdiff_t)begin * m->columns, m->weight_scales), m->columns, 1, x, LANES,
                           y + (ptrdiff_t)begin * LANES, LANES, end - begin, m->columns, LANES, 1,
                           from_row(m->weight_scales, begin), NULL};
        multiply_dense(&p);
    }
    if (m->kind == DOPED_KRONECKER) {
        int depth = m->left_columns * m->terms, width = m->rows / m->left_rows * LANES;
        int begin = start_of(team, m->left_rows, 4), end = end_of(team, m->left_rows, 4);
        dense_product p = {element(m->left, (ptrdiff_t)begin * depth, m->left_scales), depth, 1, between, width,
                           y + (ptrdiff_t)begin * width, width, end - begin, depth, width, 1,
                           from_row(m->left_scales, begin), NULL};
        multiply_dense(&p);
    } else if (m->kind == DOPED_KRONECKER_LEFT_FIRST) {
        int depth = m->columns / m->left_columns * m->terms, right_rows = m->rows / m->left_rows;
        int begin = start_of(team, m->left_rows, 1), end = end_of(team, m->left_rows, 1);
        for (int i = begin; i < end; i++) {
            dense_product p = {m->right, 1, padded(right_rows), between + (ptrdiff_t)i * depth * LANES, LANES,
                               y + (ptrdiff_t)i * right_rows * LANES, LANES, right_rows, depth, LANES, 1, m->right_scales,
                               NULL};
            multiply_dense(&p);
        }
    } else if (m->kind == DOPED_LOW_RANK || m->kind == DOPED_HYBRID) {
        int first_row = m->kind == DOPED_HYBRID ? m->rank : 0, rows = m->rows - first_row;
        int begin = start_of(team, rows, 8), end = end_of(team, rows, 8);
        int depth = m->kind == DOPED_HYBRID ? 2 : m->rank;
        dense_product p = {element(m->left, begin, m->left_scales), 1, padded(rows), between, LANES,
                           y + (ptrdiff_t)(first_row + begin) * LANES, LANES, end - begin, depth, LANES, 1,
                           from_row(m->left_scales, begin), NULL};
        multiply_dense(&p);
    }
}

/* ---- S ---------------------------------------------------------------------------------------------------------------- */

static int groups_of(const doped_matrix *m) {
    return m->pattern == DOPED_GATES ? m->rows / 4 : (m->rows + LANES - 1) / LANES;
}

/* The first group of a thread's part, such that all parts have about as many entries. */
static int first_group(const doped_matrix *m, share team) {
    int groups = groups_of(m), low = 0, high = groups;
    if (team.index == 0 || team.index == team.count)
        return team.index ? groups : 0;
    uint64_t entries = (uint64_t)m->offsets[groups] * (uint64_t)team.index / (uint64_t)team.count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (m->offsets[middle] < entries)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Four indices from one load (of 64 bits, or two) and shifts: loads are what bounds these products. */
typedef struct {
    uint32_t at[4];
} four;

INLINE four four_indices(const void *indices, size_t first, const int wide) {
    four result;
    if (wide) {
        memcpy(&result, (const uint32_t *)indices + first, sizeof result);
    } else {
        uint64_t packed;
        memcpy(&packed, (const uint16_t *)indices + first, sizeof packed);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        result.at[3] = packed & 0xffff, result.at[2] = packed >> 16 & 0xffff;
        result.at[1] = packed >> 32 & 0xffff, result.at[0] = (uint32_t)(packed >> 48);
#else
        result.at[0] = packed & 0xffff, result.at[1] = packed >> 16 & 0xffff;
        result.at[2] = packed >> 32 & 0xffff, result.at[3] = (uint32_t)(packed >> 48);
#endif
    }
    return result;
}

INLINE uint32_t one_index(const void *indices, size_t at, const int wide) {
    return wide ? ((const uint32_t *)indices)[at] : ((const uint16_t *)indices)[at];
}

INLINE quad gathered(const float *x, four index) {
    return (quad){x[index.at[0]], x[index.at[1]], x[index.at[2]], x[index.at[3]]};
}

/* Four entries from k on, 8 or 4 values each. Narrow ones come in fours, one entry's values at the same place of each word. */
INLINE void four_entries(const doped_matrix *m, size_t k, const int narrow, lanes entries[4]) {
    for (int i = 0; i < 4; i++)
        entries[i] = narrow ? widened(*(const lanes_bits *)((const int8_t *)m->values + 8 * k), i)
                            : load((const float *)m->values + 8 * (k + (size_t)i));
}
INLINE void four_entries4(const doped_matrix *m, size_t k, const int narrow, quad entries[4]) {
    for (int i = 0; i < 4; i++)
        entries[i] = narrow ? widened4(*(const quad_bits *)((const int8_t *)m->values + 4 * k), i)
                            : load4((const float *)m->values + 4 * (k + (size_t)i));
}

INLINE void slices_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end, const int wide,
                             const int narrow) {
    const size_t at_once = narrow ? 4 : 1;
    for (int group = begin; group < end; group++) {
        quad sum[2] = {{0}}, entries[2][4];
        for (size_t k = m->offsets[group]; k < m->offsets[group + 1]; k += at_once)
            for (size_t half = 0; half < 2; half++) { /* the upper four rows, the lower four */
                if (narrow)
                    four_entries4(m, 2 * k + 4 * half, 1, entries[half]);
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
            if (narrow) {
                lanes_bits words = *(const lanes_bits *)((const int8_t *)m->values + 4 * k);
                for (int i = 0; i < 4; i++)
                    sum[i] += pair(x[low.at[i]], x[high.at[i]]) * widened(words, i);
            } else {
                const float *values = (const float *)m->values + 4 * k;
                sum[0] += pair(x[low.at[0]], x[low.at[1]]) * load(values);
                sum[1] += pair(x[low.at[2]], x[low.at[3]]) * load(values + 8);
                sum[2] += pair(x[high.at[0]], x[high.at[1]]) * load(values + 16);
                sum[3] += pair(x[high.at[2]], x[high.at[3]]) * load(values + 24);
            }
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
            four_entries4(m, k, narrow, entries);
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
            for (size_t n = 0; n < 8 * at_once; n++)
                sum[n % 8] += values[n] * load(x + LANES * (size_t)one_index(m->indices, 8 * k + n, wide));
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

static void sparse_product(const doped_matrix *m, const float *x, float *y, int panel, share team) {
    if (m->pattern == DOPED_NO_SPARSE)
        return;
    share next = {team.index + 1, team.count};
    int begin = first_group(m, team), end = first_group(m, next);
    int wide = m->columns > 1 << 16, narrow = m->value_scales != NULL;
#define SPECIALIZED(function)                      \
    do {                                           \
        if (wide && narrow)                        \
            function(m, x, y, begin, end, 1, 1);   \
        else if (wide)                             \
            function(m, x, y, begin, end, 1, 0);   \
        else if (narrow)                           \
            function(m, x, y, begin, end, 0, 1);   \
        else                                       \
            function(m, x, y, begin, end, 0, 0);   \
    } while (0)
    switch (m->pattern * 2 + panel) {
    case DOPED_UNSTRUCTURED * 2: SPECIALIZED(slices_of_vector); break;
    case DOPED_UNSTRUCTURED * 2 + 1: SPECIALIZED(slices_of_panel); break;
    case DOPED_ROWS * 2: SPECIALIZED(row_blocks_of_vector); break;
    case DOPED_ROWS * 2 + 1: SPECIALIZED(row_blocks_of_panel); break;
    case DOPED_GATES * 2: SPECIALIZED(gate_blocks_of_vector); break;
    case DOPED_GATES * 2 + 1: SPECIALIZED(gate_blocks_of_panel); break;
    default: break;
    }
#undef SPECIALIZED
}

/* y += W x, of a vector (columns) or a panel (columns, 8). */
static void product(const doped_matrix *m, const float *x, float *y, float *between, int panel, share team) {
    if (panel)
        first_stage_of_panel(m, x, between, team);
    else
        first_stage_of_vector(m, x, between, team);
    sparse_product(m, x, y, panel, team);
    wait_for_all(team);
    if (m->kind == DOPED_NO_STRUCTURE)
        return;
    if (panel)
        second_stage_of_panel(m, x, between, y, team);
    else
        second_stage_of_vector(m, x, between, y, team);
    wait_for_all(team);
}

/* ---- gates ------------------------------------------------------------------------------------------------------------ */

INLINE lanes chosen(lanes_mask mask, lanes yes, lanes no) {
    return (lanes)((mask & (lanes_mask)yes) | (~mask & (lanes_mask)no));
}

/* tanh as a rational function, x P(x^2) / Q(x^2), fitted for the least largest error on |x| < 9, beyond which it is constant; off
 * by at most 5e-7, and NaN where x is. */
INLINE lanes tanh_of(lanes x) {
    const lanes limit = {9, 9, 9, 9, 9, 9, 9, 9}, one = {1, 1, 1, 1, 1, 1, 1, 1};
    x = chosen(x > limit, limit, chosen(x < -limit, -limit, x));
    lanes z = x * x;
    lanes p = 1.3184230067781277e-08f * z + 2.0471835892915504e-05f;
    p = p * z + 3.4865822547227496e-03f;
    p = p * z + 1.3373198012000911e-01f;
    p = p * z + 9.9999990635816600e-01f;
    lanes q = 7.7026662922824470e-07f * z + 3.2713859535124875e-04f;
    q = q * z + 2.5841980602602423e-02f;
    q = q * z + 4.6706494876227660e-01f;
    q = q * z + 1.0f;
    lanes y = x * p / q;
    return chosen(y > one, one, chosen(y < -one, -one, y));
}

INLINE lanes sigmoid_of(lanes x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }

/* One step of 8 units, or of one unit of 8 sequences: gates i, f, g, o before their activation -> the new c and h. */
INLINE void cell(const float *i, const float *f, const float *g, const float *o, float *c, float *h) {
    lanes state = sigmoid_of(load(f)) * load(c) + sigmoid_of(load(i)) * tanh_of(load(g));
    store(c, state);
    store(h, sigmoid_of(load(o)) * tanh_of(state));
}

/* Gates z (4, hidden) of one sequence; h has room up to a multiple of 8. */
static void step_of_vector(const float *z, int hidden, float *c, float *h, share team) {
    int begin = start_of(team, hidden, LANES), end = end_of(team, hidden, LANES), unit = begin;
    for (; unit + LANES <= end; unit += LANES)
        cell(z + unit, z + hidden + unit, z + 2 * hidden + unit, z + 3 * hidden + unit, c + unit, h + unit);
    if (unit < end) {
        float last[LANES] = {0};
        memcpy(last, c + unit, sizeof(float) * (size_t)(end - unit));
        cell(z + unit, z + hidden + unit, z + 2 * hidden + unit, z + 3 * hidden + unit, last, h + unit);
        memcpy(c + unit, last, sizeof(float) * (size_t)(end - unit));
    }
}

static void step_of_panel(const float *z, int hidden, float *c, float *h, share team) {
    const ptrdiff_t gate = (ptrdiff_t)hidden * LANES;
    for (ptrdiff_t unit = start_of(team, hidden, 1); unit < end_of(team, hidden, 1); unit++) {
        const float *at = z + unit * LANES;
        cell(at, at + gate, at + 2 * gate, at + 3 * gate, c + unit * LANES, h + unit * LANES);
    }
}

/* ---- sequences ---------------------------------------------------------------------------------------------------------- */

/* Arrays of the workspace, taken one after the other. */
static float *taken(float **workspace, size_t floats) {
    float *array = *workspace;
    *workspace += (floats + 2 * PADDING - 1) / PADDING * PADDING;
    return array;
}
static size_t room(size_t floats) { return (floats + 2 * PADDING - 1) / PADDING * PADDING; }

/* A part of `count` columns of up to 8 vectors -> a panel (columns, 8); lanes without a vector are 0. */
static void into_panel(const float *const *vectors, int count, int columns, float *panel, share team) {
    for (int n = start_of(team, columns, LANES); n < end_of(team, columns, LANES); n++)
        for (int lane = 0; lane < LANES; lane++)
            panel[(ptrdiff_t)n * LANES + lane] = lane < count ? vectors[lane][n] : 0;
}

static void out_of_panel(const float *panel, int count, int columns, float *const *vectors, share team) {
    int begin = start_of(team, columns, LANES), end = end_of(team, columns, LANES);
    for (int lane = 0; lane < count; lane++)
        for (int n = begin; n < end; n++)
            vectors[lane][n] = panel[(ptrdiff_t)n * LANES + lane];
}

static void start_with_bias(const float *bias, int rows, float *y, int panel, share team) {
    int begin = start_of(team, rows, LANES), end = end_of(team, rows, LANES);
    for (int row = begin; row < end; row++) {
        if (panel)
            store(y + (ptrdiff_t)row * LANES, (lanes){0} + (bias ? bias[row] : 0));
        else
            y[row] = bias ? bias[row] : 0;
    }
}

/* What a thread, or a team of them, works on: some of the sequences of a batch. */
typedef struct {
    const doped_layer *layer;
    int steps, batch, first, sequences; /* of `batch` sequences, those from `first` on */
    const float *x;
    float *h, *c, *y;
} task;

static ptrdiff_t place_of(const task *job, int step, int sequence) {
    int time = job->layer->reverse ? job->steps - 1 - step : step;
    return (ptrdiff_t)time * job->batch + job->first + sequence;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t workspace_of(const doped_layer *layer, int sequences) {
    size_t inputs = (size_t)layer->input.columns, hidden = (size_t)layer->recurrent.columns;
    size_t between = room(larger(floats_between(&layer->input), floats_between(&layer->recurrent)));
    size_t panels = room(inputs * LANES) + room(4 * hidden * LANES);
    if (sequences < PANEL_FROM)
        return between + panels + room(inputs) + LANES * room(4 * hidden) + (size_t)sequences * room(hidden);
    return between + panels + 2 * (size_t)((sequences + LANES - 1) / LANES) * room(hidden * LANES);
}

/* A few sequences, one vector at a time; the input product is taken over 8 vectors at once, as far as inputs are known. */
static void run_vectors(const task *job, float *workspace, share team) {
    const doped_layer *layer = job->layer;
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns, rows = 4 * hidden;
    const int pairs = job->steps * job->sequences;
    float *between = taken(&workspace, larger(floats_between(&layer->input), floats_between(&layer->recurrent)));
    float *x_panel = taken(&workspace, (size_t)inputs * LANES), *z_panel = taken(&workspace, (size_t)rows * LANES);
    float *x = taken(&workspace, (size_t)inputs);
    float *z[LANES], *h[PANEL_FROM];
    for (int lane = 0; lane < LANES; lane++)
        z[lane] = taken(&workspace, (size_t)rows);
    for (int s = 0; s < job->sequences; s++) {
        h[s] = taken(&workspace, (size_t)hidden);
        if (team.index == 0)
            memcpy(h[s], job->h + (ptrdiff_t)(job->first + s) * hidden, sizeof(float) * (size_t)hidden);
    }
    for (int first = 0; first < pairs; first += LANES) {
        const int count = minimum(LANES, pairs - first);
        const float *vectors[LANES];
        for (int k = 0; k < count; k++)
            vectors[k] = job->x + place_of(job, (first + k) / job->sequences, (first + k) % job->sequences) * inputs;
        if (count < PANEL_FROM) {
            for (int k = 0; k < count; k++) {
                int begin = start_of(team, inputs, LANES), end = end_of(team, inputs, LANES);
                memcpy(x + begin, vectors[k] + begin, sizeof(float) * (size_t)(end - begin));
                start_with_bias(layer->bias, rows, z[k], 0, team);
                wait_for_all(team);
                product(&layer->input, x, z[k], between, 0, team);
            }
        } else {
            into_panel(vectors, count, inputs, x_panel, team);
            start_with_bias(layer->bias, rows, z_panel, 1, team);
            wait_for_all(team);
            product(&layer->input, x_panel, z_panel, between, 1, team);
            out_of_panel(z_panel, count, rows, z, team);
            wait_for_all(team);
        }
        for (int k = 0; k < count; k++) {
            const int s = (first + k) % job->sequences;
            float *y = job->y + place_of(job, (first + k) / job->sequences, s) * hidden;
            product(&layer->recurrent, h[s], z[k], between, 0, team);
            step_of_vector(z[k], hidden, job->c + (ptrdiff_t)(job->first + s) * hidden, h[s], team);
            int begin = start_of(team, hidden, LANES), end = end_of(team, hidden, LANES);
            memcpy(y + begin, h[s] + begin, sizeof(float) * (size_t)(end - begin));
            wait_for_all(team);
        }
    }
    for (int s = 0; s < job->sequences && team.index == 0; s++)
        memcpy(job->h + (ptrdiff_t)(job->first + s) * hidden, h[s], sizeof(float) * (size_t)hidden);
}

/* Many sequences, in panels of 8. */
static void run_panels(const task *job, float *workspace, share team) {
    const doped_layer *layer = job->layer;
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns, rows = 4 * hidden;
    float *between = taken(&workspace, larger(floats_between(&layer->input), floats_between(&layer->recurrent)));
    float *x = taken(&workspace, (size_t)inputs * LANES), *z = taken(&workspace, (size_t)rows * LANES);
    for (int first = 0; first < job->sequences; first += LANES) {
        const int count = minimum(LANES, job->sequences - first);
        float *h = taken(&workspace, (size_t)hidden * LANES), *c = taken(&workspace, (size_t)hidden * LANES);
        const float *inputs_of[LANES], *h_of[LANES], *c_of[LANES];
        float *outputs_of[LANES], *last_h_of[LANES], *last_c_of[LANES];
        for (int lane = 0; lane < count; lane++) {
            h_of[lane] = last_h_of[lane] = job->h + (ptrdiff_t)(job->first + first + lane) * hidden;
            c_of[lane] = last_c_of[lane] = job->c + (ptrdiff_t)(job->first + first + lane) * hidden;
        }
        into_panel(h_of, count, hidden, h, team);
        into_panel(c_of, count, hidden, c, team);
        for (int step = 0; step < job->steps; step++) {
            for (int lane = 0; lane < count; lane++) {
                inputs_of[lane] = job->x + place_of(job, step, first + lane) * inputs;
                outputs_of[lane] = job->y + place_of(job, step, first + lane) * hidden;
            }
            into_panel(inputs_of, count, inputs, x, team);
            start_with_bias(layer->bias, rows, z, 1, team);
            wait_for_all(team);
            product(&layer->input, x, z, between, 1, team);
            product(&layer->recurrent, h, z, between, 1, team);
            step_of_panel(z, hidden, c, h, team);
            wait_for_all(team);
            out_of_panel(h, count, hidden, outputs_of, team);
        }
        wait_for_all(team);
        out_of_panel(h, count, hidden, last_h_of, team);
        out_of_panel(c, count, hidden, last_c_of, team);
    }
}

static void run(const task *job, float *workspace, share team) {
    if (job->sequences < PANEL_FROM)
        run_vectors(job, workspace, team);
    else
        run_panels(job, workspace, team);
}

/* How many threads get sequences of their own; with 1 they share the work on each step instead. */
static int independent(int batch, int threads) { return threads > 1 && batch >= threads * LANES ? threads : 1; }

/* Sequences of the largest part of a batch that is dealt out in panels. */
static int largest_part(int batch, int parts) { return ((batch + LANES - 1) / LANES + parts - 1) / parts * LANES; }

size_t doped_workspace(const doped_layer *layer, int32_t batch, int32_t threads) {
    int parts = independent(batch, threads);
    return (size_t)parts * workspace_of(layer, parts > 1 ? largest_part(batch, parts) : batch);
}

void doped_run(const doped_layer *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
               float *workspace, int32_t threads) {
    task whole = {layer, steps, batch, 0, batch, x, h, c, y};
    share alone = {0, 1};
#ifdef _OPENMP
    if (threads > 1) {
        int parts = independent(batch, threads);
        size_t each = workspace_of(layer, largest_part(batch, parts));
#pragma omp parallel num_threads(threads)
        {
            share team = {omp_get_thread_num(), omp_get_num_threads()};
            if (parts > 1) { /* the runtime may give fewer threads than there are parts */
                for (int part = team.index; part < parts; part += team.count) {
                    share of_batch = {part, parts};
                    task job = whole;
                    job.first = start_of(of_batch, batch, LANES);
                    job.sequences = end_of(of_batch, batch, LANES) - job.first;
                    run(&job, workspace + (size_t)part * each, alone);
                }
            } else {
                run(&whole, workspace, team);
            }
        }
        return;
    }
#endif
    (void)threads;
    run(&whole, workspace, alone);
}

size_t doped_multiply_workspace(const doped_matrix *matrix) {
    size_t rows = (size_t)matrix->rows, columns = (size_t)matrix->columns;
    return room(floats_between(matrix)) + room(columns * LANES) + room(rows * LANES);
}

void doped_multiply(const doped_matrix *matrix, int32_t count, const float *x, float *y, float *workspace) {
    const int rows = matrix->rows, columns = matrix->columns;
    const share alone = {0, 1};
    float *between = taken(&workspace, floats_between(matrix));
    float *inputs = taken(&workspace, (size_t)columns * LANES), *outputs = taken(&workspace, (size_t)rows * LANES);
    for (int first = 0; first < count; first += LANES) {
        const int some = minimum(LANES, count - first), panel = some >= PANEL_FROM;
        const float *from[LANES];
        float *to[LANES];
        for (int k = 0; k < some; k++) {
            from[k] = x + (ptrdiff_t)(first + k) * columns;
            to[k] = y + (ptrdiff_t)(first + k) * rows;
        }
        if (panel) {
            into_panel(from, some, columns, inputs, alone);
            start_with_bias(NULL, rows, outputs, 1, alone);
            product(matrix, inputs, outputs, between, 1, alone);
            out_of_panel(outputs, some, rows, to, alone);
        }
        for (int k = 0; k < some && !panel; k++) {
            memcpy(inputs, from[k], sizeof(float) * (size_t)columns);
            start_with_bias(NULL, rows, outputs, 0, alone);
            product(matrix, inputs, outputs, between, 0, alone);
            memcpy(to[k], outputs, sizeof(float) * (size_t)rows);
        }
    }
}

/* `count` numbers through one of the activations. */
static void activated(int count, const float *x, float *y, int sigmoid) {
    for (int k = 0; k < count; k += LANES) {
        const size_t some = sizeof(float) * (size_t)minimum(LANES, count - k);
        float block[LANES] = {0};
        memcpy(block, x + k, some);
        store(block, sigmoid ? sigmoid_of(load(block)) : tanh_of(load(block)));
        memcpy(y + k, block, some);
    }
}

void doped_tanh(int32_t count, const float *x, float *y) { activated(count, x, y, 0); }
void doped_sigmoid(int32_t count, const float *x, float *y) { activated(count, x, y, 1); }
