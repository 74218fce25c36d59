/* The steps of a layer, one vector at a time or in panels of 8. */
#include "internal.h"

#include <string.h>

#include "arrays.h"

static ptrdiff_t place_of(const sequence_range *range, int step, int sequence) {
    int time = range->layer->reverse ? range->steps - 1 - step : step;
    return (ptrdiff_t)time * range->batch + range->first + sequence;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t doped_sequences_workspace(const doped_layer *layer, int sequences) {
    size_t inputs = (size_t)layer->input.columns, hidden = (size_t)layer->recurrent.columns;
    size_t between = room(larger(doped_floats_between(&layer->input), doped_floats_between(&layer->recurrent)));
    size_t panels = PANELS ? room(inputs * LANES) + room(4 * hidden * LANES) : 0;
    if (!PANELS || sequences < PANEL_FROM)
        return between + panels + room(inputs) + AT_ONCE * room(4 * hidden) + (size_t)(PANELS ? sequences : 1) * room(hidden);
    return between + panels + 2 * (size_t)((sequences + LANES - 1) / LANES) * room(hidden * LANES);
}

/* A few sequences, one vector at a time; the input product is taken over 8 vectors at once, as far as inputs are known. */
static void run_vectors(const sequence_range *range, float *workspace, share team) {
    const doped_layer *layer = range->layer;
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns, rows = 4 * hidden;
    const int pairs = range->steps * range->sequences;
    float *between = taken(&workspace, larger(doped_floats_between(&layer->input), doped_floats_between(&layer->recurrent)));
    float *x_panel = PANELS ? taken(&workspace, (size_t)inputs * LANES) : NULL;
    float *z_panel = PANELS ? taken(&workspace, (size_t)rows * LANES) : NULL;
    float *x = taken(&workspace, (size_t)inputs);
    float *z[AT_ONCE], *h[PANEL_FROM];
    for (int k = 0; k < AT_ONCE; k++)
        z[k] = taken(&workspace, (size_t)rows);
    for (int s = 0; s < range->sequences; s++) {
        h[s] = taken(&workspace, (size_t)hidden);
        if (team.index == 0)
            memcpy(h[s], range->h + (ptrdiff_t)(range->first + s) * hidden, sizeof(float) * (size_t)hidden);
    }
    for (int first = 0; first < pairs; first += AT_ONCE) {
        const int count = minimum(AT_ONCE, pairs - first);
        const float *vectors[AT_ONCE];
        for (int k = 0; k < count; k++)
            vectors[k] = range->x + place_of(range, (first + k) / range->sequences, (first + k) % range->sequences) * inputs;
        if (!PANELS || count < PANEL_FROM) {
            for (int k = 0; k < count; k++) {
                int begin = start_of(team, inputs, LANES), end = end_of(team, inputs, LANES);
                memcpy(x + begin, vectors[k] + begin, sizeof(float) * (size_t)(end - begin));
                start_with_bias(layer->bias, rows, z[k], 0, team);
                wait_for_all(team);
                doped_product(&layer->input, x, z[k], between, 0, team);
            }
        } else {
            into_panel(vectors, count, inputs, x_panel, team);
            start_with_bias(layer->bias, rows, z_panel, 1, team);
            wait_for_all(team);
            doped_product(&layer->input, x_panel, z_panel, between, 1, team);
            out_of_panel(z_panel, count, rows, z, team);
            wait_for_all(team);
        }
        for (int k = 0; k < count; k++) {
            const int s = (first + k) % range->sequences;
            float *y = range->y + place_of(range, (first + k) / range->sequences, s) * hidden;
            doped_product(&layer->recurrent, h[s], z[k], between, 0, team);
            doped_step_of_vector(z[k], hidden, range->c + (ptrdiff_t)(range->first + s) * hidden, h[s], team);
            int begin = start_of(team, hidden, LANES), end = end_of(team, hidden, LANES);
            memcpy(y + begin, h[s] + begin, sizeof(float) * (size_t)(end - begin));
            wait_for_all(team);
        }
    }
    for (int s = 0; s < range->sequences && team.index == 0; s++)
        memcpy(range->h + (ptrdiff_t)(range->first + s) * hidden, h[s], sizeof(float) * (size_t)hidden);
}

#ifndef DOPED_SMALL
/* Many sequences, in panels of 8. */
static void run_panels(const sequence_range *range, float *workspace, share team) {
    const doped_layer *layer = range->layer;
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns, rows = 4 * hidden;
    float *between = taken(&workspace, larger(doped_floats_between(&layer->input), doped_floats_between(&layer->recurrent)));
    float *x = taken(&workspace, (size_t)inputs * LANES), *z = taken(&workspace, (size_t)rows * LANES);
    for (int first = 0; first < range->sequences; first += LANES) {
        const int count = minimum(LANES, range->sequences - first);
        float *h = taken(&workspace, (size_t)hidden * LANES), *c = taken(&workspace, (size_t)hidden * LANES);
        const float *inputs_of[LANES], *h_of[LANES], *c_of[LANES];
        float *outputs_of[LANES], *last_h_of[LANES], *last_c_of[LANES];
        for (int lane = 0; lane < count; lane++) {
            h_of[lane] = last_h_of[lane] = range->h + (ptrdiff_t)(range->first + first + lane) * hidden;
            c_of[lane] = last_c_of[lane] = range->c + (ptrdiff_t)(range->first + first + lane) * hidden;
        }
        into_panel(h_of, count, hidden, h, team);
        into_panel(c_of, count, hidden, c, team);
        for (int step = 0; step < range->steps; step++) {
            for (int lane = 0; lane < count; lane++) {
                inputs_of[lane] = range->x + place_of(range, step, first + lane) * inputs;
                outputs_of[lane] = range->y + place_of(range, step, first + lane) * hidden;
            }
            into_panel(inputs_of, count, inputs, x, team);
            start_with_bias(layer->bias, rows, z, 1, team);
            wait_for_all(team);
            doped_product(&layer->input, x, z, between, 1, team);
            doped_product(&layer->recurrent, h, z, between, 1, team);
            doped_step_of_panel(z, hidden, c, h, team);
            wait_for_all(team);
            out_of_panel(h, count, hidden, outputs_of, team);
        }
        wait_for_all(team);
        out_of_panel(h, count, hidden, last_h_of, team);
        out_of_panel(c, count, hidden, last_c_of, team);
    }
}
#endif

void doped_run_sequences(const sequence_range *range, float *workspace, share team) {
#ifndef DOPED_SMALL
    if (range->sequences >= PANEL_FROM) {
        run_panels(range, workspace, team);
        return;
    }
#endif
    const int at_once = PANELS ? range->sequences : 1;
    for (int s = 0; s < range->sequences; s += at_once) {
        sequence_range some = *range;
        some.first += s;
        some.sequences = at_once;
        run_vectors(&some, workspace, team);
    }
}
