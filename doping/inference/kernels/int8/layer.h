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

static void start_with_bias(const float *bias, size_t places, float *z) {
    if (bias)
        memcpy(z, bias, sizeof(float) * places);
    else
        zero(z, places);
}

/* One sequence; its steps lie `batch` vectors apart. The input product takes several steps at once. y may be NULL. */
static void run_sequence(const int8_layer *layer, int steps, size_t batch, const float *x, float *h, float *c, float *y,
                         uint8_t *workspace) {
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns;
    const size_t stride = padded((size_t)inputs), places = places_of(&layer->recurrent), size = sizeof(float) * (size_t)hidden;
    uint8_t *q = taken(&workspace, stride * VECTORS), *q_hidden = taken(&workspace, padded((size_t)hidden));
    float *z = taken(&workspace, sizeof(float) * places * VECTORS);
    float *h_now = taken(&workspace, sizeof(float) * padded((size_t)hidden));
    float *c_now = taken(&workspace, sizeof(float) * padded((size_t)hidden));
    float scales[VECTORS];
    zero(h_now, padded((size_t)hidden));
    zero(c_now, padded((size_t)hidden));
    memcpy(h_now, h, size);
    memcpy(c_now, c, size);
    int32_t largest = largest_magnitude(hidden, h_now);
    for (int first = 0; first < steps; first += VECTORS) {
        const int count = minimum(VECTORS, steps - first);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            const float *now = x + time * batch * (size_t)inputs;
            scales[v] = round_vector(inputs, now, largest_magnitude(inputs, now), q + (size_t)v * stride);
            start_with_bias(layer->bias, places, z + (size_t)v * places);
        }
        const destination all = {scales, z, places, NULL};
        multiply_matrix(&layer->input, count, q, stride, &all, workspace);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            const float scale = round_vector(hidden, h_now, largest, q_hidden);
            const destination one = {&scale, z + (size_t)v * places, places, NULL};
            multiply_matrix(&layer->recurrent, 1, q_hidden, padded((size_t)hidden), &one, workspace);
            largest = step_of_units(z + (size_t)v * places, hidden, c_now, h_now);
            if (y)
                memcpy(y + time * batch * (size_t)hidden, h_now, size);
        }
    }
    memcpy(h, h_now, size);
    memcpy(c, c_now, size);
}
