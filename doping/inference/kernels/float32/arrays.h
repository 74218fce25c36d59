/* Arrays of the workspace, and 8 vectors as a panel. */
#ifndef DOPED_ARRAYS_H
#define DOPED_ARRAYS_H

#include "team.h"
#include "vectors.h"

enum { PADDING = 16 /* floats that may be read behind an array of the workspace */ };

/* Floats of workspace that an array takes. */
static inline size_t room(size_t floats) { return (floats + 2 * PADDING - 1) / PADDING * PADDING; }

/* The next array of the workspace. */
static inline float *taken(float **workspace, size_t floats) {
    float *array = *workspace;
    *workspace += room(floats);
    return array;
}

/* A part of `count` columns of up to 8 vectors -> a panel (columns, 8); lanes without a vector are 0. */
static inline void into_panel(const float *const *vectors, int count, int columns, float *panel, share team) {
    for (int n = start_of(team, columns, LANES); n < end_of(team, columns, LANES); n++)
        for (int lane = 0; lane < LANES; lane++)
            panel[(ptrdiff_t)n * LANES + lane] = lane < count ? vectors[lane][n] : 0;
}

static inline void out_of_panel(const float *panel, int count, int columns, float *const *vectors, share team) {
    int begin = start_of(team, columns, LANES), end = end_of(team, columns, LANES);
    for (int lane = 0; lane < count; lane++)
        for (int n = begin; n < end; n++)
            vectors[lane][n] = panel[(ptrdiff_t)n * LANES + lane];
}

/* y (rows) or, of a panel, (rows, 8): the bias, or 0. */
static inline void start_with_bias(const float *bias, int rows, float *y, int panel, share team) {
    int begin = start_of(team, rows, LANES), end = end_of(team, rows, LANES);
    for (int row = begin; row < end; row++) {
        if (panel)
            store(y + (ptrdiff_t)row * LANES, (lanes){0} + (bias ? bias[row] : 0));
        else
            y[row] = bias ? bias[row] : 0;
    }
}

#endif
