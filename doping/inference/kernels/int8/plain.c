/* Plain C, for every processor: what the others are held to. */
#define LANES 4
#define OFFSET 0
#define NAME "plain"
#define INSTRUCTIONS int8_plain
#include "vectors.h"

/* sum[i] += the four products at place i: as a processor without vectors computes them. */
INLINE whole dot(whole sum, bytes x, bytes w) {
    int8_t a[BYTES], b[BYTES];
    int32_t products[LANES];
    memcpy(a, &x, sizeof a);
    memcpy(b, &w, sizeof b);
    for (int i = 0; i < LANES; i++)
        products[i] = a[4 * i] * b[4 * i] + a[4 * i + 1] * b[4 * i + 1] + a[4 * i + 2] * b[4 * i + 2] + a[4 * i + 3] * b[4 * i + 3];
    return sum + (whole){products[0], products[1], products[2], products[3]};
}

#include "kernels.h"
