/* Layers whose step is not that of run_steps: gated recurrent units, plain ones, and LSTMs with a projection. Numbers are in the
 * order of the rows, gates one behind another. Vectors may be read and written up to a whole one behind their end. */

INLINE lanes quotient(fraction of) { return of.above / of.below; }

/* z and r (3, hidden): of the input and of the state, gates reset, update, new -> the new state. */
static void gru_step(const float *z, const float *r, int hidden, float *h) {
    for (int unit = 0; unit < hidden; unit += LANES) {
        const float *z_unit = z + unit, *r_unit = r + unit;
        const lanes reset = quotient(sigmoid_of(load(z_unit) + load(r_unit)));
        const lanes update = quotient(sigmoid_of(load(z_unit + hidden) + load(r_unit + hidden)));
        const lanes candidate = quotient(tanh_of(load(z_unit + 2 * hidden) + reset * load(r_unit + 2 * hidden)));
        store(h + unit, candidate + update * (load(h + unit) - candidate));
    }
}

/* z and r (4, hidden), gates input, forget, cell, output -> the new cell state, and the output before the projection. */
static void lstm_step(const float *z, const float *r, int hidden, float *c, float *output) {
    for (int unit = 0; unit < hidden; unit += LANES) {
        lanes gates[4];
        for (int gate = 0; gate < 4; gate++)
            gates[gate] = load(z + gate * hidden + unit) + load(r + gate * hidden + unit);
        const lanes kept = quotient(sigmoid_of(gates[1])) * load(c + unit);
        const lanes state = kept + quotient(sigmoid_of(gates[0])) * quotient(tanh_of(gates[2]));
        store(c + unit, state);
        store(output + unit, quotient(sigmoid_of(gates[3])) * quotient(tanh_of(state)));
    }
}

static void plain_step(const float *z, const float *r, int hidden, int rectified, float *h) {
    for (int unit = 0; unit < hidden; unit += LANES) {
        const lanes both = load(z + unit) + load(r + unit);
        store(h + unit, rectified ? MAXIMUM(splat(0), both) : quotient(tanh_of(both)));
    }
}

static void add(float *to, const float *what, int count) {
    for (int k = 0; k < count; k++)
        to[k] += what[k];
}

static void run_recurrent(const int8_recurrent *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
                          void *workspace) {
    const int inputs = layer->input.columns, rows = layer->input.rows, outputs = layer->recurrent.columns;
    const int hidden = rows / (layer->cell == INT8_LSTM ? 4 : layer->cell == INT8_GRU ? 3 : 1);
    const size_t stride = padded((size_t)rows);
    uint8_t *rest = workspace;
    float *z = taken(&rest, sizeof(float) * stride * VECTORS), *r = taken(&rest, sizeof(float) * stride);
    float *state = taken(&rest, sizeof(float) * padded((size_t)outputs));
    float *cells = taken(&rest, sizeof(float) * padded((size_t)hidden));
    float *before = taken(&rest, sizeof(float) * padded((size_t)hidden));
    const ptrdiff_t to_next = (ptrdiff_t)batch * inputs * (layer->reverse ? -1 : 1);
    for (int s = 0; s < batch; s++, h += outputs, c = c ? c + hidden : NULL) {
        memcpy(state, h, sizeof(float) * (size_t)outputs);
        if (c)
            memcpy(cells, c, sizeof(float) * (size_t)hidden);
        for (int first = 0; first < steps; first += VECTORS) {
            const int count = minimum(VECTORS, steps - first);
            const ptrdiff_t start = layer->reverse ? steps - 1 - first : first;
            multiply_some(&layer->input, count, x + (start * batch + s) * inputs, to_next, z, stride, rest);
            for (int v = 0; v < count; v++) {
                const ptrdiff_t time = layer->reverse ? start - v : start + v;
                float *of_input = z + (size_t)v * stride;
                multiply_some(&layer->recurrent, 1, state, 0, r, stride, rest);
                add(of_input, layer->input_bias, rows);
                add(r, layer->recurrent_bias, rows);
                if (layer->cell == INT8_GRU)
                    gru_step(of_input, r, hidden, state);
                else if (layer->cell == INT8_LSTM)
                    lstm_step(of_input, r, hidden, cells, layer->projection.rows ? before : state);
                else
                    plain_step(of_input, r, hidden, layer->cell == INT8_RNN_RELU, state);
                if (layer->projection.rows)
                    multiply_some(&layer->projection, 1, before, 0, state, (size_t)outputs, rest);
                memcpy(y + (time * batch + s) * outputs, state, sizeof(float) * (size_t)outputs);
            }
        }
        memcpy(h, state, sizeof(float) * (size_t)outputs);
        if (c)
            memcpy(c, cells, sizeof(float) * (size_t)hidden);
    }
}
