/* Runs the model on a few steps, or a classifier on a few texts, and compares what comes out with what Python computed when
 * the model was exported. Exit code 0 if they agree within LARGEST, else 1. A classifier tells the label of a text instead, if
 * its words are given: ./demo show me flights to boston */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expected.h"
#include "model.h"

/* In int8 arithmetic a sum in another order may round a number to the next one. */
#define LARGEST (MODEL_INT8 ? 1e-2f : 1e-4f)

static float largest_difference(const float *outputs) {
    float largest = 0;
    for (int t = 0; t < EXPECTED_STEPS; t++)
        for (int i = 0; i < EXPECTED_OUTPUTS; i++) {
            const float difference = fabsf(outputs[(size_t)t * MODEL_OUTPUTS + i] - expected_outputs[t][i]);
            if (!(difference <= largest)) largest = difference; /* also when it is not a number */
        }
    return largest;
}

#if MODEL_LABELS
static model_input id_of(const char *word) {
    model_input unknown = 0;
    for (model_input id = 0; id < MODEL_VOCABULARY; id++) {
        if (!strcmp(model_tokens[id], word)) return id;
        if (!strcmp(model_tokens[id], "<unk>")) unknown = id;
    }
    return unknown;
}

static int tell_label(int words, char **text) {
    static float logits[MODEL_LABELS];
    model_input *inputs = malloc(sizeof(model_input) * (size_t)words);
    float *workspace = malloc(sizeof(float) * model_workspace(words));
    if (!inputs || !workspace) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    for (int t = 0; t < words; t++) inputs[t] = id_of(text[t]);
    model_classify(words, inputs, logits, workspace);
    int best = 0;
    for (int label = 1; label < MODEL_LABELS; label++)
        if (logits[label] > logits[best]) best = label;
    printf("%s\n", model_labels[best]);
    free(inputs);
    free(workspace);
    return 0;
}

/* Classifies texts of one word, of two, and so on. */
static float compare(float *outputs, float *workspace) {
    for (int t = 0; t < EXPECTED_STEPS; t++)
        model_classify(t + 1, expected_inputs, outputs + (size_t)t * MODEL_OUTPUTS, workspace);
    const float difference = largest_difference(outputs);
    printf("%d texts: largest difference to Python %.2g\n", EXPECTED_STEPS, difference);
    return difference;
}

#else
static float compare(float *outputs, float *workspace) {
    static model_state state;
    float largest = 0;
    for (int at_once = MODEL_DIRECTIONS == 2; at_once < 2; at_once++) {
        model_init(&state);
        if (at_once) model_run(&state, EXPECTED_STEPS, expected_inputs, outputs, workspace);
        for (int t = 0; !at_once && t < EXPECTED_STEPS; t++)
            model_step(&state, expected_inputs + t * MODEL_INPUTS, outputs + (size_t)t * MODEL_OUTPUTS, workspace);
        const float difference = largest_difference(outputs);
        printf("%s: largest difference to Python %.2g\n", at_once ? "all steps at once" : "a step at a time", difference);
        if (!(difference <= largest)) largest = difference;
    }
    return largest;
}

#if MODEL_VOCABULARY
/* Goes on with the likeliest token, sixty times. */
static void write_text(float *logits, float *workspace) {
    model_state state;
    model_input token = expected_inputs[0];
    model_init(&state);
    printf("text: ");
    for (int t = 0; t < 60; t++) {
        model_step(&state, &token, logits, workspace);
        token = 0;
        for (int v = 1; v < MODEL_VOCABULARY; v++)
            if (logits[v] > logits[token]) token = v;
        printf("%s%s", model_tokens[token], MODEL_WORDS ? " " : "");
    }
    printf("\n");
}
#endif
#endif

int main(int count, char **arguments) {
#if MODEL_LABELS
    if (count > 1) return tell_label(count - 1, arguments + 1);
#else
    (void)count;
    (void)arguments;
#endif
    float *outputs = malloc(sizeof(float) * EXPECTED_STEPS * MODEL_OUTPUTS);
    float *workspace = malloc(sizeof(float) * model_workspace(EXPECTED_STEPS));
    if (!outputs || !workspace) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    const float largest = compare(outputs, workspace);
    for (int t = 0; t < EXPECTED_STEPS; t++) {
        printf("%s %d:", MODEL_LABELS ? "text" : "step", t);
        for (int i = 0; i < EXPECTED_OUTPUTS && i < 6; i++) printf(" %.6f", outputs[(size_t)t * MODEL_OUTPUTS + i]);
        printf("\n");
    }
#if MODEL_VOCABULARY && !MODEL_LABELS
    write_text(outputs, workspace);
#endif
    free(outputs);
    free(workspace);
    return largest <= LARGEST ? 0 : 1;
}
