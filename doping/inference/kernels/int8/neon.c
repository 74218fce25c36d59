/* NEON: products in 16 bits, of which two fit; pairs of them added in 32. */
#if defined(__aarch64__)
#include <arm_neon.h>

#define LANES 4
#define OFFSET 0
#define NAME "neon"
#define INSTRUCTIONS int8_neon
#define LARGER(a, b) ((whole)vmaxq_s32((int32x4_t)(a), (int32x4_t)(b)))
#include "vectors.h"

INLINE whole dot(whole sum, bytes x, bytes w) {
    const int8x16_t a = (int8x16_t)x, b = (int8x16_t)w;
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b))), high = vpaddlq_s16(vmull_high_s8(a, b));
    return sum + (whole)vpaddq_s32(low, high);
}

#include "kernels.h"
#else
typedef int int8_no_neon;
#endif
