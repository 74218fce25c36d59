/* Products with whole matrices, M + S. */

/* Arrays of the workspace, one after the other, each from a multiple of 64 bytes and with as much to spare behind it. */
static void *taken(uint8_t **workspace, size_t size) {
    void *array = *workspace;
    *workspace += room_of(size);
    return array;
}

static void zero(float *array, size_t count) { memset(array, 0, sizeof(float) * count); }

static void low_rank(const int8_matrix *m, int count, const uint8_t *x, size_t stride, const destination *to,
                     uint8_t *workspace) {
    const int rank = m->first.rows;
    const size_t floats = padded((size_t)rank), second_stride = padded((size_t)rank);
    float *between = taken(&workspace, sizeof(float) * floats * VECTORS);
    uint8_t *q = taken(&workspace, second_stride * VECTORS);
    float scales[VECTORS];
    zero(between, floats * (size_t)count);
    const destination first = added_to(to->scales, between, floats);
    multiply_blocks(&m->first, count, x, stride, &first);
    for (int v = 0; v < count; v++)
        scales[v] = rounded_vector(rank, between + (size_t)v * floats, q + (size_t)v * second_stride);
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

/* Four vectors of numbers, each in one byte of its lane. */
INLINE bytes interleaved(const whole numbers[4]) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    enum { FIRST = 3 };
#else
    enum { FIRST = 0 };
#endif
    whole all = {0};
    for (int k = 0; k < 4; k++)
        all |= ((numbers[k] + OFFSET) & 255) << 8 * (FIRST ? FIRST - k : k);
    return (bytes)all;
}

/* y (left_rows, right_rows) += B T for the columns k .. k + LANES - 1 of T, (left_columns terms, right_rows), each rounded
 * with a scale of its own. T's row j, r is at between + j row + r right_rows. */
INLINE void kronecker_columns(const int8_matrix *m, const float *between, size_t row, int k, int right_rows, float *y,
                              bytes *panel) {
    const int depth = m->left_columns * m->terms, blocks = (depth + 3) / 4;
    whole most = {0};
    for (int j = 0; j < m->left_columns; j++)
        for (int r = 0; r < m->terms; r++)
            most = larger(most, magnitude(load(between + (size_t)j * row + (size_t)(r * right_rows + k))));
    const lanes scale = (lanes)most / 127.0f, inverse = inverses((lanes)most);
    int j = 0, r = 0;
    for (int b = 0; b < blocks; b++) {
        whole numbers[4] = {{0}};
        for (int c = 0; c < 4 && j < m->left_columns; c++) {
            numbers[c] = rounded(load(between + (size_t)j * row + (size_t)(r * right_rows + k)), inverse);
            if (++r == m->terms)
                r = 0, j++;
        }
        panel[b] = interleaved(numbers);
    }
    const int some = minimum(LANES, right_rows - k);
    for (int i = 0; i < m->left_rows; i += 4) {
        const int rows = minimum(4, m->left_rows - i);
        const int8_t *left[4];
        for (int n = 0; n < 4; n++)
            left[n] = m->left + (ptrdiff_t)(i + minimum(n, rows - 1)) * 4 * blocks;
        whole sum[4] = {{0}};
        for (int b = 0; b < blocks; b++)
            for (int n = 0; n < 4; n++)
                sum[n] = dot(sum[n], panel[b], splat_bytes(left[n] + 4 * b));
        for (int n = 0; n < rows; n++) {
            const int32_t offset = OFFSET * m->left_sums[i + n];
            const lanes values = __builtin_convertvector(sum[n] - offset, lanes) * (scale * m->left_scales[i + n]);
            float *out = y + (ptrdiff_t)(i + n) * right_rows + k;
            if (some == LANES)
                store(out, load(out) + values);
            else
                for (int lane = 0; lane < some; lane++)
                    out[lane] += values[lane];
        }
    }
}

static void kronecker(const int8_matrix *m, int count, const uint8_t *x, size_t stride, const destination *to,
                      uint8_t *workspace) {
    const int right_rows = m->rows / m->left_rows, right_columns = m->columns / m->left_columns;
    const size_t row = padded((size_t)(m->terms * right_rows));
    float *between = taken(&workspace, sizeof(float) * row * (size_t)m->left_columns);
    bytes *panel = taken(&workspace, (size_t)(m->left_columns * m->terms + 3) * BYTES / 4);
    float *scales = taken(&workspace, sizeof(float) * (size_t)m->left_columns);
    for (int v = 0; v < count; v++) {
        zero(between, row * (size_t)m->left_columns);
        for (int j = 0; j < m->left_columns; j++)
            scales[j] = to->scales[v];
        const destination first = added_to(scales, between, row);
        multiply_blocks(&m->first, m->left_columns, x + (size_t)v * stride, (size_t)right_columns, &first);
        for (int k = 0; k < right_rows; k += LANES)
            kronecker_columns(m, between, row, k, right_rows, to->y + (size_t)v * to->y_stride, panel);
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
    (m->kind == INT8_KRONECKER ? kronecker : hybrid)(m, count, x, stride, &plain, workspace);
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
        low_rank(m, count, x, stride, &to, workspace);
        break;
    case INT8_KRONECKER:
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
