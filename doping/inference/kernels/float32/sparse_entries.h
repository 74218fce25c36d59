/* Entries of the sparse part S: indices of 16 bits or 32, values that are floats or narrow. */
#ifndef DOPED_SPARSE_ENTRIES_H
#define DOPED_SPARSE_ENTRIES_H

#include <string.h>

#include "internal.h"

/* Four indices from one load (of 64 bits, or two) and shifts: loads are what bounds these products. */
typedef struct {
    uint32_t at[4];
} four;

INLINE four four_indices(const void *indices, size_t first, const int wide) {
    four result;
    if (wide) {
        memcpy(&result, (const uint32_t *)indices + first, sizeof result);
    } else {
        uint64_t packed;
        memcpy(&packed, (const uint16_t *)indices + first, sizeof packed);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        result.at[3] = packed & 0xffff, result.at[2] = packed >> 16 & 0xffff;
        result.at[1] = packed >> 32 & 0xffff, result.at[0] = (uint32_t)(packed >> 48);
#else
        result.at[0] = packed & 0xffff, result.at[1] = packed >> 16 & 0xffff;
        result.at[2] = packed >> 32 & 0xffff, result.at[3] = (uint32_t)(packed >> 48);
#endif
    }
    return result;
}

INLINE uint32_t one_index(const void *indices, size_t at, const int wide) {
    return wide ? ((const uint32_t *)indices)[at] : ((const uint16_t *)indices)[at];
}

/* A product, compiled for each width of the indices and of the values. */
#define SPECIALIZED(function)                                                 \
    do {                                                                      \
        const int wide = m->columns > 1 << 16, narrow = m->value_scales != 0; \
        if (wide && narrow)                                                   \
            function(m, x, y, begin, end, 1, 1);                              \
        else if (wide)                                                        \
            function(m, x, y, begin, end, 1, 0);                              \
        else if (narrow)                                                      \
            function(m, x, y, begin, end, 0, 1);                              \
        else                                                                  \
            function(m, x, y, begin, end, 0, 0);                              \
    } while (0)

#endif
