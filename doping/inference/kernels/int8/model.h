/* Language models: text read, written and scored. */
#include <math.h>

/* e^x for x <= 0, off by at most 3e-7 of it: 2^n times a polynomial of the rest, which is at most half a power of two. */
INLINE lanes exp_of(lanes x) {
    x = MAXIMUM(splat(-87), x);
    const whole n = rounded(x, splat(1.44269504f));
    const lanes whole_n = __builtin_convertvector(n, lanes), rest = (x - whole_n * 0.693359375f) + whole_n * 2.12194440e-4f;
    lanes p = 1.3888889e-3f * rest + 8.3333333e-3f;
    p = p * rest + 4.1666667e-2f;
    p = p * rest + 1.6666667e-1f;
    p = p * rest + 0.5f;
    p = p * rest + 1.0f;
    p = p * rest + 1.0f;
    return p * (lanes)((n + 127) << 23);
}

static int largest_of(int count, const float *logits) {
    int best = 0;
    for (int v = 1; v < count; v++)
        if (logits[v] > logits[best])
            best = v;
    return best;
}

/* Replaces logits by e^((logit - the largest) / temperature); gives their sum. */
static double exponentials(int count, float *logits, float temperature) {
    const float largest = logits[largest_of(count, logits)];
    double sum = 0;
    for (int v = 0; v < count; v += LANES) {
        const int some = minimum(LANES, count - v);
        const lanes terms = exp_of((load_some(logits + v, some) - largest) / temperature);
        for (int lane = 0; lane < some; lane++)
            sum += logits[v + lane] = terms[lane];
    }
    return sum;
}

/* A number from 0 to 1, by SplitMix64 (Steele, Lea and Flood, 2014). */
static double drawn(uint64_t *seed) {
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static int chosen_token(int count, float *logits, float temperature, uint64_t *seed) {
    if (temperature == 0)
        return largest_of(count, logits);
    const int likeliest = largest_of(count, logits);
    double rest = exponentials(count, logits, temperature) * drawn(seed);
    for (int v = 0; v < count; v++)
        if ((rest -= logits[v]) < 0)
            return v;
    return likeliest; /* what is left by the roundings of the sum */
}

/* What a model works with, within the workspace of its steps. */
typedef struct {
    float *x, *between[2], *logits;
    uint8_t *rest;
} desk;

static desk desk_of(const int8_model *model, const int8_steps *steps) {
    const size_t inputs = (size_t)steps->layer[0].input.columns, hidden = (size_t)steps->layer[0].recurrent.columns;
    desk made;
    made.rest = steps->workspace;
    made.x = taken(&made.rest, sizeof(float) * inputs * VECTORS);
    for (int k = 0; k < 2; k++)
        made.between[k] = taken(&made.rest, sizeof(float) * hidden * VECTORS);
    made.logits = taken(&made.rest, sizeof(float) * (size_t)model->vocabulary * VECTORS);
    return made;
}

/* Steps of every layer; the outputs of the last one, (count, hidden), which are in one of `between` unless that is NULL and there
 * is one step. */
static const float *run_layers(const int8_steps *steps, int count, const float *x, float *const *between, uint8_t *workspace) {
    const int hidden = steps->layer[0].recurrent.columns;
    const size_t floats = padded((size_t)hidden);
    for (int n = 0; n < steps->layers; n++) {
        progress now = {steps->h + (size_t)n * floats, steps->c + (size_t)n * floats, 0};
        now.largest = largest_magnitude(hidden, now.h);
        float *y = between ? between[n % 2] : NULL;
        run_steps(&steps->layer[n], count, 1, x, &now, y, workspace);
        x = y ? y : now.h;
    }
    return x;
}

static void step(const int8_steps *steps) { run_layers(steps, 1, steps->x, NULL, steps->workspace); }

/* The embedding of a token, x (inputs). */
static void look_up(const int8_model *model, int32_t token, int inputs, float *x) {
    const int rank = model->embedding_rank;
    const int8_t *row = model->embedding + (ptrdiff_t)token * (rank ? rank : inputs);
    const float scale = model->embedding_scales[token];
    for (int k = 0; k < inputs; k++)
        x[k] = rank ? 0 : (float)row[k] * scale;
    for (int r = 0; r < rank; r++) {
        const int8_t *v = model->embedding_v + (ptrdiff_t)r * inputs;
        const float weight = (float)row[r] * scale * model->embedding_v_scales[r];
        for (int k = 0; k < inputs; k++)
            x[k] += weight * (float)v[k];
    }
}

/* Reads up to VECTORS tokens; the outputs of the last layer (count, hidden). */
static const float *read_tokens(const int8_model *model, const int8_steps *steps, int count, const int32_t *tokens,
                                const desk *at) {
    const int inputs = steps->layer[0].input.columns;
    for (int v = 0; v < count; v++)
        look_up(model, tokens[v], inputs, at->x + v * inputs);
    return run_layers(steps, count, at->x, at->between, at->rest);
}

static void logits_of(const int8_model *model, int count, const float *outputs, const desk *at) {
    multiply(&model->softmax, count, outputs, at->logits, at->rest);
    for (int v = 0; v < count; v++)
        for (int k = 0; k < model->vocabulary; k++)
            at->logits[v * model->vocabulary + k] += model->softmax_bias[k];
}

static void generate(const int8_model *model, const int8_steps *steps, int32_t given, int32_t count, int32_t *tokens,
                     float temperature, uint64_t *seed) {
    const desk at = desk_of(model, steps);
    const int hidden = steps->layer[0].recurrent.columns;
    const float *output = NULL;
    for (int first = 0; first < given; first += VECTORS) {
        const int some = minimum(VECTORS, given - first);
        output = read_tokens(model, steps, some, tokens + first, &at) + (ptrdiff_t)(some - 1) * hidden;
    }
    for (int k = given; k < given + count; k++) {
        if (k > given)
            output = read_tokens(model, steps, 1, tokens + k - 1, &at);
        logits_of(model, 1, output, &at);
        tokens[k] = chosen_token(model->vocabulary, at.logits, temperature, seed);
    }
}

static double score(const int8_model *model, const int8_steps *steps, int32_t count, const int32_t *tokens) {
    const desk at = desk_of(model, steps);
    const int vocabulary = model->vocabulary;
    double nats = 0;
    for (int first = 0; first < count; first += VECTORS) {
        const int some = minimum(VECTORS, count - first);
        logits_of(model, some, read_tokens(model, steps, some, tokens + first, &at), &at);
        for (int v = 0; v < some; v++) {
            float *logits = at.logits + (ptrdiff_t)v * vocabulary;
            const double shifted = (double)logits[tokens[first + v + 1]] - (double)logits[largest_of(vocabulary, logits)];
            nats += log(exponentials(vocabulary, logits, 1)) - shifted;
        }
    }
    return nats;
}
