/* The instructions that the kernels name, written out in C: so that every instruction set runs, and can be watched by
 * sanitizers, on any processor. A vector is what GCC and Clang take for one; which bytes are read is as with the real ones. */
#ifndef INSTRUCTIONS_H
#define INSTRUCTIONS_H

#include <stdint.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wpsabi" /* all functions that take vectors are inlined */

#define EMULATED static inline __attribute__((always_inline, unused))
#define VECTOR(type, bytes) __attribute__((vector_size(bytes), may_alias)) type
#define EACH(i, count) for (int i = 0; i < (count); i++)

typedef VECTOR(float, 16) __m128;
typedef VECTOR(float, 32) __m256;
typedef VECTOR(float, 64) __m512;
typedef VECTOR(long long, 32) __m256i;
typedef VECTOR(long long, 64) __m512i;
typedef VECTOR(int16_t, 32) int16_16;
typedef VECTOR(int16_t, 64) int16_32;
typedef VECTOR(int32_t, 32) int32_8;
typedef VECTOR(int32_t, 64) int32_16;
typedef VECTOR(int8_t, 32) int8_32;
typedef VECTOR(int8_t, 64) int8_64;
typedef VECTOR(uint8_t, 32) uint8_32;
typedef VECTOR(uint8_t, 64) uint8_64;

/* Floats: of two numbers the second where one is NaN. */

#define SMALLER(name, vector, count) \
    EMULATED vector name(vector a, vector b) { EACH(i, count) a[i] = a[i] < b[i] ? a[i] : b[i]; return a; }
#define GREATER(name, vector, count) \
    EMULATED vector name(vector a, vector b) { EACH(i, count) a[i] = a[i] > b[i] ? a[i] : b[i]; return a; }
SMALLER(_mm256_min_ps, __m256, 8)
GREATER(_mm256_max_ps, __m256, 8)
SMALLER(_mm512_min_ps, __m512, 16)
GREATER(_mm512_max_ps, __m512, 16)

EMULATED __m512 _mm512_setzero_ps(void) { return (__m512){0}; }
EMULATED __m512 _mm512_set1_ps(float value) { return (__m512){0} + value; }
EMULATED __m512 _mm512_add_ps(__m512 a, __m512 b) { return a + b; }
EMULATED __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 sum) {
    EACH(i, 16) sum[i] = __builtin_fmaf(a[i], b[i], sum[i]);
    return sum;
}
EMULATED __m512 _mm512_loadu_ps(const float *from) {
    __m512 a;
    memcpy(&a, from, sizeof a);
    return a;
}
EMULATED void _mm512_storeu_ps(float *to, __m512 a) { memcpy(to, &a, sizeof a); }
EMULATED __m128 _mm_loadu_ps(const float *from) {
    __m128 a;
    memcpy(&a, from, sizeof a);
    return a;
}

/* What a cast leaves above is anything: here, something that shows. */
EMULATED __m256 _mm256_castps128_ps256(__m128 low) {
    return (__m256){low[0], low[1], low[2], low[3], 7e30f, 7e30f, 7e30f, 7e30f};
}
EMULATED __m512 _mm512_castps128_ps512(__m128 low) {
    __m512 a;
    EACH(i, 16) a[i] = i < 4 ? low[i] : 7e30f;
    return a;
}
EMULATED __m256 _mm256_insertf128_ps(__m256 a, __m128 part, int upper) {
    EACH(i, 4) a[4 * upper + i] = part[i];
    return a;
}
EMULATED __m512 _mm512_mask_broadcast_f32x4(__m512 a, unsigned mask, __m128 part) {
    EACH(i, 16) a[i] = mask >> i & 1 ? part[i % 4] : a[i];
    return a;
}

/* Whole numbers of 32, 16 and 8 bits. */

