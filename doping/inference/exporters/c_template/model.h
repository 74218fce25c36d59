/* A model of compressed LSTM layers, its weights compiled in. See README.md. */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "sizes.h"

#define MODEL_STATES (MODEL_LAYERS * MODEL_DIRECTIONS)

/* Floats of workspace that so many steps at once need, for a static array; a larger one will do. Outputs of two layers and of one
 * direction; where tokens are read also inputs and outputs of them all; and of a classifier the weights of its attention. */
#define MODEL_WORKSPACE(steps)                                                                                    \
    ((size_t)(steps) * (2 * MODEL_DIRECTIONS * MODEL_HIDDEN + MODEL_HIDDEN +                                      \
                        (MODEL_VOCABULARY ? MODEL_EMBEDDING + MODEL_DIRECTIONS * MODEL_HIDDEN : 0)) +             \
     (MODEL_LABELS ? (size_t)(steps) + MODEL_DIRECTIONS * MODEL_HIDDEN : 0) + MODEL_KERNELS)

/* What was compiled with DOPED_SMALL and what without do not link: their workspaces differ. */
#ifdef DOPED_SMALL
#define model_workspace model_workspace_small
#define model_classify model_classify_small
#define model_step model_step_small
#define model_run model_run_small
#endif

#if MODEL_VOCABULARY
/* A language model or a classifier reads tokens, by their ids 0 .. MODEL_VOCABULARY - 1. */
typedef int32_t model_input;
/* The tokens as UTF-8; "<unk>" stands for all others. */
extern const char *const model_tokens[MODEL_VOCABULARY];
#else
/* An LSTM reads MODEL_INPUTS numbers a step and gives MODEL_OUTPUTS. */
typedef float model_input;
#endif

/* What is remembered of one text or sequence. */
typedef struct {
    float h[MODEL_STATES][MODEL_HIDDEN];
    float c[MODEL_STATES][MODEL_HIDDEN];
} model_state;

/* The same at run time. */
size_t model_workspace(int32_t steps);

#if MODEL_LABELS
/* A classifier reads a whole text. The labels as UTF-8: */
extern const char *const model_labels[MODEL_LABELS];

/* The logits of the labels (MODEL_LABELS) of a text of so many words (words), of which there is at least one. No two of the
 * arrays may overlap. */
void model_classify(int32_t words, const model_input *inputs, float *logits, float *workspace);

#else
/* Forget all: the state before the first step. */
void model_init(model_state *state);

/* Read one step (MODEL_INPUTS) and give its outputs (MODEL_OUTPUTS): of a language model the logits of the next token. Not for
 * a model of two directions. */
void model_step(model_state *state, const model_input *inputs, float *outputs, float *workspace);

/* Read many steps at once, which is faster: inputs (steps, MODEL_INPUTS) -> outputs (steps, MODEL_OUTPUTS). No two of the
 * arrays may overlap. */
void model_run(model_state *state, int32_t steps, const model_input *inputs, float *outputs, float *workspace);
#endif

#ifdef __cplusplus
}
#endif

#endif
