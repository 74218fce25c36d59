/* Runs the layers on a few steps, and compares with what Python computed when they were exported. Exit code 0 if they agree. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "expected.h"
#include "model.h"

#define LARGEST 1e-4f

int main(void) {
    static model_state state;
    float *outputs = malloc(sizeof(float) * EXPECTED_STEPS * MODEL_OUTPUTS);
    float *workspace = malloc(sizeof(float) * model_workspace(EXPECTED_STEPS));
    float largest = 0;
    if (!outputs || !workspace) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    for (int at_once = MODEL_WHOLE; at_once < 2; at_once++) {
        float here = 0;
        model_init(&state);
        if (at_once) model_run(&state, EXPECTED_STEPS, expected_inputs, outputs, workspace);
        for (int t = 0; !at_once && t < EXPECTED_STEPS; t++)
            model_run(&state, 1, expected_inputs + t * MODEL_INPUTS, outputs + (size_t)t * MODEL_OUTPUTS, workspace);
        for (int i = 0; i < EXPECTED_STEPS * MODEL_OUTPUTS; i++) {
            const float difference = fabsf(outputs[i] - expected_outputs[i]);
            if (!(difference <= here)) here = difference; /* also when it is not a number */
        }
        printf("%s: largest difference to Python %.2g\n", at_once ? "all steps at once" : "a step at a time", here);
        if (!(here <= largest)) largest = here;
    }
    free(outputs);
    free(workspace);
    return largest <= LARGEST ? 0 : 1;
}
