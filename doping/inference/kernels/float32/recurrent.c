/* Layers whose step is not that of doped_run: gated recurrent units, plain recurrent units, and LSTMs with a projection.
 *
 * The input product is taken over several steps at once; then a step is one product with the state, and what the cell does with both.
 */
#include "internal.h"

#include <string.h>

enum { STEPS_AT_ONCE = 8 };

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static int steps_at_once(int batch) { return batch < STEPS_AT_ONCE ? STEPS_AT_ONCE / batch : 1; }

size_t doped_recurrent_workspace(const doped_recurrent *layer, int32_t batch) {
    size_t product = most(doped_multiply_workspace(&layer->input), doped_multiply_workspace(&layer->recurrent));
    if (layer->projection.rows)
        product = most(product, doped_multiply_workspace(&layer->projection));
    size_t rows = (size_t)layer->input.rows;
    return product + ((size_t)steps_at_once(batch) + 2) * (size_t)batch * rows;
}

static void add(float *to, const float *what, int count) {
    for (int k = 0; what && k < count; k++)
        to[k] += what[k];
}

/* z and r (3, hidden): of the input and of the state, gates reset, update, new -> the new state. */
static void gru_step(float *z, const float *r, int hidden, float *h) {
    add(z, r, 2 * hidden);
    doped_sigmoid(2 * hidden, z, z);
    float *candidate = z + 2 * hidden;
    for (int k = 0; k < hidden; k++)
        candidate[k] += z[k] * r[2 * hidden + k];
    doped_tanh(hidden, candidate, candidate);
    for (int k = 0; k < hidden; k++)
        h[k] = candidate[k] + z[hidden + k] * (h[k] - candidate[k]);
}

/* z and r (4, hidden), gates input, forget, cell, output -> the new cell state, and the output before the projection in r. */
static void lstm_step(float *z, float *r, int hidden, float *c) {
    add(z, r, 4 * hidden);
    doped_sigmoid(2 * hidden, z, z);
    doped_tanh(hidden, z + 2 * hidden, z + 2 * hidden);
    doped_sigmoid(hidden, z + 3 * hidden, z + 3 * hidden);
    for (int k = 0; k < hidden; k++)
        c[k] = z[hidden + k] * c[k] + z[k] * z[2 * hidden + k];
    doped_tanh(hidden, c, r);
    for (int k = 0; k < hidden; k++)
        r[k] *= z[3 * hidden + k];
}

static void plain_step(float *z, const float *r, int hidden, int rectified, float *h) {
    add(z, r, hidden);
    if (!rectified)
        doped_tanh(hidden, z, h);
    for (int k = 0; rectified && k < hidden; k++)
        h[k] = z[k] < 0 ? 0 : z[k];
}

void doped_recurrent_run(const doped_recurrent *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                         float *workspace) {
    const int inputs = layer->input.columns, rows = layer->input.rows, outputs = layer->recurrent.columns;
    const int gates = layer->cell == DOPED_LSTM ? 4 : layer->cell == DOPED_GRU ? 3 : 1, hidden = rows / gates;
    const int at_once = steps_at_once(batch);
    float *z = workspace, *r = z + (ptrdiff_t)at_once * batch * rows, *before = r + (ptrdiff_t)batch * rows;
    workspace = before + (ptrdiff_t)batch * rows;
    for (int done = 0; done < steps; done += at_once) {
        const int some = minimum(at_once, steps - done), first = layer->reverse ? steps - done - some : done;
        doped_multiply(&layer->input, some * batch, x + (ptrdiff_t)first * batch * inputs, z, workspace);
        for (int k = 0; k < some; k++) {
            const int at = layer->reverse ? some - 1 - k : k;
            doped_multiply(&layer->recurrent, batch, h, r, workspace);
            for (int b = 0; b < batch; b++) {
                float *of_input = z + ((ptrdiff_t)at * batch + b) * rows, *of_state = r + (ptrdiff_t)b * rows;
                float *state = h + (ptrdiff_t)b * outputs;
                add(of_input, layer->input_bias, rows);
                add(of_state, layer->recurrent_bias, rows);
                if (layer->cell == DOPED_GRU) {
                    gru_step(of_input, of_state, hidden, state);
                } else if (layer->cell == DOPED_LSTM) {
                    lstm_step(of_input, of_state, hidden, c + (ptrdiff_t)b * hidden);
                    memcpy(layer->projection.rows ? before + (ptrdiff_t)b * hidden : state, of_state, sizeof(float) * (size_t)hidden);
                } else {
                    plain_step(of_input, of_state, hidden, layer->cell == DOPED_RNN_RELU, state);
                }
            }
            if (layer->projection.rows)
                doped_multiply(&layer->projection, batch, before, h, workspace);
            memcpy(y + (ptrdiff_t)(first + at) * batch * outputs, h, sizeof(float) * (size_t)batch * (size_t)outputs);
        }
    }
}
