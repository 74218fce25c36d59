/* LSTM layers whose weight matrices are compressed: W = M + S, a structured matrix M plus a sparse matrix S.
 *
 * C99 to call, or C++. The implementation, in float32/, uses the vector extensions that GCC and Clang share; on x86 it asks
 * for AVX-512 when it runs. Compile it with -O3 -ffp-contract=fast and the flag for the processor (-march=native).
 * Nothing here allocates, keeps state of its own, or fails: whoever fills the structures answers for shapes and indices.
 * With -fopenmp a layer can run on several threads; without, `threads` is ignored and no system is needed.
 * With -DDOPED_SMALL, for a processor without vectors, small.c computes one vector at a time: little code, stack and workspace, but
 * several steps or sequences at once are no faster than one after the other. All parts are compiled with it, or none.
 *
 * Matrices are stored row after row unless said otherwise. "Padded" is rounded up to a multiple of 8; what fills it is zero.
 *
 * Values are float32, or narrow: int8 times a scale of their row, a float32. An array whose scales are NULL is float32. Narrow
 * values are widened in registers, or two thousand at a time on the stack (8 KB; none with DOPED_SMALL), and never all at once.
 */
#ifndef DOPED_LSTM_H
#define DOPED_LSTM_H

#include <stddef.h>
#include <stdint.h>

#include "names.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What M is. Shapes: W is (rows, columns); Kronecker factors B (left_rows, left_columns) and
 * C (rows / left_rows, columns / left_columns). */
enum doped_kind {
    DOPED_NO_STRUCTURE = 0, /* no M */
    DOPED_DENSE = 1,        /* weight: (rows, columns) */
    DOPED_KRONECKER = 2,    /* the sum of `terms` products B_r x C_r, computed as B (X C^T), all terms at once.
                               left:  (left_rows, left_columns, terms), the entries B_r[i][j]
                               right: (columns of C, terms, padded rows of C), the entries C_r[k][l] at [l][r][k] */
    DOPED_KRONECKER_LEFT_FIRST = 3, /* the same sum, computed as (B X) C^T.
                               left:  (left_rows, terms, left_columns)
                               right: (terms, columns of C, padded rows of C) */
    DOPED_LOW_RANK = 4,     /* U V.  left: U^T, (rank, padded rows); right: V, (rank, columns) */
    DOPED_MONARCH = 6,      /* left_rows x left_columns (C x B) blocks, each U V of rank `terms` (R). Rows are cut within each of 4
                               gates, if 4 divides them.  right: V, (B, C R, columns / B); left: U, (C, rows / C, B R), the rows
                               of a gate after those of another */
    DOPED_HYBRID = 5        /* [A ; u1 v1^T | u2 v2^T] with `rank` unconstrained rows; v1 is for the first
                               columns / 2 columns.  weight: A, (rank, columns); left: u1 and u2,
                               (2, padded (rows - rank)); right: v1 and v2, (columns) */
};

/* What S is: groups of rows, each with a list of entries; those of group g are offsets[g] .. offsets[g + 1] - 1.
 * An index is a column, in 16 bits if the matrix has up to 65,536 columns, else in 32. */
enum doped_pattern {
    DOPED_NO_SPARSE = 0,    /* no S */
    DOPED_UNSTRUCTURED = 1, /* slices of 8 rows. The rows are sorted by falling number of nonzeros: slice g holds rows
                               order[8 g] .. order[8 g + 7] (fewer in the last), and its k-th entry the k-th nonzero of
                               each: 8 values and 8 indices. A row that has fewer ends with values 0. `order` has as
                               many bits as an index would have if the columns were the rows. */
    DOPED_ROWS = 2,         /* blocks of 8 rows: group g is rows 8 g .. 8 g + 7; an entry is one index and 8 values */
    DOPED_GATES = 3         /* blocks of the 4 gates of a unit: group g is rows g, g + H, g + 2 H, g + 3 H, where
                               H = rows / 4; an entry is one index and 4 values */
};

