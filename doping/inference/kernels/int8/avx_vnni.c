/* AVX with VNNI: vpdpbusd as in avx512_vnni.c, in vectors half as long. */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,avxvnni")
#endif

#define LANES 8
#define OFFSET 128
#define NAME "avx_vnni"
#define INSTRUCTIONS int8_avx_vnni
#define MINIMUM(a, b) ((lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define MAXIMUM(a, b) ((lanes)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define LARGER(a, b) ((whole)_mm256_max_epi32((__m256i)(a), (__m256i)(b)))
#include "vectors.h"

INLINE whole dot(whole sum, bytes x, bytes w) {
    return (whole)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
}

INLINE lanes quads(const float *z) {
    return (lanes)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(z)), _mm_loadu_ps(z + 16), 1);
}
#define QUADS(z) quads(z)

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#else
typedef int int8_no_avx_vnni;
#endif
