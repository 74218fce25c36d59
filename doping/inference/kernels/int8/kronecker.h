/* Sums of Kronecker products, of one vector: x is a matrix X (left_columns, right_columns), and y = sum of B_r X C_r^T, a matrix
 * (left_rows, right_rows). The product with C is one of blocks. That with B has the vectors in lanes, and weights spread over them. */

/* Four vectors of numbers with their offset, each in one byte of its lane. */
INLINE bytes interleaved(const whole numbers[4]) {
    whole all = {0};
    for (int k = 0; k < 4; k++)
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        all |= (numbers[k] & 255) << (24 - 8 * k);
#else
        all |= (numbers[k] & 255) << 8 * k;
#endif
    return (bytes)all;
}

/* out (rows, width), up to LANES columns of it, += B (rows, 4 blocks) times a panel (blocks) of vectors with these scales. */
INLINE void add_left(const int8_matrix *m, int rows, int blocks, const bytes *panel, lanes scales, int columns, float *out,
                     int width) {
    for (int i = 0; i < rows; i += 4) {
        const int some = minimum(4, rows - i);
        const int8_t *left[4];
        for (int n = 0; n < 4; n++)
            left[n] = m->left + (ptrdiff_t)(i + minimum(n, some - 1)) * 4 * blocks;
        whole sum[4] = {{0}};
        for (int b = 0; b < blocks; b++)
            for (int n = 0; n < 4; n++)
                sum[n] = dot(sum[n], panel[b], splat_bytes(left[n] + 4 * b));
        for (int n = 0; n < some; n++) {
            const int32_t offset = OFFSET * m->left_sums[i + n];
            const lanes values = __builtin_convertvector(sum[n] - offset, lanes) * (scales * m->left_scales[i + n]);
            float *to = out + (ptrdiff_t)(i + n) * width;
            if (columns >= LANES)
                store(to, load(to) + values);
            else
                for (int lane = 0; lane < columns; lane++)
                    to[lane] += values[lane];
        }
    }
}

/* T = X C^T, (left_columns, terms, right_rows), then B T for all terms at once, each column of T rounded with a scale of its own. */
static void right_first(const int8_matrix *m, const uint8_t *x, float scale, float *y, uint8_t *workspace) {
    const int right_rows = m->rows / m->left_rows, right_columns = m->columns / m->left_columns, terms = m->terms;
    const int blocks = (m->left_columns * terms + 3) / 4;
    const size_t row = padded((size_t)(terms * right_rows));
    float *between = taken(&workspace, sizeof(float) * row * (size_t)m->left_columns);
    bytes *panel = taken(&workspace, (size_t)blocks * BYTES);
    float *scales = taken(&workspace, sizeof(float) * (size_t)m->left_columns);
    zero(between, row * (size_t)m->left_columns);
    for (int j = 0; j < m->left_columns; j++)
        scales[j] = scale;
    const destination first = added_to(scales, between, row);
    multiply_blocks(&m->first, m->left_columns, x, (size_t)right_columns, &first);
    for (int k = 0; k < right_rows; k += LANES) {
        whole most = {0};
        for (int j = 0; j < m->left_columns; j++)
            for (int r = 0; r < terms; r++)
                most = larger(most, magnitude(load(between + (size_t)j * row + (size_t)(r * right_rows + k))));
        const lanes inverse = inverses((lanes)most);
        for (int b = 0, j = 0, r = 0; b < blocks; b++) {
            whole numbers[4] = {{0}};
            for (int c = 0; c < 4 && j < m->left_columns; c++) {
                numbers[c] = OFFSET + rounded(load(between + (size_t)j * row + (size_t)(r * right_rows + k)), inverse);
                if (++r == terms)
                    r = 0, j++;
            }
            panel[b] = interleaved(numbers);
        }
        add_left(m, m->left_rows, blocks, panel, (lanes)most / 127.0f, right_rows - k, y + k, right_rows);
    }
}

/* P = B X, (left_rows, terms, right_columns), then C times each row of P, rounded with a scale of its own. */
static void left_first(const int8_matrix *m, const uint8_t *x, float scale, float *y, uint8_t *workspace) {
    const int right_rows = m->rows / m->left_rows, right_columns = m->columns / m->left_columns;
    const int blocks = (m->left_columns + 3) / 4, depth = m->terms * right_columns;
    const size_t stride = padded((size_t)depth);
    float *between = taken(&workspace, sizeof(float) * (size_t)depth * (size_t)m->left_rows);
    uint8_t *q = taken(&workspace, stride * (size_t)m->left_rows);
    bytes *panel = taken(&workspace, (size_t)blocks * BYTES);
    float *scales = taken(&workspace, sizeof(float) * (size_t)m->left_rows);
    zero(between, (size_t)depth * (size_t)m->left_rows);
    for (int l = 0; l < right_columns; l += LANES) {
        for (int b = 0; b < blocks; b++) {
            whole numbers[4];
            for (int c = 0; c < 4; c++) {
                const int j = minimum(4 * b + c, m->left_columns - 1);
                numbers[c] = __builtin_convertvector(*(const quarter *)(x + (ptrdiff_t)j * right_columns + l), whole);
            }
            panel[b] = interleaved(numbers);
        }
        add_left(m, m->left_rows * m->terms, blocks, panel, splat(scale), right_columns - l, between + l, right_columns);
    }
    for (int i = 0; i < m->left_rows; i++)
        scales[i] = rounded_vector(depth, between + (size_t)i * (size_t)depth, q + (size_t)i * stride);
    const destination second = added_to(scales, y, (size_t)right_rows);
    multiply_blocks(&m->first, m->left_rows, q, stride, &second);
}
