/* Holds every instruction set of this processor to plain C, bit for bit: products with matrices of every kind, layers, texts and
 * scores, in many shapes, each array in memory of exactly its size, for a build that watches every access. Prints the sets that it
 * tried. Exit code 1 if a number differs. */
#define _POSIX_C_SOURCE 200112L /* memory at multiples of 64 bytes */
#include "int8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[] = {"avx512_vnni", "avx_vnni", "avx2", "neon_dot", "neon", "plain"};
enum { SETS = sizeof NAMES / sizeof NAMES[0] };

static unsigned state = 1;
static unsigned below(unsigned n) { return (state = state * 1664525u + 1013904223u) / 65536u % n; }

static void *made(size_t size) {
    void *array = malloc(size ? size : 1);
    if (!array)
        exit(2);
    return array;
}

static float *numbers(size_t count, float size) {
    float *array = made(count * sizeof(float));
    for (size_t k = 0; k < count; k++)
        array[k] = ((float)below(2001) / 1000 - 1) * size;
    return array;
}

/* Whole numbers of all of their range, extremes among them. */
static int8_t *whole_numbers(size_t count) {
    int8_t *array = made(count);
    for (size_t k = 0; k < count; k++)
        array[k] = (int8_t)(below(4) ? (int)below(256) - 128 : below(2) ? 127 : -128);
    return array;
}

/* Blocks of some rows and columns; those of all values, or listed ones. */
static int8_blocks blocks_of(int rows, int columns, int units, int bits, int listed) {
    int8_blocks m = {rows, columns, bits, units, NULL, NULL, NULL, NULL, NULL, NULL};
    const int groups = units ? (units + 3) / 4 : (rows + 15) / 16, across = (columns + 3) / 4;
    uint16_t *counts = made(sizeof(uint16_t) * (size_t)groups), *places = NULL;
    size_t blocks = (size_t)groups * (size_t)across;
    if (listed) {
        blocks = 0;
        places = made(sizeof(uint16_t) * (size_t)groups * (size_t)across);
        for (int g = 0; g < groups; g++) {
            counts[g] = 0;
            for (int b = 0; b < across; b++)
                if (below(3) == 0)
                    places[blocks++] = (uint16_t)b, counts[g]++;
        }
        uint16_t *exact = made(sizeof(uint16_t) * blocks);
        memcpy(exact, places, sizeof(uint16_t) * blocks);
        m.counts = counts, m.places = exact;
    }
    int8_t *values = whole_numbers(blocks * 8 * (size_t)bits);
    int32_t *sums = made(sizeof(int32_t) * 16 * (size_t)groups);
    float *scales = numbers(16 * (size_t)groups, 0.003f);
    size_t block = 0;
    for (int g = 0; g < groups; g++) {
        memset(sums + 16 * g, 0, 16 * sizeof(int32_t));
        for (int k = 0; k < (listed ? counts[g] : across); k++, block++)
            for (int at = 0; at < 64; at++) {
                const int place = at / 4, row = units ? 4 * g + place % 4 : 16 * g + place;
                const int column = 4 * (listed ? m.places[block] : k) + at % 4;
                if (row >= (units ? units : rows)) {
                    scales[16 * g + place] = 0;
                }
                int8_t *value = values + block * 8 * (size_t)bits + (bits == 8 ? at : at % 32);
                if (row >= (units ? units : rows) || column >= columns)
                    *value = (int8_t)(bits == 8 ? 0 : at < 32 ? *value & 0xf0 : *value & 0x0f);
                const int nibble = at < 32 ? (int8_t)((uint8_t)*value << 4) : (int8_t)(*value & 0xf0);
                sums[16 * g + place] += bits == 8 ? *value : nibble;
            }
    }
    m.values = values, m.sums = sums, m.scales = scales;
    return m;
}

