/* LSTM layers in int8 arithmetic: compressed weights of 8 or 4 bits times vectors that are rounded to 8 bits, summed in
 * int32.
 *
 * Plain C99 to call. One file per instruction set computes all of it, and all give the same results, bit for bit: sums of
 * int8 products are exact in int32, and the float32 operations around them are the same ones in the same order. For that,
 * compile with -ffp-contract=off. The files for x86 name their instructions themselves; so one library runs on any x86-64
 * processor. Nothing here allocates or keeps state of its own; whoever fills the structures answers for shapes and indices.
 *
 * Rounding: a vector x becomes whole numbers q = x / s from -127 to 127, s = max |x| / 127, halves to even. A vector with
 * a number that is not finite has s = NaN, and so has every product with it.
 */
#ifndef INT8_H
#define INT8_H

#include <stddef.h>
#include <stdint.h>

#include "../names.h"

/* A matrix in blocks of 16 rows x 4 columns, the row first: 64 values. The last rows and columns are filled up with zeros;
 * there are at most 65,536 columns, as many as int32 can sum.
 *
 * The blocks of the first 16 rows come first, by rising columns. With `counts` there is a number of blocks for each group
 * of 16 rows, and `places` has a block's first column / 4; without, all blocks are there.
 *
 * Groups of rows: rows 16 g .. 16 g + 15; or, in gate order, with `units` > 0, the four gates of units 4 g .. 4 g + 3: its place
 * 4 k + u is row k units + 4 g + u.
 *
 * Values of 4 bits, -8 .. 7, are in 32 bytes per block: byte k has value k in its lower half and value 32 + k in its upper
 * one. A row's values count times its scale: 16 scales per group, 0 for a row that fills up. Scales are float32, or the
 * upper half of one (bfloat16) in `short_scales`. `sums` are those of a row's values (times 16 for values of 4 bits). */
typedef struct {
    int32_t rows, columns;
    int32_t bits; /* 8 or 4 */
    int32_t units;
    const void *values;
    const uint16_t *counts, *places;
    const float *scales;
    const uint16_t *short_scales;
    const int32_t *sums;
} int8_blocks;

/* What M is, as in doped_lstm.h. */
enum int8_kind {
    INT8_NO_STRUCTURE = 0,
    INT8_DENSE = 1,     /* first: W */
    INT8_KRONECKER = 2, /* the sum of `terms` products B_r x C_r, computed as B (X C^T).
                           first: the C_r one under another, (terms right_rows, right_columns);
                           left: int8 (left_rows, left_columns terms) with B_r[i][j] at [i][j terms + r] */
    INT8_LOW_RANK = 3,  /* first: V; second: U */
    INT8_HYBRID = 4,    /* [A ; u1 v1^T | u2 v2^T].  first: A, under it v1 and v2 with zeros beside;
                           u: u1 and u2, (2, rows below) */
    INT8_MONARCH = 6,   /* left_rows x left_columns (C x B) blocks, each U V of rank `terms` (R), as in doped_lstm.h.
                           first: V, (B C R, columns); second: U, (rows, C B R), whose columns are in the order (C, B, R); of both
                           the blocks that are not zero */
    INT8_KRONECKER_LEFT_FIRST = 5 /* the same sum, computed as (B X) C^T.
                           first: the C_r side by side, (right_rows, terms right_columns);
                           left: int8 (left_rows terms, left_columns) with B_r[i][j] at [i terms + r][j] */
};

/* W = M + S; what its kind does not name is 0. S is `tiles`, if that has rows. With `units` > 0 the product is in gate order, as a
 * layer wants it: the blocks that give it (W, U, tiles) have so many units, too. */
typedef struct {
    int32_t rows, columns;
    int32_t units;
    int32_t kind; /* enum int8_kind */
    int8_blocks first, second, tiles;
    int32_t terms, left_rows, left_columns;
    const int8_t *left; /* rows padded to a multiple of 4 with zeros; scales and sums of its rows */
    const float *left_scales;
    const int32_t *left_sums;
    const float *u;
} int8_matrix;

/* One layer in one direction, with the gates in PyTorch's order (input, forget, cell, output). */
typedef struct {
    int8_matrix input;     /* (4 hidden, inputs), in gate order */
    int8_matrix recurrent; /* (4 hidden, hidden), in gate order */
    const float *bias;     /* in gate order, (groups, 16), zeros up to whole 16 units; always there */
    int32_t reverse;       /* 1: from the last step to the first */
} int8_layer;

