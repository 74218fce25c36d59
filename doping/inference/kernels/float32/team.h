/* Threads that share the work on a product: which part is whose, and a barrier. */
#ifndef DOPED_TEAM_H
#define DOPED_TEAM_H

#include <stdint.h>

/* The part of the work that a thread does. */
typedef struct {
    int index, count;
} share;

static inline int minimum(int a, int b) { return a < b ? a : b; }

/* Bounds of a thread's part of `count` things that are best taken in groups of `unit`. */
static inline int start_of(share team, int count, int unit) {
    int units = (count + unit - 1) / unit;
    return minimum(count, (int)((int64_t)units * team.index / team.count) * unit);
}
static inline int end_of(share team, int count, int unit) {
    share next = {team.index + 1, team.count};
    return start_of(next, count, unit);
}

static inline void wait_for_all(share team) {
#ifdef _OPENMP
    if (team.count > 1) {
#pragma omp barrier
    }
#else
    (void)team;
#endif
}

#endif
