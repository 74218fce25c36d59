/* The layers of the model, one behind the other. */
#include "model.h"

#include <math.h>
#include <string.h>

#include "weights.h"

enum { INPUTS = MODEL_VOCABULARY ? MODEL_EMBEDDING : MODEL_INPUTS, WIDTH = MODEL_DIRECTIONS * MODEL_HIDDEN };

size_t model_workspace(int32_t steps) { return MODEL_WORKSPACE(steps); }

#if MODEL_INT8
/* The kernels' workspace begins at a multiple of 64 bytes. */
static void *aligned(float *workspace) { return (void *)(((uintptr_t)workspace + 63) / 64 * 64); }

static void run_layer(const int8_layer *layer, int32_t steps, const float *x, float *h, float *c, float *y, float *workspace) {
    int8_choose(NULL)->run(layer, steps, 1, x, h, c, y, aligned(workspace));
}
#else
static void run_layer(const doped_layer *layer, int32_t steps, const float *x, float *h, float *c, float *y, float *workspace) {
    doped_run(layer, steps, 1, x, h, c, y, workspace, 1);
}
#endif

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
            run_layer(&layers[s], steps, x, state->h[s], state->c[s], to, rest);
            for (int32_t t = 0; MODEL_DIRECTIONS == 2 && t < steps; t++)
                memcpy(out + (size_t)t * WIDTH + direction * MODEL_HIDDEN, one_way + (size_t)t * MODEL_HIDDEN,
                       MODEL_HIDDEN * sizeof(float));
        }
        x = out;
    }
}

#if MODEL_VOCABULARY
static void look_up(int32_t steps, const model_input *inputs, float *x) {
    for (int32_t t = 0; t < steps; t++) {
#if MODEL_EMBEDDING_RANK
        float *const sums = x + (size_t)t * INPUTS;
        memset(sums, 0, INPUTS * sizeof(float));
        for (int r = 0; r < MODEL_EMBEDDING_RANK; r++) {
            float weight = (float)embedding[(size_t)inputs[t] * MODEL_EMBEDDING_RANK + r];
#if MODEL_NARROW_EMBEDDING
            weight = weight * embedding_scales[inputs[t]] * embedding_v_scales[r];
#endif
            for (int k = 0; k < INPUTS; k++) sums[k] += weight * (float)embedding_v[(size_t)r * INPUTS + k];
        }
#elif MODEL_NARROW_EMBEDDING
        for (int k = 0; k < INPUTS; k++)
            x[(size_t)t * INPUTS + k] = (float)embedding[(size_t)inputs[t] * INPUTS + k] * embedding_scales[inputs[t]];
#else
        memcpy(x + (size_t)t * INPUTS, embedding + (size_t)inputs[t] * INPUTS, INPUTS * sizeof(float));
#endif
    }
}
#endif

#if MODEL_LABELS
/* Shares that sum up to one, from scores. */
static void softmax_of(int32_t count, float *scores) {
    float largest = scores[0], sum = 0;
    for (int32_t t = 1; t < count; t++)
        if (scores[t] > largest) largest = scores[t];
    for (int32_t t = 0; t < count; t++) sum += scores[t] = expf(scores[t] - largest);
    for (int32_t t = 0; t < count; t++) scores[t] /= sum;
}

/* What attention reads: the mean of the outputs of all words, weighted by how well each agrees with `attention`. */
void model_classify(int32_t words, const model_input *inputs, float *logits, float *workspace) {
    model_state state = {0};
    float *const x = workspace;
    float *const y = x + (size_t)words * INPUTS;
    float *const shares = y + (size_t)words * WIDTH;
    float *const read = shares + words;
    float *const rest = read + WIDTH;
    look_up(words, inputs, x);
    run_layers(&state, words, x, y, rest);
    for (int32_t t = 0; t < words; t++) {
        shares[t] = 0;
        for (int d = 0; d < WIDTH; d++) shares[t] += y[(size_t)t * WIDTH + d] * attention[d];
    }
    softmax_of(words, shares);
    memset(read, 0, WIDTH * sizeof(float));
    for (int32_t t = 0; t < words; t++)
        for (int d = 0; d < WIDTH; d++) read[d] += shares[t] * y[(size_t)t * WIDTH + d];
#if MODEL_INT8
    for (int c = 0; c < MODEL_LABELS; c++) {
        logits[c] = 0;
        for (int d = 0; d < WIDTH; d++) logits[c] += read[d] * (float)softmax_weight[c * WIDTH + d];
        logits[c] *= softmax_scales[c];
    }
#else
    doped_multiply(&softmax, 1, read, logits, rest);
#endif
    for (int c = 0; c < MODEL_LABELS; c++) logits[c] += softmax_bias[c];
}

#else
void model_init(model_state *state) { memset(state, 0, sizeof *state); }

#if MODEL_VOCABULARY
void model_run(model_state *state, int32_t steps, const model_input *inputs, float *outputs, float *workspace) {
    float *const x = workspace;
    float *const y = x + (size_t)steps * INPUTS;
    float *const rest = y + (size_t)steps * WIDTH;
    look_up(steps, inputs, x);
    run_layers(state, steps, x, y, rest);
#if MODEL_INT8
    int8_choose(NULL)->multiply(&softmax, steps, y, outputs, aligned(rest));
#else
    doped_multiply(&softmax, steps, y, outputs, rest);
#endif
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
#endif
