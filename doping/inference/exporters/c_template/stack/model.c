/* The layers, one behind the other. */
#include "model.h"

#include <string.h>

enum kind { RECURRENT, LINEAR, RELU, TANH, SIGMOID };

/* A layer: which it is, and where its weights begin. */
typedef struct {
    int32_t kind;
    int32_t first;      /* in `recurrent`, a place for each direction; or in `linear` and `linear_bias` */
    int32_t directions; /* 1 or 2 */
    int32_t outputs;    /* of a direction */
    int32_t cells;      /* of the cell state of an LSTM, else 0 */
} stage;

#include "weights.h"

void model_init(model_state *state) { memset(state, 0, sizeof *state); }

static size_t larger_of(size_t a, size_t b) { return a > b ? a : b; }

size_t model_workspace(int32_t steps) {
    size_t kernels = 0;
    for (int s = 0; s < STAGES; s++) {
        const stage *const at = &stages[s];
        for (int d = 0; at->kind == RECURRENT && d < at->directions; d++)
            kernels = larger_of(kernels, doped_recurrent_workspace(&recurrent[at->first + d], 1));
        if (at->kind == LINEAR) kernels = larger_of(kernels, doped_multiply_workspace(&linear[at->first]));
    }
    return 3 * (size_t)steps * WIDEST + kernels;
}

static float *run_recurrent(const stage *at, int32_t steps, const float *x, float *y, float *state, float *workspace) {
    float *const one_way = workspace;
    float *const rest = workspace + (size_t)steps * WIDEST;
    for (int d = 0; d < at->directions; d++) {
        float *const to = at->directions == 1 ? y : one_way;
        doped_recurrent_run(&recurrent[at->first + d], steps, 1, x, state, at->cells ? state + at->outputs : NULL, to, rest);
        state += at->outputs + at->cells;
        for (int32_t t = 0; at->directions == 2 && t < steps; t++)
            memcpy(y + ((size_t)t * 2 + d) * at->outputs, one_way + (size_t)t * at->outputs, sizeof(float) * (size_t)at->outputs);
    }
    return state;
}

void model_run(model_state *state, int32_t steps, const float *inputs, float *outputs, float *workspace) {
    float *const between[2] = {workspace, workspace + (size_t)steps * WIDEST};
    float *const rest = workspace + 2 * (size_t)steps * WIDEST;
    float *numbers = state->numbers;
    const float *x = inputs;
    for (int s = 0; s < STAGES; s++) {
        const stage *const at = &stages[s];
        float *const y = s + 1 == STAGES ? outputs : between[s % 2];
        const int32_t count = steps * at->outputs;
        if (at->kind == RECURRENT) {
            numbers = run_recurrent(at, steps, x, y, numbers, rest);
        } else if (at->kind == LINEAR) {
            doped_multiply(&linear[at->first], steps, x, y, rest);
            for (int32_t t = 0; linear_bias[at->first] && t < steps; t++)
                for (int32_t i = 0; i < at->outputs; i++) y[(size_t)t * at->outputs + i] += linear_bias[at->first][i];
        } else if (at->kind == TANH) {
            doped_tanh(count, x, y);
        } else if (at->kind == SIGMOID) {
            doped_sigmoid(count, x, y);
        } else {
            for (int32_t i = 0; i < count; i++) y[i] = x[i] > 0 ? x[i] : 0;
        }
        x = y;
    }
}
