/* Vectors of LANES 32-bit numbers, which whoever includes this names before, with GCC's and Clang's vector extensions. */
#include <string.h>

#include "room.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunknown-warning-option"
#endif
#pragma GCC diagnostic ignored "-Wpsabi" /* all functions that take vectors are inlined */

#define INLINE static inline __attribute__((always_inline))

enum {
    PARTS = ROWS / LANES, /* vectors of a group */
    BYTES = 4 * LANES
};

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t whole __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t bits_of_lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef int8_t bytes __attribute__((vector_size(4 * LANES), aligned(1), may_alias));
typedef int8_t quarter __attribute__((vector_size(LANES), aligned(1), may_alias));

INLINE lanes load(const float *from) { return *(const lanes *)from; }
INLINE void store(float *to, lanes value) { *(lanes *)to = value; }
INLINE bytes load_bytes(const void *from) { return *(const bytes *)from; }
INLINE lanes splat(float value) { return (lanes){0} + value; }

/* Four neighbouring bytes in all lanes. */
INLINE bytes splat_bytes(const void *from) {
    int32_t four;
    memcpy(&four, from, sizeof four);
    return (bytes)((whole){0} + four);
}

/* The smaller and the larger of two numbers, the second where one is NaN. Some instruction sets have instructions for that. */
#ifndef MINIMUM
INLINE lanes chosen(whole mask, lanes yes, lanes no) { return (lanes)((mask & (whole)yes) | (~mask & (whole)no)); }
#define MINIMUM(a, b) chosen((a) < (b), a, b)
#define MAXIMUM(a, b) chosen((a) > (b), a, b)
#endif
