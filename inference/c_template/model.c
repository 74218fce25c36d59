/* The layers of the model, one behind the other. */
#include "model.h"

#include <string.h>

#include "doped_lstm.h"
#include "weights.h"

enum { INPUTS = MODEL_VOCABULARY ? MODEL_EMBEDDING : MODEL_INPUTS, WIDTH = MODEL_DIRECTIONS * MODEL_HIDDEN };

void model_init(model_state *state) { memset(state, 0, sizeof *state); }

static size_t kernel_workspace(void) {
    size_t most = 0;
    for (int s = 0; s < MODEL_STATES; s++) {
        const size_t needed = doped_workspace(&layers[s], 1, 1);
        if (needed > most) most = needed;
    }
#if MODEL_VOCABULARY
    const size_t needed = doped_multiply_workspace(&softmax);
    if (needed > most) most = needed;
#endif
    return most;
}

/* Outputs of two layers and of one direction; for a language model also inputs and outputs of them all. */
size_t model_workspace(int32_t steps) {
    const size_t ends = MODEL_VOCABULARY ? INPUTS + WIDTH : 0;
    return (size_t)steps * (2 * WIDTH + MODEL_HIDDEN + ends) + kernel_workspace();
}

static void run_layers(model_state *state, int32_t steps, const float *x, float *y, float *workspace) {
    const size_t size = (size_t)steps * WIDTH;
    float *const between[2] = {workspace, workspace + size};
    float *const one_way = workspace + 2 * size;
    float *const rest = one_way + (size_t)steps * MODEL_HIDDEN;
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        float *const out = layer + 1 == MODEL_LAYERS ? y : between[layer % 2];
        for (int direction = 0; direction < MODEL_DIRECTIONS; direction++) {
            const int s = layer * MODEL_DIRECTIONS + direction;
            float *const to = MODEL_DIRECTIONS == 1 ? out : one_way;
            doped_run(&layers[s], steps, 1, x, state->h[s], state->c[s], to, rest, 1);
            for (int32_t t = 0; MODEL_DIRECTIONS == 2 && t < steps; t++)
                memcpy(out + (size_t)t * WIDTH + direction * MODEL_HIDDEN, one_way + (size_t)t * MODEL_HIDDEN,
                       MODEL_HIDDEN * sizeof(float));
        }
        x = out;
    }
}

#if MODEL_VOCABULARY
void model_run(model_state *state, int32_t steps, const model_input *inputs, float *outputs, float *workspace) {
    float *const x = workspace;
    float *const y = x + (size_t)steps * INPUTS;
    float *const rest = y + (size_t)steps * WIDTH;
    for (int32_t t = 0; t < steps; t++) {
#if MODEL_NARROW_EMBEDDING
        for (int k = 0; k < INPUTS; k++)
            x[(size_t)t * INPUTS + k] = (float)embedding[(size_t)inputs[t] * INPUTS + k] * embedding_scales[inputs[t]];
#else
        memcpy(x + (size_t)t * INPUTS, embedding + (size_t)inputs[t] * INPUTS, INPUTS * sizeof(float));
#endif
    }
    run_layers(state, steps, x, y, rest);
    doped_multiply(&softmax, steps, y, outputs, rest);
    for (int32_t t = 0; t < steps; t++)
        for (int v = 0; v < MODEL_VOCABULARY; v++) outputs[(size_t)t * MODEL_VOCABULARY + v] += softmax_bias[v];
}
#else
void model_run(model_state *state, int32_t steps, const model_input *inputs, float *outputs, float *workspace) {
    run_layers(state, steps, inputs, outputs, workspace);
}
#endif

void model_step(model_state *state, const model_input *inputs, float *outputs, float *workspace) {
    model_run(state, 1, inputs, outputs, workspace);
}