/* W = M + S; fields that its kind and pattern do not name are 0.
 *
 * Scales of narrow arrays: weight_scales has one a row of `weight`. left_scales has one a row of `left` (with left first, of each
 * term); with DOPED_LOW_RANK, one a column of it, that is a row of U. right_scales has one a row of V; with DOPED_KRONECKER, one a
 * column of `right`, (terms, padded rows of C); with left first, one a row of C, padded. `left` and `right` of DOPED_HYBRID are
 * always float32. value_scales has, for each group, as many as an entry has values; where values are narrow, the entries of a
 * group come in fours (what fills up has values 0), and the values of four entries lie as [place in an entry][entry]. */
typedef struct {
    int32_t rows, columns;
    int32_t kind; /* enum doped_kind */
    int32_t terms, left_rows, left_columns, rank;
    const void *weight, *left, *right;
    const float *weight_scales, *left_scales, *right_scales;
    int32_t pattern; /* enum doped_pattern */
    const void *values;
    const float *value_scales;
    const void *indices;
    const uint32_t *offsets;
    const void *order;
} doped_matrix;

/* One layer in one direction, with the gates in PyTorch's order (input, forget, cell, output). */
typedef struct {
    doped_matrix input;     /* (4 hidden, inputs) */
    doped_matrix recurrent; /* (4 hidden, hidden) */
    const float *bias;      /* (4 hidden): the sum of both of PyTorch's biases; NULL for none */
    int32_t reverse;        /* 1: from the last step to the first, as the second direction of a bidirectional LSTM */
} doped_layer;

/* Floats of workspace that doped_run needs for this batch and number of threads. */
size_t doped_workspace(const doped_layer *layer, int32_t batch, int32_t threads);

/* Run over a sequence: x (steps, batch, inputs) -> y (steps, batch, hidden). The state h and c, each (batch, hidden), is
 * read and then holds the last one. No two of the arrays may overlap. steps may be 0; batch is at least 1. */
void doped_run(const doped_layer *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
               float *workspace, int32_t threads);

/* Floats of workspace that doped_multiply needs. */
size_t doped_multiply_workspace(const doped_matrix *matrix);

/* Product with each of `count` vectors: x (count, columns) -> y (count, rows). */
void doped_multiply(const doped_matrix *matrix, int32_t count, const float *x, float *y, float *workspace);

/* What a layer does with its gates, in PyTorch's order: LSTM (input, forget, cell, output), GRU (reset, update, new), or RNN. */
enum doped_cell { DOPED_LSTM = 0, DOPED_GRU = 1, DOPED_RNN_TANH = 2, DOPED_RNN_RELU = 3 };

/* Any recurrent layer in one direction. hidden is the number of rows divided by that of the gates (4, 3 or 1). */
typedef struct {
    doped_matrix input;          /* (gates hidden, inputs) */
    doped_matrix recurrent;      /* (gates hidden, outputs) */
    doped_matrix projection;     /* of an LSTM, (outputs, hidden); without, its rows are 0, and outputs is hidden */
    const float *input_bias;     /* (gates hidden), or NULL */
    const float *recurrent_bias; /* (gates hidden), or NULL */
    int32_t cell;                /* enum doped_cell */
    int32_t reverse;             /* 1: from the last step to the first */
} doped_recurrent;

/* Floats of workspace that doped_recurrent_run needs for this batch. */
size_t doped_recurrent_workspace(const doped_recurrent *layer, int32_t batch);

/* Run over a sequence: x (steps, batch, inputs) -> y (steps, batch, outputs). The state, h (batch, outputs) and for an LSTM
 * c (batch, hidden), is read and then holds the last one. No two of the arrays may overlap. */
void doped_recurrent_run(const doped_recurrent *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                         float *workspace);

/* The activations as the layers compute them, of `count` numbers. */
void doped_tanh(int32_t count, const float *x, float *y);
void doped_sigmoid(int32_t count, const float *x, float *y);

#ifdef __cplusplus
}
#endif

#endif
