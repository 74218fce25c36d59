/* Runs every kind of matrix and pattern in many shapes, each array in memory of exactly its size, for a build that watches every
 * access. Holds a batch against its sequences one by one: two different ways through the kernels. Exit code 1 if they differ. */
#include "doped_lstm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned state = 1;
static unsigned below(unsigned n) { return (state = state * 1664525u + 1013904223u) / 65536u % n; }

static float *numbers(size_t count) {
    float *array = malloc((count ? count : 1) * sizeof(float));
    for (size_t k = 0; k < count; k++)
        array[k] = (float)below(2001) / 4000 - 0.25f;
    return array;
}

/* Values of an array, float32 or, where there are scales for them, narrow. */
static void *values_of(size_t count, const float *scales) {
    if (!scales)
        return numbers(count);
    signed char *array = malloc(count ? count : 1);
    for (size_t k = 0; k < count; k++)
        array[k] = (signed char)((int)below(255) - 127);
    return array;
}

/* So many scales for narrow values that are as large as the others. */
static float *scales_of(size_t count, int narrow) {
    float *scales = narrow ? numbers(count) : NULL;
    for (size_t k = 0; narrow && k < count; k++)
        scales[k] /= 127;
    return scales;
}

static int padded(int n) { return (n + 7) / 8 * 8; }

static doped_matrix made(int kind, int pattern, int left_rows, int right_rows, int left_columns, int right_columns,
                         int narrow) {
    int rows = left_rows * right_rows, columns = left_columns * right_columns;
    doped_matrix m = {rows, columns, kind, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, pattern, NULL, NULL, NULL, NULL, NULL};
    if (kind == DOPED_DENSE) {
        m.weight_scales = scales_of(rows, narrow);
        m.weight = values_of((size_t)rows * columns, m.weight_scales);
    }
    if (kind == DOPED_KRONECKER || kind == DOPED_KRONECKER_LEFT_FIRST) {
        m.terms = 1 + below(3), m.left_rows = left_rows, m.left_columns = left_columns;
        m.left_scales = scales_of((size_t)left_rows * m.terms, narrow);
        m.right_scales = scales_of((size_t)m.terms * padded(right_rows), narrow);
        m.left = values_of((size_t)left_rows * left_columns * m.terms, m.left_scales);
        m.right = values_of((size_t)right_columns * m.terms * padded(right_rows), m.right_scales);
    }
    if (kind == DOPED_LOW_RANK) {
        m.rank = 1 + below(20);
        m.left_scales = scales_of(padded(rows), narrow), m.right_scales = scales_of(m.rank, narrow);
        m.left = values_of((size_t)m.rank * padded(rows), m.left_scales);
        m.right = values_of((size_t)m.rank * columns, m.right_scales);
    }
    if (kind == DOPED_HYBRID) {
        m.rank = below(rows);
        m.weight_scales = scales_of(m.rank, narrow), m.right = numbers((size_t)columns);
        m.weight = values_of((size_t)m.rank * columns, m.weight_scales);
        m.left = numbers((size_t)2 * padded(rows - m.rank));
    }
    if (pattern) {
        int groups = pattern == DOPED_GATES ? rows / 4 : (rows + 7) / 8, block = pattern == DOPED_GATES ? 4 : 8;
        uint32_t *offsets = malloc((groups + 1) * sizeof *offsets);
        offsets[0] = 0;
        for (int g = 0; g < groups; g++)
            offsets[g + 1] = offsets[g] + (narrow ? 4 * below(3) : below(8));
        size_t entries = offsets[groups], per = pattern == DOPED_UNSTRUCTURED ? 8 : 1;
        uint16_t *indices = malloc((entries * per + 1) * sizeof *indices), *order = malloc(rows * sizeof *order);
        indices = realloc(indices, entries && per ? entries * per * sizeof *indices : 1);
        for (size_t k = 0; k < entries * per; k++)
            indices[k] = (uint16_t)below(columns);
        for (int r = 0; r < rows; r++)
            order[r] = (uint16_t)(rows - 1 - r);
        m.value_scales = scales_of((size_t)groups * block, narrow);
        m.values = values_of(entries * block, m.value_scales), m.indices = indices, m.offsets = offsets, m.order = order;
    }
    return m;
}

static void release(doped_matrix *m) {
    free((void *)m->weight), free((void *)m->left), free((void *)m->right);
    free((void *)m->weight_scales), free((void *)m->left_scales), free((void *)m->right_scales);
    free((void *)m->value_scales), free((void *)m->values), free((void *)m->indices), free((void *)m->offsets), free((void *)m->order);
}

int main(void) {
    float worst = 0;
    for (int round = 0; round < 300; round++) {
        int kind = round % 6, pattern = round / 6 % 4, narrow = round / 24 % 2, units = 1 + below(5), more = 1 + below(4);
        int hidden = units * more, a = 1 + below(6), b = 1 + below(6), steps = below(20), batch = 1 + below(20);
        int left = kind == DOPED_KRONECKER_LEFT_FIRST ? 4 * units : 4, right = 4 * hidden / left, inputs = a * b;
        doped_layer layer = {made(kind, pattern, left, right, a, b, narrow),
                             made(kind, pattern, left, right, units, more, narrow),
                             numbers(4 * hidden), round % 2};
        float *x = numbers((size_t)steps * batch * inputs), *y = numbers((size_t)steps * batch * hidden);
        float *h = numbers((size_t)batch * hidden), *c = numbers((size_t)batch * hidden);
        float *h1 = malloc(hidden * sizeof(float)), *c1 = malloc(hidden * sizeof(float));
        float *x1 = numbers((size_t)steps * inputs), *y1 = numbers((size_t)steps * hidden);
        int one = below(batch);
        for (int k = 0; k < hidden; k++)
            h1[k] = h[one * hidden + k], c1[k] = c[one * hidden + k];
        for (int t = 0; t < steps; t++)
            for (int k = 0; k < inputs; k++)
                x1[t * inputs + k] = x[((size_t)t * batch + one) * inputs + k];
        for (int threads = 1; threads <= 2; threads++) {
            float *workspace = numbers(doped_workspace(&layer, batch, threads));
            float *h2 = numbers((size_t)batch * hidden), *c2 = numbers((size_t)batch * hidden);
            for (int k = 0; k < batch * hidden; k++)
                h2[k] = h[k], c2[k] = c[k];
            doped_run(&layer, steps, batch, x, h2, c2, y, workspace, threads);
            if (threads == 2)
                for (int k = 0; k < batch * hidden; k++)
                    h[k] = h2[k], c[k] = c2[k];
            free(workspace), free(h2), free(c2);
        }
        float *workspace = numbers(doped_workspace(&layer, 1, 1));
        doped_run(&layer, steps, 1, x1, h1, c1, y1, workspace, 1);
        for (int k = 0; k < hidden; k++) {
            worst = fmaxf(worst, fabsf(h1[k] - h[one * hidden + k]));
            worst = fmaxf(worst, fabsf(c1[k] - c[one * hidden + k]));
        }
        float *product_workspace = numbers(doped_multiply_workspace(&layer.input)), *product = numbers((size_t)batch * 4 * hidden);
        float *vectors = numbers((size_t)batch * inputs);
        doped_multiply(&layer.input, batch, vectors, product, product_workspace);
        free(product_workspace), free(product), free(vectors), free(workspace);
        free(x), free(y), free(h), free(c), free(x1), free(y1), free(h1), free(c1), free((void *)layer.bias);
        release(&layer.input), release(&layer.recurrent);
    }
    printf("largest difference %g\n", worst);
    return !(worst < 1e-4f);
}
