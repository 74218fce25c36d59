/* All that an instruction set computes. Whoever includes this has defined LANES, OFFSET, NAME, INSTRUCTIONS and dot(). */
#include "rounding.h"
#include "blocks.h"
#include "kronecker.h"
#include "matrix.h"
#include "layer.h"

static void run(const int8_layer *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                void *workspace) {
    const ptrdiff_t inputs = layer->input.columns, hidden = layer->recurrent.columns;
    for (ptrdiff_t s = 0; s < batch; s++)
        run_sequence(layer, steps, (size_t)batch, x + s * inputs, h + s * hidden, c + s * hidden, y + s * hidden, workspace);
}

/* Where the number of a row is. */
static size_t place_of(int units, int row) {
    if (!units)
        return (size_t)row;
    const int gate = row / units, unit = row % units;
    return (size_t)(unit / 4 * ROWS + 4 * gate + unit % 4);
}

/* Products with some vectors, VECTORS at most, which lie x_stride numbers apart and are rounded first; y in the order of the rows. */
static void multiply_some(const int8_matrix *m, int count, const float *x, ptrdiff_t x_stride, float *y, size_t y_stride,
                          uint8_t *workspace) {
    const size_t stride = padded((size_t)m->columns), places = places_of(m);
    uint8_t *q = taken(&workspace, stride * VECTORS);
    float *out = taken(&workspace, sizeof(float) * places * VECTORS), scales[VECTORS];
    zero(out, places * (size_t)count);
    for (int v = 0; v < count; v++)
        scales[v] = rounded_vector(m->columns, x + v * x_stride, q + (size_t)v * stride);
    multiply_matrix(m, count, q, stride, added_to(scales, out, places), workspace);
    for (int v = 0; v < count; v++)
        for (int row = 0; row < m->rows; row++)
            y[(size_t)v * y_stride + (size_t)row] = out[(size_t)v * places + place_of(m->units, row)];
}

static void multiply(const int8_matrix *m, int32_t count, const float *x, float *y, void *workspace) {
    const size_t rows = (size_t)m->rows;
    for (int first = 0; first < count; first += VECTORS)
        multiply_some(m, minimum(VECTORS, count - first), x + (ptrdiff_t)first * m->columns, m->columns, y + (size_t)first * rows,
                      rows, workspace);
}

#include "recurrent.h"
#include "model.h"

static float round_numbers(int32_t count, const float *x, int8_t *numbers) {
    const float scale = rounded_vector(count, x, (uint8_t *)numbers);
    for (int k = 0; k < count; k++)
        numbers[k] = (int8_t)((uint8_t)numbers[k] - OFFSET);
    return scale;
}

static void sums(const int8_blocks *m, int32_t count, const int8_t *x, int32_t *out, void *workspace) {
    const size_t columns = (size_t)m->columns, stride = padded(columns);
    uint8_t *q = workspace;
    for (int first = 0; first < count; first += VECTORS) {
        const int some = minimum(VECTORS, count - first);
        for (int v = 0; v < some; v++)
            for (size_t k = 0; k < stride; k++)
                q[(size_t)v * stride + k] = (uint8_t)((k < columns ? x[(size_t)(first + v) * columns + k] : 0) + OFFSET);
        const destination to = {NULL, NULL, 0, NULL, 0, out + (size_t)first * (size_t)groups_of(m) * ROWS};
        multiply_blocks(m, some, q, stride, &to);
    }
}

const int8_instructions INSTRUCTIONS = {NAME, run, run_recurrent, step, generate, score, multiply, round_numbers, sums};
