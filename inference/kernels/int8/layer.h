/* Gates, steps and sequences. */

/* tanh as a rational function, x P(x^2) / Q(x^2), as in the float32 kernels: off by at most 5e-7, and NaN where x is. */
INLINE lanes tanh_of(lanes x) {
    const lanes limit = splat(9), one = splat(1);
    x = chosen(x > limit, limit, chosen(x < -limit, -limit, x));
    const lanes z = x * x;
    lanes p = 1.3184230067781277e-08f * z + 2.0471835892915504e-05f;
    p = p * z + 3.4865822547227496e-03f;
    p = p * z + 1.3373198012000911e-01f;
    p = p * z + 9.9999990635816600e-01f;
    lanes q = 7.7026662922824470e-07f * z + 3.2713859535124875e-04f;
    q = q * z + 2.5841980602602423e-02f;
    q = q * z + 4.6706494876227660e-01f;
    q = q * z + 1.0f;
    const lanes y = x * p / q;
    return chosen(y > one, one, chosen(y < -one, -one, y));
}

INLINE lanes sigmoid_of(lanes x) { return 0.5f * tanh_of(0.5f * x) + 0.5f; }

/* Gates z (4, hidden), before their activation -> the new c and h; z may be read up to 16 numbers behind its last one. */
static void step_of_units(const float *z, int hidden, float *c, float *h) {
    for (int unit = 0; unit < hidden; unit += LANES) {
        const float *at = z + unit;
        const lanes i = sigmoid_of(load(at)), f = sigmoid_of(load(at + hidden));
        const lanes g = tanh_of(load(at + 2 * hidden)), o = sigmoid_of(load(at + 3 * hidden));
        const lanes state = f * load_some(c + unit, hidden - unit) + i * g, output = o * tanh_of(state);
        if (unit + LANES <= hidden) {
            store(c + unit, state);
            store(h + unit, output);
        } else {
            memcpy(c + unit, &state, sizeof(float) * (size_t)(hidden - unit));
            memcpy(h + unit, &output, sizeof(float) * (size_t)(hidden - unit));
        }
    }
}

static void start_with_bias(const float *bias, int rows, float *z) {
    if (bias)
        memcpy(z, bias, sizeof(float) * (size_t)rows);
    else
        zero(z, (size_t)rows);
    zero(z + rows, ROWS);
}

/* One sequence; its steps lie `batch` vectors apart. The input product takes several steps at once. */
static void run_sequence(const int8_layer *layer, int steps, size_t batch, const float *x, float *h, float *c, float *y,
                         uint8_t *workspace) {
    const int inputs = layer->input.columns, hidden = layer->recurrent.columns, rows = 4 * hidden;
    const size_t stride = padded((size_t)inputs), row = padded((size_t)rows);
    uint8_t *q = taken(&workspace, stride * VECTORS), *q_hidden = taken(&workspace, (size_t)hidden);
    float *z = taken(&workspace, sizeof(float) * row * VECTORS);
    float scales[VECTORS];
    for (int first = 0; first < steps; first += VECTORS) {
        const int count = minimum(VECTORS, steps - first);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            scales[v] = round_vector(inputs, x + time * batch * (size_t)inputs, q + (size_t)v * stride);
            start_with_bias(layer->bias, rows, z + (size_t)v * row);
        }
        const destination all = {scales, z, row, NULL};
        multiply_matrix(&layer->input, count, q, stride, &all, workspace);
        for (int v = 0; v < count; v++) {
            const size_t time = (size_t)(layer->reverse ? steps - 1 - first - v : first + v);
            const float scale = round_vector(hidden, h, q_hidden);
            const destination one = {&scale, z + (size_t)v * row, row, NULL};
            multiply_matrix(&layer->recurrent, 1, q_hidden, (size_t)hidden, &one, workspace);
            step_of_units(z + (size_t)v * row, hidden, c, h);
            memcpy(y + time * batch * (size_t)hidden, h, sizeof(float) * (size_t)hidden);
        }
    }
}