EMULATED __m256i _mm256_max_epi32(__m256i a, __m256i b) {
    int32_8 p = (int32_8)a, q = (int32_8)b;
    EACH(i, 8) p[i] = p[i] > q[i] ? p[i] : q[i];
    return (__m256i)p;
}
EMULATED __m512i _mm512_max_epi32(__m512i a, __m512i b) {
    int32_16 p = (int32_16)a, q = (int32_16)b;
    EACH(i, 16) p[i] = p[i] > q[i] ? p[i] : q[i];
    return (__m512i)p;
}
EMULATED __m256i _mm256_set1_epi16(int16_t value) { return (__m256i)((int16_16){0} + value); }
EMULATED __m512i _mm512_set1_epi8(char value) { return (__m512i)((int8_64){0} + (int8_t)value); }
EMULATED __m512i _mm512_setzero_si512(void) { return (__m512i){0}; }
EMULATED __m512i _mm512_and_si512(__m512i a, __m512i b) { return a & b; }
EMULATED __m256i _mm256_loadu_si256(const __m256i *from) {
    __m256i a;
    memcpy(&a, from, sizeof a);
    return a;
}
EMULATED __m512i _mm512_broadcast_i64x4(__m256i part) {
    __m512i a;
    EACH(i, 8) a[i] = part[i % 4];
    return a;
}
EMULATED __m512i _mm512_inserti64x4(__m512i a, __m256i part, int upper) {
    EACH(i, 4) a[4 * upper + i] = part[i];
    return a;
}
EMULATED __m512i _mm512_sllv_epi16(__m512i a, __m512i by) {
    int16_32 p = (int16_32)a, q = (int16_32)by;
    EACH(i, 32) p[i] = (int16_t)((uint16_t)p[i] << q[i]);
    return (__m512i)p;
}
EMULATED __m256i _mm256_abs_epi8(__m256i a) {
    int8_32 p = (int8_32)a;
    EACH(i, 32) p[i] = (int8_t)(p[i] < 0 ? -p[i] : p[i]); /* -128 stays */
    return (__m256i)p;
}
EMULATED __m256i _mm256_sign_epi8(__m256i a, __m256i b) {
    int8_32 p = (int8_32)a, q = (int8_32)b;
    EACH(i, 32) p[i] = (int8_t)(q[i] < 0 ? -p[i] : q[i] ? p[i] : 0);
    return (__m256i)p;
}

/* Products: unsigned bytes times signed ones, two of them in 16 bits, saturated; pairs of 16 bits in 32; four bytes in 32. */

EMULATED __m256i _mm256_maddubs_epi16(__m256i a, __m256i b) {
    const uint8_32 p = (uint8_32)a;
    const int8_32 q = (int8_32)b;
    int16_16 sum;
    EACH(i, 16) {
        const int whole = p[2 * i] * q[2 * i] + p[2 * i + 1] * q[2 * i + 1];
        sum[i] = (int16_t)(whole > INT16_MAX ? INT16_MAX : whole < INT16_MIN ? INT16_MIN : whole);
    }
    return (__m256i)sum;
}
EMULATED __m256i _mm256_madd_epi16(__m256i a, __m256i b) {
    const int16_16 p = (int16_16)a, q = (int16_16)b;
    int32_8 sum;
    EACH(i, 8) sum[i] = p[2 * i] * q[2 * i] + p[2 * i + 1] * q[2 * i + 1];
    return (__m256i)sum;
}
EMULATED __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
    int32_8 s = (int32_8)sum;
    const uint8_32 p = (uint8_32)a;
    const int8_32 q = (int8_32)b;
    EACH(i, 32) s[i / 4] += p[i] * q[i];
    return (__m256i)s;
}
EMULATED __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
    int32_16 s = (int32_16)sum;
    const uint8_64 p = (uint8_64)a;
    const int8_64 q = (int8_64)b;
    EACH(i, 64) s[i / 4] += p[i] * q[i];
    return (__m512i)s;
}

/* NEON. */

typedef VECTOR(int8_t, 8) int8x8_t;
typedef VECTOR(int8_t, 16) int8x16_t;
typedef VECTOR(int16_t, 16) int16x8_t;
typedef VECTOR(int32_t, 16) int32x4_t;

EMULATED int32x4_t vmaxq_s32(int32x4_t a, int32x4_t b) {
    EACH(i, 4) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
EMULATED int8x8_t vget_low_s8(int8x16_t a) {
    int8x8_t low;
    EACH(i, 8) low[i] = a[i];
    return low;
}
EMULATED int16x8_t vmull_s8(int8x8_t a, int8x8_t b) {
    int16x8_t product;
    EACH(i, 8) product[i] = (int16_t)(a[i] * b[i]);
    return product;
}
EMULATED int16x8_t vmull_high_s8(int8x16_t a, int8x16_t b) {
    int16x8_t product;
    EACH(i, 8) product[i] = (int16_t)(a[8 + i] * b[8 + i]);
    return product;
}
EMULATED int32x4_t vpaddlq_s16(int16x8_t a) {
    int32x4_t sum;
    EACH(i, 4) sum[i] = a[2 * i] + a[2 * i + 1];
    return sum;
}
EMULATED int32x4_t vpaddq_s32(int32x4_t a, int32x4_t b) {
    return (int32x4_t){a[0] + a[1], a[2] + a[3], b[0] + b[1], b[2] + b[3]};
}
EMULATED int32x4_t vdotq_s32(int32x4_t sum, int8x16_t a, int8x16_t b) {
    EACH(i, 16) sum[i / 4] += a[i] * b[i];
    return sum;
}

#endif
