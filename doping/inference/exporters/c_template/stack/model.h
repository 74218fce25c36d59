/* Layers one above the other, with the weights in the program. Written by the export.
 *
 *     static model_state state;                       // zeros: a sequence begins
 *     float *workspace = malloc(sizeof(float) * model_workspace(steps));
 *     model_run(&state, steps, inputs, outputs, workspace);
 *
 * Nothing here allocates or fails, and several threads may run the model, each with its own state and workspace.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "sizes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the recurrent layers and cells remember between two calls; to be read and set as well. Of each layer, and of each
 * direction in it, the output of the last step, and of an LSTM its cell state behind that. */
typedef struct {
    float numbers[MODEL_STATE];
} model_state;

/* Begin a sequence: zeros. */
void model_init(model_state *state);

/* Floats of workspace for so many steps in one call. */
size_t model_workspace(int32_t steps);

/* Read steps of a sequence: inputs (steps, MODEL_INPUTS) -> outputs (steps, MODEL_OUTPUTS). Where a layer has both directions
 * (MODEL_WHOLE is 1), the steps are a whole sequence, and the state is begun anew before each. */
void model_run(model_state *state, int32_t steps, const float *inputs, float *outputs, float *workspace);

#ifdef __cplusplus
}
#endif
#endif
