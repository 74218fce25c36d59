/* What an LSTM does with its gates: activations, and the new state. */
#include "internal.h"

#include <string.h>

#ifndef DOPED_SMALL

INLINE lanes chosen(lanes_mask mask, lanes yes, lanes no) {
    return (lanes)((mask & (lanes_mask)yes) | (~mask & (lanes_mask)no));
}

INLINE lanes tanh_of(lanes x) {
    const lanes limit = (lanes){0} + TANH_LIMIT, one = {1, 1, 1, 1, 1, 1, 1, 1};
    x = chosen(x > limit, limit, chosen(x < -limit, -limit, x));
    const lanes z = x * x, y = x * TANH_P(z) / TANH_Q(z);
    return chosen(y > one, one, chosen(y < -one, -one, y));
}

INLINE lanes sigmoid_of(lanes x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }

/* One step of 8 units, or of one unit of 8 sequences: gates i, f, g, o before their activation -> the new c and h. */
INLINE void cell(const float *i, const float *f, const float *g, const float *o, float *c, float *h) {
    lanes state = sigmoid_of(load(f)) * load(c) + sigmoid_of(load(i)) * tanh_of(load(g));
    store(c, state);
    store(h, sigmoid_of(load(o)) * tanh_of(state));
}

/* Gates z (4, hidden) of one sequence; h has room up to a multiple of 8. */
void doped_step_of_vector(const float *z, int hidden, float *c, float *h, share team) {
    int begin = start_of(team, hidden, LANES), end = end_of(team, hidden, LANES), unit = begin;
    for (; unit + LANES <= end; unit += LANES)
        cell(z + unit, z + hidden + unit, z + 2 * hidden + unit, z + 3 * hidden + unit, c + unit, h + unit);
    if (unit < end) {
        float last[LANES] = {0};
        memcpy(last, c + unit, sizeof(float) * (size_t)(end - unit));
        cell(z + unit, z + hidden + unit, z + 2 * hidden + unit, z + 3 * hidden + unit, last, h + unit);
        memcpy(c + unit, last, sizeof(float) * (size_t)(end - unit));
    }
}

void doped_step_of_panel(const float *z, int hidden, float *c, float *h, share team) {
    const ptrdiff_t gate = (ptrdiff_t)hidden * LANES;
    for (ptrdiff_t unit = start_of(team, hidden, 1); unit < end_of(team, hidden, 1); unit++) {
        const float *at = z + unit * LANES;
        cell(at, at + gate, at + 2 * gate, at + 3 * gate, c + unit * LANES, h + unit * LANES);
    }
}

/* `count` numbers through one of the activations. */
static void activated(int count, const float *x, float *y, int sigmoid) {
    for (int k = 0; k < count; k += LANES) {
        const size_t some = sizeof(float) * (size_t)minimum(LANES, count - k);
        float block[LANES] = {0};
        memcpy(block, x + k, some);
        store(block, sigmoid ? sigmoid_of(load(block)) : tanh_of(load(block)));
        memcpy(y + k, block, some);
    }
}

void doped_tanh(int32_t count, const float *x, float *y) { activated(count, x, y, 0); }
void doped_sigmoid(int32_t count, const float *x, float *y) { activated(count, x, y, 1); }

#endif
