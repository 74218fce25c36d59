/* The product of a vector, or a panel of 8, with W = M + S. */
#include "internal.h"

#include <string.h>

#include "arrays.h"

static int groups_of(const doped_matrix *m) {
    return m->pattern == DOPED_GATES ? m->rows / 4 : (m->rows + LANES - 1) / LANES;
}

/* The first group of a thread's part, such that all parts have about as many entries. */
static int first_group(const doped_matrix *m, share team) {
    int groups = groups_of(m), low = 0, high = groups;
    if (team.index == 0 || team.index == team.count)
        return team.index ? groups : 0;
    uint64_t entries = (uint64_t)m->offsets[groups] * (uint64_t)team.index / (uint64_t)team.count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (m->offsets[middle] < entries)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void sparse_product(const doped_matrix *m, const float *x, float *y, int panel, share team) {
    if (m->pattern == DOPED_NO_SPARSE)
        return;
    share next = {team.index + 1, team.count};
    int begin = first_group(m, team), end = first_group(m, next);
    if (PANELS && panel)
        doped_sparse_of_panel(m, x, y, begin, end);
    else
        doped_sparse_of_vector(m, x, y, begin, end);
}

void doped_product(const doped_matrix *m, const float *x, float *y, float *between, int panel, share team) {
    if (PANELS && panel)
        doped_first_stage_of_panel(m, x, between, team);
    else
        doped_first_stage_of_vector(m, x, between, team);
    sparse_product(m, x, y, panel, team);
    wait_for_all(team);
    if (m->kind == DOPED_NO_STRUCTURE)
        return;
    if (PANELS && panel)
        doped_second_stage_of_panel(m, x, between, y, team);
    else
        doped_second_stage_of_vector(m, x, between, y, team);
    wait_for_all(team);
}

size_t doped_multiply_workspace(const doped_matrix *matrix) {
    size_t rows = (size_t)matrix->rows, columns = (size_t)matrix->columns;
    return room(doped_floats_between(matrix)) + room(columns * AT_ONCE) + room(rows * AT_ONCE);
}

void doped_multiply(const doped_matrix *matrix, int32_t count, const float *x, float *y, float *workspace) {
    const int rows = matrix->rows, columns = matrix->columns;
    const share alone = {0, 1};
    float *between = taken(&workspace, doped_floats_between(matrix));
    float *inputs = taken(&workspace, (size_t)columns * AT_ONCE), *outputs = taken(&workspace, (size_t)rows * AT_ONCE);
    for (int first = 0; first < count; first += AT_ONCE) {
        const int some = minimum(AT_ONCE, count - first), panel = some >= PANEL_FROM;
        const float *from[LANES];
        float *to[LANES];
        for (int k = 0; k < some; k++) {
            from[k] = x + (ptrdiff_t)(first + k) * columns;
            to[k] = y + (ptrdiff_t)(first + k) * rows;
        }
        if (PANELS && panel) {
            into_panel(from, some, columns, inputs, alone);
            start_with_bias(NULL, rows, outputs, 1, alone);
            doped_product(matrix, inputs, outputs, between, 1, alone);
            out_of_panel(outputs, some, rows, to, alone);
        }
        for (int k = 0; k < some && !panel; k++) {
            memcpy(inputs, from[k], sizeof(float) * (size_t)columns);
            start_with_bias(NULL, rows, outputs, 0, alone);
            doped_product(matrix, inputs, outputs, between, 0, alone);
            memcpy(to[k], outputs, sizeof(float) * (size_t)rows);
        }
    }
}
