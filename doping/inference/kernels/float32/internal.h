/* What the parts of the kernels call of one another.
 *
 * Two ways to compute a product, with the same stored matrices. One vector at a time (when generating): the vector of 8 lanes runs
 * along the rows of the result. A panel of 8 vectors (8 steps of a sequence, or 8 sequences of a batch): lane k belongs to vector
 * k, so each weight is loaded once, spread over the lanes, and meets 8 neighbouring inputs; nothing is gathered.
 *
 * A product has stages, with a barrier after each where several threads share the work:
 *   1. what M computes on the way (the product with one factor), into `between`; and S x, added to the result;
 *   2. M's other factor, added to the result.
 *
 * threads.c -> lstm.c -> product.c -> structured_vector.c, structured_panel.c -> dense.c
 *                     -> cell.c    -> sparse_vector.c, sparse_panel.c                         -> avx512.c
 *
 * With DOPED_SMALL there are no panels, and small.c takes the place of dense.c, sparse_vector.c and cell.c.
 */
#ifndef DOPED_INTERNAL_H
#define DOPED_INTERNAL_H

#include "../doped_lstm.h"
#include "team.h"
#include "vectors.h"

/* From so many vectors on, a panel costs less than one vector after the other. Without panels, vectors come one at a time. */
#ifdef DOPED_SMALL
enum { PANELS = 0, AT_ONCE = 1, PANEL_FROM = 2 };
#else
enum { PANELS = 1, AT_ONCE = LANES, PANEL_FROM = 3 };
#endif

#ifdef __GNUC__
#pragma GCC visibility push(hidden)
#endif

/* dense.c */

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

void doped_multiply_dense(const dense_product *p);

/* avx512.c: the same with floats, 16 at a time, if the processor can do that. Gives how many columns are done. DOPED_NO_AVX512 leaves
 * it out. */
#if defined(__x86_64__) && !defined(DOPED_SMALL) && !defined(DOPED_NO_AVX512)
#define DOPED_AVX512
int doped_has_avx512(void);
int doped_multiply_floats_avx512(const dense_product *p);
#endif

/* y += W x for one vector; W (rows, columns) is narrow if it has scales. */
void doped_multiply_rows(const void *matrix, const float *scales, int rows, int columns, const float *x, float *y);

/* The element of an array that is narrow if it has scales. */
static inline const void *element(const void *array, ptrdiff_t index, const float *scales) {
    return scales ? (const void *)((const int8_t *)array + index) : (const void *)((const float *)array + index);
}
static inline const float *from_row(const float *scales, ptrdiff_t row) { return scales ? scales + row : NULL; }

/* structured_vector.c, structured_panel.c */

/* Floats between the stages, of a vector or a panel. */
size_t doped_floats_between(const doped_matrix *m);

/* Of a Monarch matrix: V x of the stretches begin .. end - 1 of inputs, (B, C, R, lanes), again behind it, in the order of (C, B, R). */
void doped_by_rows(const doped_matrix *m, float *between, int begin, int end, int lanes);

void doped_first_stage_of_vector(const doped_matrix *m, const float *x, float *between, share team);
void doped_second_stage_of_vector(const doped_matrix *m, const float *x, const float *between, float *y, share team);
void doped_first_stage_of_panel(const doped_matrix *m, const float *x, float *between, share team);
void doped_second_stage_of_panel(const doped_matrix *m, const float *x, const float *between, float *y, share team);

/* sparse_vector.c, sparse_panel.c: y += S x for the groups of rows begin .. end - 1. */
void doped_sparse_of_vector(const doped_matrix *m, const float *x, float *y, int begin, int end);
void doped_sparse_of_panel(const doped_matrix *m, const float *x, float *y, int begin, int end);

/* product.c: y += W x, of a vector (columns) or a panel (columns, 8). */
void doped_product(const doped_matrix *m, const float *x, float *y, float *between, int panel, share team);

/* tanh as a rational function, x P(x^2) / Q(x^2), fitted for the least largest error on |x| < 9, beyond which it is constant; off
 * by at most 5e-7, and NaN where x is. */
#define TANH_LIMIT 9.0f
#define TANH_P(z)                                                                                         \
    ((((1.3184230067781277e-08f * (z) + 2.0471835892915504e-05f) * (z) + 3.4865822547227496e-03f) * (z) + \
      1.3373198012000911e-01f) * (z) + 9.9999990635816600e-01f)
#define TANH_Q(z)                                                                                         \
    ((((7.7026662922824470e-07f * (z) + 3.2713859535124875e-04f) * (z) + 2.5841980602602423e-02f) * (z) + \
      4.6706494876227660e-01f) * (z) + 1.0f)

/* cell.c: gates z, before their activation, and the state c -> the new c and h. */

/* z (4, hidden) of one sequence; h has room up to a multiple of 8. */
void doped_step_of_vector(const float *z, int hidden, float *c, float *h, share team);
/* z (4, hidden, 8), c and h (hidden, 8). */
void doped_step_of_panel(const float *z, int hidden, float *c, float *h, share team);

/* lstm.c */

/* What a thread, or a team of them, works on: some of the sequences of a batch. */
typedef struct {
    const doped_layer *layer;
    int steps, batch, first, sequences; /* of `batch` sequences, those from `first` on */
    const float *x;
    float *h, *c, *y;
} sequence_range;

/* Floats of workspace for so many sequences. */
size_t doped_sequences_workspace(const doped_layer *layer, int sequences);
void doped_run_sequences(const sequence_range *range, float *workspace, share team);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif

#endif
