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

/* Groups of 16 rows; units > 0: in gate order. */
static inline int groups_in(int rows, int units) { return units ? (units + 3) / 4 : (rows + 15) / 16; }

/* Numbers of a product: whole groups, in gate order those of 16 units. */
static inline size_t places_of(const int8_matrix *m) {
    const size_t groups = (size_t)groups_in(m->rows, m->units);
    return (m->units ? (groups + 3) / 4 * 4 : groups) * ROWS;
}

#endif
