/* Products with small dense matrices in registers of 16 floats, for processors that have AVX-512, which is asked when it runs. Columns
 * that do not fill a register are left to dense.c: masked stores would delay the loads of the next product. */
#include "internal.h"

#ifdef DOPED_AVX512

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,fma")))

enum { WIDE = 16 };

int doped_has_avx512(void) { return __builtin_cpu_supports("avx512f"); }

AVX512 INLINE void tile(const dense_product *p, int row, int column, const int rows, const int vectors) {
    const float *a = (const float *)p->a + row * p->a_row, *v = (const float *)p->v + column;
    __m512 sum[8][4];
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < vectors; k++)
            sum[i][k] = _mm512_setzero_ps();
    for (int d = 0; d < p->depth; d++, a += p->a_column, v += p->v_row) {
        for (int k = 0; k < vectors; k++) {
            __m512 values = _mm512_loadu_ps(v + k * WIDE);
            __asm__("" : "+v"(values)); /* loaded once, as in dense.c */
            for (int i = 0; i < rows; i++)
                sum[i][k] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * p->a_row]), values, sum[i][k]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < vectors; k++) {
            float *out = p->out + (row + i) * p->out_row + column + k * WIDE;
            _mm512_storeu_ps(out, p->add ? _mm512_add_ps(sum[i][k], _mm512_loadu_ps(out)) : sum[i][k]);
        }
}

/* The rows from `row` on, some at a time. */
#define TILES(some, vectors)                     \
    for (; row + (some) <= p->rows; row += (some)) \
    tile(p, row, column, some, vectors)

AVX512 int doped_multiply_floats_avx512(const dense_product *p) {
    const int columns = p->width / WIDE * WIDE;
    for (int column = 0, vectors; column < columns; column += vectors * WIDE) {
        vectors = minimum((columns - column) / WIDE, 3);
        int row = 0;
        if (vectors == 3) {
            TILES(4, 3);
            TILES(1, 3);
        } else if (vectors == 2) {
            TILES(4, 2);
            TILES(1, 2);
        } else {
            TILES(4, 1);
            TILES(1, 1);
        }
    }
    return columns;
}

#endif
