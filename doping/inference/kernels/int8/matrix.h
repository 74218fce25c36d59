/* Products with whole matrices, M + S. */

/* Numbers of (B, C, R), in the order of (C, B, R). */
static void by_rows(const int8_matrix *m, const float *from, float *to) {
    const ptrdiff_t c = m->left_rows, b = m->left_columns, r = m->terms;
    for (ptrdiff_t j = 0; j < b; j++)
        for (ptrdiff_t i = 0; i < c; i++)
            memcpy(to + (i * b + j) * r, from + (j * c + i) * r, sizeof(float) * (size_t)r);
}

/* U (V x), or of a Monarch matrix U times what belongs to its rows. */
static void low_rank(const int8_matrix *m, int count, const uint8_t *x, size_t stride, const destination *to,
                     uint8_t *workspace) {
    const int rank = m->first.rows;
    const size_t floats = padded((size_t)rank), second_stride = padded((size_t)rank);
    float *between = taken(&workspace, sizeof(float) * floats * VECTORS);
    uint8_t *q = taken(&workspace, second_stride * VECTORS);
    float *ordered = m->kind == INT8_MONARCH ? taken(&workspace, sizeof(float) * floats) : NULL;
    float scales[VECTORS];
    zero(between, floats * (size_t)count);
    if (ordered)
        zero(ordered, floats);
    const destination first = added_to(to->scales, between, floats);
    multiply_blocks(&m->first, count, x, stride, &first);
    for (int v = 0; v < count; v++) {
        const float *from = between + (size_t)v * floats;
        if (ordered)
            by_rows(m, from, ordered);
        scales[v] = rounded_vector(rank, ordered ? ordered : from, q + (size_t)v * second_stride);
    }
    destination second = *to;
    second.scales = scales;
    multiply_blocks(&m->second, count, q, second_stride, &second);
}

static void hybrid(const int8_matrix *m, int count, const uint8_t *x, size_t stride, const destination *to,
                   uint8_t *workspace) {
    const int above = m->first.rows - 2, below = m->rows - above;
    const size_t floats = padded((size_t)m->first.rows);
    float *between = taken(&workspace, sizeof(float) * floats * VECTORS);
    zero(between, floats * (size_t)count);
    const destination first = added_to(to->scales, between, floats);
    multiply_blocks(&m->first, count, x, stride, &first);
    for (int v = 0; v < count; v++) {
        const float *from = between + (size_t)v * floats, a = from[above], b = from[above + 1];
        float *y = to->y + (size_t)v * to->y_stride;
        for (int row = 0; row < above; row++)
            y[row] += from[row];
        for (int row = 0; row < below; row++)
            y[above + row] += m->u[row] * a + m->u[below + row] * b;
    }
}

/* z (groups, 16), in gate order, += y (4 units), and what is behind the last unit of a gate. */
static void add_in_gate_order(const float *y, int units, float *z) {
    typedef float quad __attribute__((vector_size(16), aligned(4), may_alias));
    for (int group = 0; group < (units + 3) / 4; group++)
        for (int gate = 0; gate < 4; gate++)
            *(quad *)(z + group * ROWS + 4 * gate) += *(const quad *)(y + (ptrdiff_t)gate * units + 4 * group);
}

/* y = what products are added to, where it is not yet. */
static void start(const destination *to, int count, size_t places) {
    for (int v = 0; v < count && to->added_to != to->y; v++)
        memcpy(to->y + (size_t)v * to->y_stride, to->added_to + (size_t)v * to->added_stride, sizeof(float) * places);
}

/* The products of a kind whose results are in the order of the rows. */
static void in_row_order(const int8_matrix *m, int count, const uint8_t *x, size_t stride, const destination *to,
                         uint8_t *workspace) {
    const size_t rows = padded((size_t)m->rows);
    start(to, count, places_of(m));
    destination plain = added_to(to->scales, to->y, to->y_stride);
    if (m->units) {
        plain = added_to(to->scales, taken(&workspace, sizeof(float) * rows * VECTORS), rows);
        zero(plain.y, rows * (size_t)count);
    }
    if (m->kind == INT8_HYBRID)
        hybrid(m, count, x, stride, &plain, workspace);
    else
        for (int v = 0; v < count; v++)
            (m->kind == INT8_KRONECKER ? right_first : left_first)(m, x + (size_t)v * stride, to->scales[v],
                                                                   plain.y + (size_t)v * plain.y_stride, workspace);
    for (int v = 0; v < count && m->units; v++)
        add_in_gate_order(plain.y + (size_t)v * rows, m->units, to->y + (size_t)v * to->y_stride);
}

/* W times `count` vectors, VECTORS at most. */
static void multiply_matrix(const int8_matrix *m, int count, const uint8_t *x, size_t stride, destination to, uint8_t *workspace) {
    switch (m->kind) {
    case INT8_DENSE:
        multiply_blocks(&m->first, count, x, stride, &to);
        break;
    case INT8_LOW_RANK:
    case INT8_MONARCH:
        low_rank(m, count, x, stride, &to, workspace);
        break;
    case INT8_KRONECKER:
    case INT8_KRONECKER_LEFT_FIRST:
    case INT8_HYBRID:
        in_row_order(m, count, x, stride, &to, workspace);
        break;
    default:
        break;
    }
    if (m->kind != INT8_NO_STRUCTURE)
        to = added_to(to.scales, to.y, to.y_stride);
    if (m->tiles.rows)
        multiply_blocks(&m->tiles, count, x, stride, &to);
}