/* What a layer does with its gates, as in doped_lstm.h. */
enum int8_cell { INT8_LSTM = 0, INT8_GRU = 1, INT8_RNN_TANH = 2, INT8_RNN_RELU = 3 };

/* Any recurrent layer in one direction; hidden is the number of rows divided by that of the gates (4, 3 or 1). */
typedef struct {
    int8_matrix input;           /* (gates hidden, inputs), in the order of its rows */
    int8_matrix recurrent;       /* (gates hidden, outputs), the same */
    int8_matrix projection;      /* of an LSTM, (outputs, hidden); without, its rows are 0, and outputs is hidden */
    const float *input_bias;     /* (gates hidden); always there */
    const float *recurrent_bias; /* (gates hidden); always there */
    int32_t cell;                /* enum int8_cell */
    int32_t reverse;             /* 1: from the last step to the first */
} int8_recurrent;

/* Layers of one direction, one above the other, and the memory of a sequence that is read step by step. */
typedef struct {
    int32_t layers;
    const int8_layer *layer; /* (layers), all of the same hidden size */
    float *x;                /* (inputs): what the next step reads */
    float *h, *c;            /* (layers, int8_padded(hidden)): the state, zeros behind it; h of the last layer is the output */
    void *workspace;
} int8_steps;

/* A language model: an embedding of int8 with a scale per row, layers, and the logits of the next token. */
typedef struct {
    int32_t vocabulary;
    int32_t embedding_rank;  /* of an embedding U V; 0: it is of full rank */
    const int8_t *embedding; /* (vocabulary, inputs); U: (vocabulary, embedding_rank) */
    const float *embedding_scales;
    const int8_t *embedding_v; /* V: (embedding_rank, inputs) */
    const float *embedding_v_scales;
    int8_matrix softmax; /* (vocabulary, hidden), in the order of its rows */
    const float *softmax_bias;
} int8_model;

/* What an instruction set computes. Workspaces start at a multiple of 64 bytes. */
typedef struct {
    const char *name;

    /* Run over a sequence: x (steps, batch, inputs) -> y (steps, batch, hidden). The state h and c, each (batch, hidden),
     * is read and then holds the last one. No two of the arrays may overlap. */
    void (*run)(const int8_layer *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                void *workspace);

    /* The same of any recurrent layer: h (batch, outputs), and c (batch, hidden) of an LSTM, else NULL. */
    void (*run_recurrent)(const int8_recurrent *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                          void *workspace);

    /* Read the x of a sequence: one step of every layer. */
    void (*step)(const int8_steps *steps);

    /* Go on with a text: reads the first `given` of tokens (given + count), at least one, and writes the others, each drawn from the
     * softmax of the logits / temperature, with 0 the likeliest. `seed` is of the draws, and holds the next one. */
    void (*generate)(const int8_model *model, const int8_steps *steps, int32_t given, int32_t count, int32_t *tokens,
                     float temperature, uint64_t *seed);

    /* Reads tokens (count + 1), all but the last; gives the sum of their negative log-likelihoods, each token's after those before. */
    double (*score)(const int8_model *model, const int8_steps *steps, int32_t count, const int32_t *tokens);

    /* Product with each of `count` vectors, which are rounded first: x (count, columns) -> y (count, rows). */
    void (*multiply)(const int8_matrix *matrix, int32_t count, const float *x, float *y, void *workspace);

    /* Rounded numbers of a vector, from -127 to 127, with room up to a multiple of 16; gives their scale. */
    float (*round)(int32_t count, const float *x, int8_t *rounded);

    /* The sums alone, of numbers from -127 to 127: x (count, columns) -> sums (count, groups of rows, 16), the last times
     * 16 for values of 4 bits. For tests. */
    void (*sums)(const int8_blocks *blocks, int32_t count, const int8_t *x, int32_t *sums, void *workspace);
} int8_instructions;

/* The instruction set of this name: plain; avx2, avx_vnni, avx512_vnni; neon, neon_dot. NULL if this processor does not
 * have it. With NULL for the name, the fastest that it has. */
const int8_instructions *int8_choose(const char *name);

/* Numbers of a vector with the room that vectors of a processor need behind it. */
size_t int8_padded(size_t count);

/* Bytes of workspace for a layer, for any recurrent one, for the steps of several (`model` may be NULL: `step` alone), and for products with a matrix. */
size_t int8_workspace(const int8_layer *layer);
size_t int8_recurrent_workspace(const int8_recurrent *layer);
size_t int8_steps_workspace(const int8_steps *steps, const int8_model *model);
size_t int8_multiply_workspace(const int8_matrix *matrix);

#endif
