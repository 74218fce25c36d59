/* A layer over a batch of sequences, on one thread or several: each has sequences of its own where there are enough, else all share
 * the work on each step. */
#include "internal.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* How many threads get sequences of their own; with 1 they share the work on each step instead. */
static int independent(int batch, int threads) { return threads > 1 && batch >= threads * LANES ? threads : 1; }

/* Sequences of the largest part of a batch that is dealt out in panels. */
static int largest_part(int batch, int parts) { return ((batch + LANES - 1) / LANES + parts - 1) / parts * LANES; }

size_t doped_workspace(const doped_layer *layer, int32_t batch, int32_t threads) {
    int parts = independent(batch, threads);
    return (size_t)parts * doped_sequences_workspace(layer, parts > 1 ? largest_part(batch, parts) : batch);
}

void doped_run(const doped_layer *layer, int32_t steps, int32_t batch, const float *x, float *h, float *c, float *y,
               float *workspace, int32_t threads) {
    sequence_range whole = {layer, steps, batch, 0, batch, x, h, c, y};
    share alone = {0, 1};
#ifdef _OPENMP
    if (threads > 1) {
        int parts = independent(batch, threads);
        size_t each = doped_sequences_workspace(layer, largest_part(batch, parts));
#pragma omp parallel num_threads(threads)
        {
            share team = {omp_get_thread_num(), omp_get_num_threads()};
            if (parts > 1) { /* the runtime may give fewer threads than there are parts */
                for (int part = team.index; part < parts; part += team.count) {
                    share of_batch = {part, parts};
                    sequence_range dealt = whole;
                    dealt.first = start_of(of_batch, batch, LANES);
                    dealt.sequences = end_of(of_batch, batch, LANES) - dealt.first;
                    doped_run_sequences(&dealt, workspace + (size_t)part * each, alone);
                }
            } else {
                doped_run_sequences(&whole, workspace, team);
            }
        }
        return;
    }
#endif
    (void)threads;
    doped_run_sequences(&whole, workspace, alone);
}
