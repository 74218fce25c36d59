/* Products of blocks of 16 rows x 4 columns with one or several rounded vectors. */

typedef uint16_t words __attribute__((vector_size(4 * LANES), aligned(1), may_alias));

static int minimum(int a, int b) { return a < b ? a : b; }

/* LANES rows of a block; values of 4 bits times 16. */
INLINE bytes part_of(const int8_t *block, const int part, const int bits) {
    if (bits == 8)
        return load_bytes(block + part * BYTES);
#ifdef NIBBLES
    return NIBBLES(block);
#else
    const words both = *(const words *)(block + part * BYTES % 32);
    return (bytes)((part * BYTES < 32 ? both << 4 : both) & 0xf0f0);
#endif
}

/* sum[v] += blocks times vector v, which is v `stride` bytes behind x. */
INLINE void add_blocks(const int8_t *values, const uint16_t *places, int count, const uint8_t *x, size_t stride,
                       const int vectors, const int bits, const int listed, whole sum[][PARTS]) {
    for (int k = 0; k < count; k++, values += 8 * bits) {
        const uint8_t *four = x + 4 * (size_t)(listed ? places[k] : k);
        for (int part = 0; part < PARTS; part++) {
            const bytes w = part_of(values, part, bits);
            for (int v = 0; v < vectors; v++)
                sum[v][part] = dot(sum[v][part], splat_bytes(four + (size_t)v * stride), w);
        }
    }
}

enum { AHEAD = 4096 }; /* bytes that are fetched before they are needed: a large matrix lies beyond the second cache */

/* The same for one vector, with two sums that do not wait for each other. */
INLINE void add_blocks_of_one(const int8_t *values, const uint16_t *places, int count, const uint8_t *x, const int bits,
                              const int listed, whole sum[PARTS]) {
    whole other[PARTS] = {{0}};
    const size_t size = 8 * (size_t)bits;
    int k = 0;
    for (; k + 2 <= count; k += 2, values += 2 * size) {
        for (size_t line = 0; line < 2 * size; line += LINE)
            __builtin_prefetch(values + AHEAD + line);
        const bytes even = splat_bytes(x + 4 * (size_t)(listed ? places[k] : k));
        const bytes odd = splat_bytes(x + 4 * (size_t)(listed ? places[k + 1] : k + 1));
        for (int part = 0; part < PARTS; part++) {
            sum[part] = dot(sum[part], even, part_of(values, part, bits));
            other[part] = dot(other[part], odd, part_of(values + size, part, bits));
        }
    }
    for (int part = 0; part < PARTS; part++) {
        if (k < count)
            sum[part] = dot(sum[part], splat_bytes(x + 4 * (size_t)(listed ? places[k] : k)), part_of(values, part, bits));
        sum[part] += other[part];
    }
}

/* Sums of a part of a group's rows, without the offset. */
INLINE whole exact(const int32_t *sums, int place, whole sum) {
    if (OFFSET)
        return sum - OFFSET * *(const whole *)(sums + place);
    return sum;
}

INLINE lanes scales_at(const float *scales, const uint16_t *short_scales, int place) {
    if (scales)
        return load(scales + place);
    return (lanes)(__builtin_convertvector(*(const halves *)(short_scales + place), bits_of_lanes) << 16);
}

static int groups_of(const int8_blocks *m) { return groups_in(m->rows, m->units); }

/* Where products go: y (vectors, y_stride) = `added_to` (the same) + products; that is y itself, or, with a stride of 0, a bias of
 * all vectors. Or, for tests, exact sums (vectors, groups, 16). */
typedef struct {
    const float *scales; /* of the vectors */
    float *y;
    size_t y_stride;
    const float *added_to;
    size_t added_stride;
    int32_t *sums;
} destination;

INLINE destination added_to(const float *scales, float *y, size_t stride) {
    return (destination){scales, y, stride, y, stride, NULL};
}

/* Some vectors with all blocks. What the structures point to and their fields are read once: a vector that is stored might, for all
 * that the compiler knows, change them. */
INLINE void some_vectors(const int8_blocks m, int first, const uint8_t *x, size_t stride, const int vectors, const int bits,
                         const int listed, const destination to) {
    const int all = (m.columns + 3) / 4, groups = groups_in(m.rows, m.units);
    const int8_t *values = m.values;
    const uint16_t *places = m.places;
    float scales[VECTORS];
    for (int v = 0; v < vectors; v++)
        scales[v] = to.sums ? 0 : to.scales[first + v];
    for (int group = 0; group < groups; group++) {
        whole sum[VECTORS][PARTS] = {{{0}}};
        const int count = listed ? m.counts[group] : all;
        if (vectors == 1)
            add_blocks_of_one(values, places, count, x, bits, listed, sum[0]);
        else
            add_blocks(values, places, count, x, stride, vectors, bits, listed, sum);
        values += (size_t)count * 8 * (size_t)bits;
        places = listed ? places + count : NULL;
        for (int part = 0; part < PARTS; part++) {
            const int place = group * ROWS + part * LANES;
            if (to.sums) {
                for (int v = 0; v < vectors; v++)
                    *(whole *)(to.sums + (size_t)(first + v) * (size_t)groups * ROWS + place) = exact(m.sums, place, sum[v][part]);
                continue;
            }
            const lanes row_scales = scales_at(m.scales, m.short_scales, place);
            for (int v = 0; v < vectors; v++) {
                const lanes products = __builtin_convertvector(exact(m.sums, place, sum[v][part]), lanes);
                const float *before = to.added_to + (size_t)(first + v) * to.added_stride + place;
                store(to.y + (size_t)(first + v) * to.y_stride + place, load(before) + products * (row_scales * scales[v]));
            }
        }
    }
}

INLINE void all_vectors(const int8_blocks *m, int count, const uint8_t *x, size_t stride, const int bits, const int listed,
                        const destination *to) {
    int v = 0;
    for (; v + 8 <= count; v += 8)
        some_vectors(*m, v, x + (size_t)v * stride, stride, 8, bits, listed, *to);
    for (; v + 4 <= count; v += 4)
        some_vectors(*m, v, x + (size_t)v * stride, stride, 4, bits, listed, *to);
    for (; v < count; v++)
        some_vectors(*m, v, x + (size_t)v * stride, stride, 1, bits, listed, *to);
}

/* Products with `count` vectors, each `stride` bytes behind the one before, and readable up to a multiple of 4 numbers. */
static void multiply_blocks(const int8_blocks *m, int count, const uint8_t *x, size_t stride, const destination *to) {
    if (m->bits == 8 && m->counts)
        all_vectors(m, count, x, stride, 8, 1, to);
    else if (m->bits == 8)
        all_vectors(m, count, x, stride, 8, 0, to);
    else if (m->counts)
        all_vectors(m, count, x, stride, 4, 1, to);
    else
        all_vectors(m, count, x, stride, 4, 0, to);
}

/* Arrays of the workspace, one after the other, each from a multiple of 64 bytes and with as much to spare behind it. */
static void *taken(uint8_t **workspace, size_t size) {
    void *array = *workspace;
    *workspace += room_of(size);
    return array;
}

static void zero(float *array, size_t count) { memset(array, 0, sizeof(float) * count); }
