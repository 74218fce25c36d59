/* AVX-512 with VNNI: vpdpbusd takes the unsigned by the signed, so numbers have 128 added, and a row's sum 128 times is
 * taken off. */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#endif

#define LANES 16
#define OFFSET 128
#define NAME "avx512_vnni"
#define INSTRUCTIONS int8_avx512_vnni
#define MINIMUM(a, b) ((lanes)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define MAXIMUM(a, b) ((lanes)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define LARGER(a, b) ((whole)_mm512_max_epi32((__m512i)(a), (__m512i)(b)))
#include "vectors.h"

INLINE whole dot(whole sum, bytes x, bytes w) {
    return (whole)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}

/* Values 0 .. 31 from the lower halves of the bytes, 32 .. 63 from the upper ones. */
INLINE bytes nibbles(const int8_t *block) {
    const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)block));
    const __m512i shift = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 0);
    return (bytes)_mm512_and_si512(_mm512_sllv_epi16(both, shift), _mm512_set1_epi8((char)0xf0));
}
#define NIBBLES(block) nibbles(block)

INLINE lanes quads(const float *z) {
    __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(z));
    all = _mm512_mask_broadcast_f32x4(all, 0x00f0, _mm_loadu_ps(z + 16));
    all = _mm512_mask_broadcast_f32x4(all, 0x0f00, _mm_loadu_ps(z + 32));
    return (lanes)_mm512_mask_broadcast_f32x4(all, 0xf000, _mm_loadu_ps(z + 48));
}
#define QUADS(z) quads(z)

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int int8_no_avx512_vnni;
#endif
