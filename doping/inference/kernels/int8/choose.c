/* The instruction sets of this processor, and how much workspace they all need. */
#include <string.h>

#include "room.h"

extern const int8_instructions int8_plain;

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

extern const int8_instructions int8_avx2, int8_avx_vnni, int8_avx512_vnni;

static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }

static int has_avx_vnni(void) {
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

static int has_avx512_vnni(void) {
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif

extern const int8_instructions int8_neon, int8_neon_dot;

static int has_neon(void) { return 1; }

static int has_neon_dot(void) {
#if defined(__ARM_FEATURE_DOTPROD)
    return 1;
#elif defined(__linux__)
    return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
#else
    return 0;
#endif
}
#endif

static int always(void) { return 1; }

/* The fastest first. */
static const struct {
    const int8_instructions *instructions;
    int (*here)(void);
} KNOWN[] = {
#if defined(__x86_64__) || defined(__i386__)
    {&int8_avx512_vnni, has_avx512_vnni}, {&int8_avx_vnni, has_avx_vnni}, {&int8_avx2, has_avx2},
#elif defined(__aarch64__)
    {&int8_neon_dot, has_neon_dot}, {&int8_neon, has_neon},
#endif
    {&int8_plain, always},
};

const int8_instructions *int8_choose(const char *name) {
    for (size_t k = 0; k < sizeof KNOWN / sizeof KNOWN[0]; k++)
        if ((!name || strcmp(name, KNOWN[k].instructions->name) == 0) && KNOWN[k].here())
            return KNOWN[k].instructions;
    return NULL;
}

size_t int8_padded(size_t count) { return padded(count); }

static size_t larger_of(size_t a, size_t b) { return a > b ? a : b; }

static size_t of_matrix(const int8_matrix *m) {
    const size_t between = padded((size_t)m->first.rows);
    const size_t in_order = m->units ? room_of(sizeof(float) * padded((size_t)m->rows) * VECTORS) : 0;
    switch (m->kind) {
    case INT8_KRONECKER:
        return in_order + room_of(sizeof(float) * between * (size_t)m->left_columns) +
               room_of(((size_t)(m->left_columns * m->terms) + 3) / 4 * LINE) +
               room_of(sizeof(float) * (size_t)m->left_columns);
    case INT8_KRONECKER_LEFT_FIRST: {
        const size_t depth = (size_t)m->first.columns, rows = (size_t)m->left_rows;
        return in_order + room_of(sizeof(float) * depth * rows) + room_of(padded(depth) * rows) +
               room_of(((size_t)m->left_columns + 3) / 4 * LINE) + room_of(sizeof(float) * rows);
    }
    case INT8_LOW_RANK:
    case INT8_MONARCH:
        return room_of(sizeof(float) * between * VECTORS) + room_of(between * VECTORS) +
               (m->kind == INT8_MONARCH ? room_of(sizeof(float) * between) : 0);
    case INT8_HYBRID:
        return in_order + room_of(sizeof(float) * between * VECTORS);
    default:
        return 0;
    }
}

size_t int8_workspace(const int8_layer *layer) {
    const size_t inputs = padded((size_t)layer->input.columns), hidden = padded((size_t)layer->recurrent.columns);
    return room_of(inputs * VECTORS) + room_of(hidden) + 2 * room_of(sizeof(float) * hidden) +
           room_of(sizeof(float) * places_of(&layer->recurrent) * VECTORS) +
           larger_of(of_matrix(&layer->input), of_matrix(&layer->recurrent));
}

size_t int8_multiply_workspace(const int8_matrix *m) {
    return room_of(padded((size_t)m->columns) * VECTORS) + room_of(sizeof(float) * places_of(m) * VECTORS) +
           of_matrix(m);
}

size_t int8_recurrent_workspace(const int8_recurrent *layer) {
    const size_t floats = sizeof(float) * padded((size_t)layer->input.rows);
    const size_t outputs = sizeof(float) * padded((size_t)layer->recurrent.columns);
    size_t product = larger_of(int8_multiply_workspace(&layer->input), int8_multiply_workspace(&layer->recurrent));
    if (layer->projection.rows)
        product = larger_of(product, int8_multiply_workspace(&layer->projection));
    /* The arrays of hidden numbers take no more than those of all rows. */
    return room_of(floats * VECTORS) + room_of(floats) + room_of(outputs) + 2 * room_of(floats) + product;
}

size_t int8_steps_workspace(const int8_steps *steps, const int8_model *model) {
    size_t of_layer = 0;
    for (int32_t n = 0; n < steps->layers; n++)
        of_layer = larger_of(of_layer, int8_workspace(&steps->layer[n]));
    if (!model)
        return of_layer;
    const size_t inputs = (size_t)steps->layer[0].input.columns, hidden = (size_t)steps->layer[0].recurrent.columns;
    return room_of(sizeof(float) * inputs * VECTORS) + 2 * room_of(sizeof(float) * hidden * VECTORS) +
           room_of(sizeof(float) * (size_t)model->vocabulary * VECTORS) +
           larger_of(of_layer, int8_multiply_workspace(&model->softmax));
}
