/* AVX2: vpmaddubsw adds two products of unsigned and signed bytes in 16 bits and saturates. It never does here: the
 * magnitude of a weight is at most 128, that of a number at most 127, and 2 x 128 x 127 < 32,768. */
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif

#define LANES 8
#define OFFSET 0
#define NAME "avx2"
#define INSTRUCTIONS int8_avx2
#define MINIMUM(a, b) ((lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define MAXIMUM(a, b) ((lanes)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define LARGER(a, b) ((whole)_mm256_max_epi32((__m256i)(a), (__m256i)(b)))
#include "vectors.h"

INLINE whole dot(whole sum, bytes x, bytes w) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), _mm256_sign_epi8((__m256i)x, (__m256i)w));
    return sum + (whole)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
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
typedef int int8_no_avx2;
#endif
