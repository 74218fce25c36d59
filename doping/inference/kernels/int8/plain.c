/* Plain C, for every processor: what the others are held to. */
#define LANES 4
#define OFFSET 0
#define NAME "plain"
#define INSTRUCTIONS int8_plain
#include "vectors.h"

/* sum[i] += the four products at place i. */
INLINE whole dot(whole sum, bytes x, bytes w) {
    for (int i = 0; i < LANES; i++)
        for (int k = 0; k < 4; k++)
            sum[i] += x[4 * i + k] * w[4 * i + k];
    return sum;
}

#include "kernels.h"
