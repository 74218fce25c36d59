/* Gates, steps and sequences. */

/* A fraction: fractions are multiplied before they are divided, as a division costs as much as all else of an activation. */
typedef struct {
    lanes above, below;
} fraction;

/* tanh as a rational function, x P(x^2) / Q(x^2), as in the float32 kernels: off by at most 5e-7, and NaN where x is. */
INLINE fraction tanh_of(lanes x) {
    x = MAXIMUM(splat(-9), MINIMUM(splat(9), x));
    const lanes z = x * x;
    lanes p = 1.3184230067781277e-08f * z + 2.0471835892915504e-05f;
    p = p * z + 3.4865822547227496e-03f;
    p = p * z + 1.3373198012000911e-01f;
    p = p * z + 9.9999990635816600e-01f;
    lanes q = 7.7026662922824470e-07f * z + 3.2713859535124875e-04f;
    q = q * z + 2.5841980602602423e-02f;
    q = q * z + 4.6706494876227660e-01f;
    q = q * z + 1.0f;
    return (fraction){x * p, q};
}

/* (1 + tanh (x / 2)) / 2 */
INLINE fraction sigmoid_of(lanes x) {
    const fraction half = tanh_of(0.5f * x);
    return (fraction){half.above + half.below, half.below + half.below};
}

/* Of a gate: the numbers of LANES units, four of which are in each group. */
INLINE lanes of_gate(const float *z, const int gate) {
#ifdef QUADS
    return QUADS(z + 4 * gate);
#else
    return load(z + 4 * gate);
#endif
}

/* Gates z (groups, 16), in gate order, before their activation -> the new c and h, each readable and writable up to a multiple of
 * 16 units. Gives the largest magnitude of h, as bits. */
static int32_t step_of_units(const float *z, int hidden, float *c, float *h) {
    whole most = {0};
    for (int unit = 0; unit < hidden; unit += LANES, z += 4 * LANES) {
        const fraction i = sigmoid_of(of_gate(z, 0)), f = sigmoid_of(of_gate(z, 1));
        const fraction g = tanh_of(of_gate(z, 2)), o = sigmoid_of(of_gate(z, 3));
        const lanes kept = f.above * load(c + unit) / f.below;
        const lanes state = kept + i.above * g.above / (i.below * g.below);
        const fraction shown = tanh_of(state);
        const lanes output = o.above * shown.above / (o.below * shown.below);
        store(c + unit, state);
        store(h + unit, output);
        most = larger(most, magnitude(output));
    }
    return largest_lane(most);
}

/* What goes on in a sequence between its steps; h and c have room up to a multiple of 16 units, and zeros there. */
typedef struct {
    float *h, *c;
    int32_t largest; /* magnitude of h, as bits */
} progress;

/* Steps of a sequence, which lie `batch` vectors apart. The input product takes several at once. y may be NULL. */
static void run_steps(const int8_layer *layer, int steps, size_t batch, const float *x, progress *now, float *y,
                      uint8_t *workspace) {
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns;
    const size_t stride = padded((size_t)inputs), places = places_of(&layer->recurrent);
    uint8_t *q = taken(&workspace, stride * VECTORS), *q_hidden = taken(&workspace, padded((size_t)hidden));
    float *z = taken(&workspace, sizeof(float) * places * VECTORS);
    const size_t written = (size_t)groups_in(layer->recurrent.rows, layer->recurrent.units) * ROWS;
    float scales[VECTORS];
    for (int v = 0; v < VECTORS && v < steps; v++)
        zero(z + (size_t)v * places + written, places - written);
    for (int first = 0; first < steps; first += VECTORS) {
        const int count = minimum(VECTORS, steps - first);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            scales[v] = rounded_vector(inputs, x + time * batch * (size_t)inputs, q + (size_t)v * stride);
        }
        const destination all = {scales, z, places, layer->bias, 0, NULL};
        multiply_matrix(&layer->input, count, q, stride, all, workspace);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            const float scale = round_vector(hidden, now->h, now->largest, q_hidden);
            float *gates = z + (size_t)v * places;
            multiply_matrix(&layer->recurrent, 1, q_hidden, padded((size_t)hidden), added_to(&scale, gates, places), workspace);
            now->largest = step_of_units(gates, hidden, now->c, now->h);
            if (y)
                memcpy(y + time * batch * (size_t)hidden, now->h, sizeof(float) * (size_t)hidden);
        }
    }
}

/* The same with a state that has no room behind it. */
static void run_sequence(const int8_layer *layer, int steps, size_t batch, const float *x, float *h, float *c, float *y,
                         uint8_t *workspace) {
    const size_t hidden = (size_t)layer->recurrent.columns, floats = padded(hidden), size = sizeof(float) * hidden;
    progress now = {taken(&workspace, sizeof(float) * floats), taken(&workspace, sizeof(float) * floats), 0};
    zero(now.h, floats);
    zero(now.c, floats);
    memcpy(now.h, h, size);
    memcpy(now.c, c, size);
    now.largest = largest_magnitude((int)hidden, now.h);
    run_steps(layer, steps, batch, x, &now, y, workspace);
    memcpy(h, now.h, size);
    memcpy(c, now.c, size);
}