static int8_matrix matrix_of(int kind, int left_rows, int right_rows, int left_columns, int right_columns, int gates, int bits) {
    int8_matrix m;
    memset(&m, 0, sizeof m);
    m.rows = left_rows * right_rows, m.columns = left_columns * right_columns, m.kind = kind;
    m.units = gates ? m.rows / 4 : 0;
    const int rank = 1 + (int)below(20), above = (int)below((unsigned)m.rows);
    switch (kind) {
    case INT8_DENSE:
        m.first = blocks_of(m.rows, m.columns, m.units, bits, 0);
        break;
    case INT8_LOW_RANK:
        m.first = blocks_of(rank, m.columns, 0, bits, 0), m.second = blocks_of(m.rows, rank, m.units, bits, 0);
        break;
    case INT8_HYBRID:
        m.first = blocks_of(above + 2, m.columns, 0, bits, 0), m.u = numbers(2 * (size_t)(m.rows - above), 0.3f);
        break;
    case INT8_KRONECKER:
    case INT8_KRONECKER_LEFT_FIRST: {
        const int right = kind == INT8_KRONECKER;
        m.terms = 1 + (int)below(3), m.left_rows = left_rows, m.left_columns = left_columns;
        m.first = right ? blocks_of(m.terms * right_rows, right_columns, 0, bits, 0)
                        : blocks_of(right_rows, m.terms * right_columns, 0, bits, 0);
        const int rows = right ? left_rows : left_rows * m.terms, depth = right ? left_columns * m.terms : left_columns;
        const int width = (depth + 3) / 4 * 4;
        int8_t *left = whole_numbers((size_t)rows * (size_t)width);
        int32_t *sums = made(sizeof(int32_t) * (size_t)rows);
        for (int i = 0; i < rows; i++) {
            sums[i] = 0;
            for (int k = 0; k < width; k++)
                sums[i] += left[i * width + k] = k < depth ? left[i * width + k] : 0;
        }
        m.left = left, m.left_sums = sums, m.left_scales = numbers((size_t)rows, 0.003f);
        break;
    }
    default:
        break;
    }
    if (gates && (kind == INT8_NO_STRUCTURE || below(2)))
        m.tiles = blocks_of(m.rows, m.columns, m.units, bits, 1);
    return m;
}

static void *workspace(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, size ? size : 64))
        exit(2);
    memset(memory, 0xff, size);
    return memory;
}

static int failures;
static void same(const void *found, const void *expected, size_t size, const char *what, const char *name) {
    if (memcmp(found, expected, size) == 0)
        return;
    printf("%s: %s differs from plain C\n", name, what);
    failures++;
}

static void try_matrix(const int8_matrix *m, int count) {
    float *x = numbers((size_t)count * (size_t)m->columns, 2), *expected = NULL;
    const size_t size = sizeof(float) * (size_t)count * (size_t)m->rows;
    for (int s = SETS - 1; s >= 0; s--) {
        const int8_instructions *set = int8_choose(NAMES[s]);
        if (!set)
            continue;
        float *y = made(size);
        void *memory = workspace(int8_multiply_workspace(m));
        set->multiply(m, count, x, y, memory);
        if (expected)
            same(y, expected, size, "a product", NAMES[s]);
        else
            expected = y;
        free(memory);
    }
}

