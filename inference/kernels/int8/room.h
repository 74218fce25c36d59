/* Sizes of the arrays of a workspace. */
#ifndef INT8_ROOM_H
#define INT8_ROOM_H

#include "int8.h"

enum {
    ROWS = 16,   /* of a group */
    VECTORS = 8, /* that a block meets at once */
    LINE = 64    /* bytes at which an array starts */
};

/* Numbers of a vector with room for 16 more at least. */
static inline size_t padded(size_t count) { return (count + 15) / 16 * 16 + 16; }

/* Bytes of an array, with as much to spare that it may be read and written a whole vector behind its end. */
static inline size_t room_of(size_t size) { return (size + LINE - 1) / LINE * LINE + LINE; }

#endif
