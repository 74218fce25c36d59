/* Vectors of floats rounded to numbers from -127 to 127, stored as unsigned bytes with OFFSET added. */

/* A sum of this and a number of up to 2^22 is rounded to a whole one, half to even, in its lower bits. */
#define ROUNDING 12582912.0f

enum { NOT_FINITE = 0x7f800000 }; /* bits of a magnitude, from infinity on */

static const float SMALLEST = 1e-30f; /* a vector below it is rounded to zeros: 127 / it would be no float32 */

INLINE whole larger(whole a, whole b) {
#ifdef LARGER
    return LARGER(a, b);
#else
    const whole mask = a > b;
    return (mask & a) | (~mask & b);
#endif
}

/* As bits, in whose order NaN is the largest. */
INLINE whole magnitude(lanes x) { return (whole)x & 0x7fffffff; }

INLINE whole rounded(lanes x, lanes inverse) { return (whole)(x * inverse + ROUNDING) - (whole)splat(ROUNDING); }

INLINE lanes inverses(lanes largest) { return (lanes)((whole)(127.0f / largest) & (largest >= SMALLEST)); }

/* Up to LANES floats, the rest zeros. */
INLINE lanes load_some(const float *from, int count) {
    if (count >= LANES)
        return load(from);
    float block[LANES] = {0};
    memcpy(block, from, sizeof(float) * (size_t)count);
    return load(block);
}

INLINE int32_t largest_lane(whole numbers) {
    int32_t most = numbers[0];
    for (int i = 1; i < LANES; i++)
        most = numbers[i] > most ? numbers[i] : most;
    return most;
}

/* Of so many floats, as bits. */
static int32_t largest_magnitude(int count, const float *x) {
    whole most = {0};
    for (int k = 0; k < count; k += LANES)
        most = larger(most, magnitude(load_some(x + k, count - k)));
    return largest_lane(most);
}

/* Rounds `count` floats, and fills up to a whole vector; gives the scale. */
static float round_vector(int count, const float *x, int32_t magnitude_bits, uint8_t *q) {
    float largest;
    memcpy(&largest, &magnitude_bits, sizeof largest);
    if (magnitude_bits >= NOT_FINITE) {
        memset(q, OFFSET, (size_t)(count + LANES - 1) / LANES * LANES);
        return largest - largest; /* NaN */
    }
    const lanes inverse = splat(largest >= SMALLEST ? 127.0f / largest : 0);
    for (int k = 0; k < count; k += LANES)
        *(quarter *)(q + k) = __builtin_convertvector(rounded(load_some(x + k, count - k), inverse) + OFFSET, quarter);
    return largest / 127.0f;
}

static float rounded_vector(int count, const float *x, uint8_t *q) {
    return round_vector(count, x, largest_magnitude(count, x), q);
}