/* Layers as a language model. */
static void try_model(int kind, int hidden_left, int hidden_right, int inputs_left, int inputs_right, int bits) {
    enum { LAYERS = 2, WORDS = 19, GIVEN = 10, WRITTEN = 9, STEPS = 11, BATCH = 2 };
    const int hidden = hidden_left * hidden_right, inputs = inputs_left * inputs_right;
    const size_t padded = int8_padded((size_t)hidden), places = (size_t)(hidden + 15) / 16 * 64;
    int8_layer *layers = made(LAYERS * sizeof *layers);
    for (int n = 0; n < LAYERS; n++) {
        layers[n].input = matrix_of(kind, 4 * hidden_left, hidden_right, n ? hidden_left : inputs_left,
                                    n ? hidden_right : inputs_right, 1, bits);
        layers[n].recurrent = matrix_of(kind, 4 * hidden_left, hidden_right, hidden_left, hidden_right, 1, bits);
        float *bias = numbers(places, 1);
        for (size_t at = 0; at < places; at++)
            if ((int)(at / 16 * 4 + at % 4) >= hidden)
                bias[at] = 0;
        layers[n].bias = bias;
        layers[n].reverse = (int32_t)below(2);
    }
    const int rank = (int)below(2) * 3; /* of the embedding; 0: full */
    int8_model model = {WORDS, rank, whole_numbers((size_t)WORDS * (size_t)(rank ? rank : inputs)), numbers(WORDS, 0.02f),
                        whole_numbers((size_t)rank * (size_t)inputs), numbers((size_t)rank, 0.02f),
                        matrix_of(INT8_DENSE, WORDS, 1, hidden_left, hidden_right, 0, bits), numbers(WORDS, 1)};
    float *x = numbers((size_t)STEPS * BATCH * (size_t)inputs, 1);
    const size_t outputs = (size_t)STEPS * BATCH * (size_t)hidden;
    float *expected_y = NULL;
    int32_t expected_tokens[GIVEN + WRITTEN];
    double expected_nats = 0;
    for (int s = SETS - 1; s >= 0; s--) {
        const int8_instructions *set = int8_choose(NAMES[s]);
        if (!set)
            continue;
        float *h = made(sizeof(float) * BATCH * (size_t)hidden), *c = made(sizeof(float) * BATCH * (size_t)hidden);
        memset(h, 0, sizeof(float) * BATCH * (size_t)hidden);
        memset(c, 0, sizeof(float) * BATCH * (size_t)hidden);
        float *y = made(sizeof(float) * outputs);
        void *memory = workspace(int8_workspace(&layers[0]));
        set->run(&layers[0], STEPS, BATCH, x, h, c, y, memory);
        free(memory);
        float *sx = numbers((size_t)inputs, 0), *sh = numbers(LAYERS * padded, 0), *sc = numbers(LAYERS * padded, 0);
        int8_steps steps = {LAYERS, layers, sx, sh, sc, NULL};
        steps.workspace = memory = workspace(int8_steps_workspace(&steps, &model));
        int32_t tokens[GIVEN + WRITTEN];
        for (int k = 0; k < GIVEN; k++)
            tokens[k] = k * 7 % WORDS;
        uint64_t seed = 5;
        set->generate(&model, &steps, GIVEN, WRITTEN, tokens, 1, &seed);
        set->step(&steps);
        const double nats = set->score(&model, &steps, GIVEN + WRITTEN - 1, tokens);
        free(memory);
        if (expected_y) {
            same(y, expected_y, sizeof(float) * outputs, "a layer", NAMES[s]);
            same(tokens, expected_tokens, sizeof tokens, "a text", NAMES[s]);
            same(&nats, &expected_nats, sizeof nats, "a score", NAMES[s]);
        } else {
            expected_y = y, expected_nats = nats;
            memcpy(expected_tokens, tokens, sizeof tokens);
        }
    }
}

int main(void) {
    static const int KINDS[] = {INT8_NO_STRUCTURE, INT8_DENSE, INT8_KRONECKER, INT8_KRONECKER_LEFT_FIRST, INT8_LOW_RANK, INT8_HYBRID};
    for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++)
        for (int bits = 4; bits <= 8; bits += 4)
            for (int round = 0; round < 12; round++) {
                const int a = 1 + (int)below(7), b = 1 + (int)below(7), c = 1 + (int)below(7), d = 1 + (int)below(9);
                int8_matrix m = matrix_of(KINDS[k], 4 * a, b, c, d, round % 2 || !k, bits);
                try_matrix(&m, round);
                if (round < 4)
                    try_model(KINDS[k], a, b, c, d, bits);
            }
    for (int s = 0; s < SETS; s++)
        if (int8_choose(NAMES[s]))
            printf("%s ", NAMES[s]);
    printf("\n");
    return failures != 0;
}
