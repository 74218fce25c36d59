/* Vectors of 8 floats, the lanes, and of 4, in the extensions that GCC and Clang share. Where the processor has shorter registers,
 * the compiler takes several. */
#ifndef DOPED_VECTORS_H
#define DOPED_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/* All functions that take vectors are inlined, so no calling convention is at stake. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wunknown-warning-option" /* older ones do not know the next one */
#endif
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

typedef float lanes __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t lanes_mask __attribute__((vector_size(32), aligned(4), may_alias));
typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t lanes_bits __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t quad_bits __attribute__((vector_size(16), aligned(1), may_alias));
typedef int32_t quad_mask __attribute__((vector_size(16)));

INLINE lanes load(const float *from) { return *(const lanes *)from; }
INLINE void store(float *to, lanes value) { *(lanes *)to = value; }
INLINE quad load4(const float *from) { return *(const quad *)from; }

/* The narrow values at one place of each word of four, the first in memory being the first, as floats. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SHIFT_UP(place) (8 * (place))
#else
#define SHIFT_UP(place) (24 - 8 * (place))
#endif
INLINE lanes widened(lanes_bits words, const int place) {
    return __builtin_convertvector((lanes_mask)(words << SHIFT_UP(place)) >> 24, lanes);
}
INLINE quad widened4(quad_bits words, const int place) {
    return __builtin_convertvector((quad_mask)(words << SHIFT_UP(place)) >> 24, quad);
}

/* GCC would load a vector anew for each product that it is in, and loads are what bounds them. This is no instruction. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__AVX__)
#define IN_REGISTER(vector) __asm__("" : "+x"(vector))
#else
#define IN_REGISTER(vector) (void)(vector)
#endif

INLINE int padded(int count) { return (count + LANES - 1) / LANES * LANES; }
INLINE float sum_of(lanes v) { return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7])); }

#endif
