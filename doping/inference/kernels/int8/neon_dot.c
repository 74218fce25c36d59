/* NEON with the dot products of Armv8.2: four products of signed bytes per lane. */
#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define LANES 4
#define OFFSET 0
#define NAME "neon_dot"
#define INSTRUCTIONS int8_neon_dot
#define LARGER(a, b) ((whole)vmaxq_s32((int32x4_t)(a), (int32x4_t)(b)))
#include "vectors.h"

INLINE whole dot(whole sum, bytes x, bytes w) { return (whole)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w); }

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int int8_no_neon_dot;
#endif
