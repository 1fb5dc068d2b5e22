/* Winograd's F(m x m, 3x3), m = 2, 4, 5 or 6: the three transforms around the products. A tile is n x n input pixels, n = m + 2,
   that give m x m outputs; position q = i*n + j is one of its n*n products. What they compute, in matrices (^T: transposed):

       kernel   u[q] = (G g G^T)[i][j]   for each (input channel, output channel), in double, then rounded
       input    v[q] = (B^T d B)[i][j]   for each input channel
       (the micro-kernel sums s[q] = sum over channels k of v[q][k] * u[q][k], a 1-tap tile for each q)
       output   y = A^T s A              for each output channel, then act(y + bias)

   Interpolation points 0, 1, -1, inf (m = 2), 0, 1, -1, 1/2, -2, inf (m = 4: half the error of the usual 0, 1, -1, 2, -2 for
   about as many operations), 0, 1, -1, 1/2, -1/2, 2, inf (m = 5) and 0, 1, -1, 1/2, -1/2, 2, -2, inf (m = 6: of seven sets that
   were tried none errs less). All fractions that round are in G:

       m = 2:  B^T   1  0 -1  0      G   1   0   0       A^T  1  1  1  0
                     0  1  1  0         1/2 1/2 1/2           0  1 -1  1
                     0 -1  1  0         1/2-1/2 1/2
                     0 -1  0  1          0   0   1

       m = 4:  B^T   1 -3/2  -2  3/2  1  0      G     1      0      0      A^T  1  1  1   1   1  0
                     0  -1  1/2  5/2  1  0           1/3    1/3    1/3          0  1 -1  1/2 -2  0
                     0   1 -5/2  1/2  1  0          -1/3    1/3   -1/3          0  1  1  1/4  4  0
                     0  -2   -1    2  1  0         -16/15  -8/15  -4/15         0  1 -1  1/8 -8  1
                     0  1/2  -1 -1/2  1  0           1/15  -2/15   4/15
                     0   1 -3/2   -2 3/2 1            0      0      1

       m = 5:  B^T   1 -1/2   -5  5/2    4  -2  0       G    1      0     0     A^T  1  1  1   1    1   1  0
                     0  1/2  1/4 -9/4   -1   1  0          -2/3   -2/3  -2/3         0  1 -1  1/2 -1/2  2  0
                     0 -1/2  3/4  7/4   -3   1  0          -2/9    2/9  -2/9         0  1  1  1/4  1/4  4  0
                     0   1   3/2   -2 -3/2   1  0          16/9    8/9   4/9         0  1 -1  1/8 -1/8  8  0
                     0  -1   5/2    0 -5/2   1  0         16/15  -8/15  4/15         0  1  1 1/16 1/16 16  1
                     0  1/4   0  -5/4    0   1  0          2/45   4/45  8/45
                     0 -1/2  1/4  5/2 -5/4  -2  1            0      0     1

       m = 6:  B^T   1   0  -21/4   0    21/4   0   -1  0     G    1      0     0     A^T  1  1  1   1    1   1   1  0
                     0   1    1  -17/4  -17/4   1    1  0        -2/9   -2/9  -2/9         0  1 -1  1/2 -1/2  2  -2  0
                     0  -1    1   17/4  -17/4  -1    1  0        -2/9    2/9  -2/9         0  1  1  1/4  1/4  4   4  0
                     0   2    4   -5/2   -5    1/2   1  0        32/45  16/45  8/45        0  1 -1  1/8 -1/8  8  -8  0
                     0  -2    4    5/2   -5   -1/2   1  0        32/45 -16/45  8/45        0  1  1 1/16 1/16 16  16  0
                     0  1/2  1/4  -5/2  -5/4   2     1  0         1/90   1/45  2/45        0  1 -1 1/32-1/32 32 -32  1
                     0 -1/2  1/4   5/2  -5/4  -2     1  0         1/90  -1/45  2/45
                     0  -1    0   21/4   0   -21/4   0  1          0      0     1

   Every lane is one channel and every value one fixed sequence of roundings, so the bits depend on no vector length. */

#define WINOGRAD_MOST 6 /* m */
#define WINOGRAD_WIDE 8 /* n = m + 2 */

/* y[0], y[step], ... = B^T x; at most 4 roundings deep, and no coefficient is a difference of larger ones */
INLINE void NAME(winograd_bt)(const int m, const V *x, V *y, const int step) {
    if (m == 2) {
        y[0] = VSUB(x[0], x[2]);
        y[step] = VADD(x[1], x[2]);
        y[2 * step] = VSUB(x[2], x[1]);
        y[3 * step] = VSUB(x[3], x[1]);
    } else if (m == 4) {
        const V three_halves = VSPLAT((REAL)1.5);
        const V even = VSUB(x[4], x[2]), odd = VSUB(x[3], x[1]);
        y[0] = VFMA(three_halves, odd, VADD(x[0], VSUB(even, x[2])));
        y[step] = VFMA(VSPLAT((REAL)2.5), x[3], VFMA(VSPLAT((REAL)0.5), x[2], VSUB(x[4], x[1])));
        y[2 * step] = VFMA(VSPLAT((REAL)-2.5), x[2], VFMA(VSPLAT((REAL)0.5), x[3], VADD(x[4], x[1])));
        y[3 * step] = VFMA(VSPLAT((REAL)2), odd, even);
        y[4 * step] = VFMA(VSPLAT((REAL)-0.5), odd, even);
        y[5 * step] = VFMA(three_halves, even, VSUB(x[5], VADD(x[3], odd)));
    } else if (m == 5) {
        const V quarter = VSPLAT((REAL)0.25), half = VSPLAT((REAL)0.5), minus_half = VSPLAT((REAL)-0.5), far = VSPLAT((REAL)-1.25);
        const V first = VFMA(quarter, x[0], VFMA(far, x[2], x[4])); /* the row of 2, and the same of the inputs on either side */
        const V row2 = VFMA(quarter, x[1], VFMA(far, x[3], x[5]));
        const V last = VFMA(quarter, x[2], VFMA(far, x[4], x[6]));
        const V back = VMUL(VSPLAT((REAL)-2), row2);
        y[0] = VFMA(VSPLAT((REAL)4), first, back);
        y[step] = VFMA(VSPLAT((REAL)-2.25), x[3], VFMA(half, x[1], VFMA(quarter, x[2], VSUB(x[5], x[4]))));
        y[2 * step] = VFMA(VSPLAT((REAL)-3), x[4],
                           VFMA(VSPLAT((REAL)1.75), x[3], VFMA(VSPLAT((REAL)0.75), x[2], VFMA(minus_half, x[1], x[5]))));
        y[3 * step] = VFMA(VSPLAT((REAL)1.5), VSUB(x[2], x[4]), VFMA(VSPLAT((REAL)-2), x[3], VADD(x[1], x[5])));
        y[4 * step] = VFMA(VSPLAT((REAL)2.5), VSUB(x[2], x[4]), VSUB(x[5], x[1]));
        y[5 * step] = row2;
        y[6 * step] = VADD(last, back);
    } else { /* the rows of p and -p: even(p) + odd(p), even(p) - odd(p) */
        const V half = VSPLAT((REAL)0.5), two = VSPLAT((REAL)2), middle = VMUL(VSPLAT((REAL)-2.5), x[3]);
        const V even1 = VFMA(VSPLAT((REAL)-4.25), x[4], VADD(x[2], x[6]));
        const V odd1 = VFMA(VSPLAT((REAL)-4.25), x[3], VADD(x[1], x[5]));
        const V even_half = VFMA(VSPLAT((REAL)4), x[2], VFMA(VSPLAT((REAL)-5), x[4], x[6]));
        const V odd_half = VFMA(two, x[1], VFMA(half, x[5], middle));
        const V even2 = VFMA(VSPLAT((REAL)0.25), x[2], VFMA(VSPLAT((REAL)-1.25), x[4], x[6]));
        const V odd2 = VFMA(half, x[1], VFMA(two, x[5], middle));
        y[0] = VFMA(VSPLAT((REAL)5.25), VSUB(x[4], x[2]), VSUB(x[0], x[6]));
        y[step] = VADD(even1, odd1);
        y[2 * step] = VSUB(even1, odd1);
        y[3 * step] = VADD(even_half, odd_half);
        y[4 * step] = VSUB(even_half, odd_half);
        y[5 * step] = VADD(even2, odd2);
        y[6 * step] = VSUB(even2, odd2);
        y[7 * step] = VFMA(VSPLAT((REAL)5.25), VSUB(x[3], x[5]), VSUB(x[7], x[1]));
    }
}

/* y[0], y[step], ... = A^T s; at most 4 roundings deep */
INLINE void NAME(winograd_at)(const int m, const V *s, V *y, const int step) {
    const V sum = VADD(s[1], s[2]), difference = VSUB(s[1], s[2]);
    if (m == 2) {
        y[0] = VADD(s[0], sum);
        y[step] = VADD(difference, s[3]);
    } else if (m == 4) {
        y[0] = VADD(VADD(s[0], sum), VADD(s[3], s[4]));
        y[step] = VFMA(VSPLAT((REAL)-2), s[4], VFMA(VSPLAT((REAL)0.5), s[3], difference));
        y[2 * step] = VFMA(VSPLAT((REAL)4), s[4], VFMA(VSPLAT((REAL)0.25), s[3], sum));
        y[3 * step] = VFMA(VSPLAT((REAL)-8), s[4], VFMA(VSPLAT((REAL)0.125), s[3], VADD(difference, s[5])));
    } else if (m == 5) {
        const V sum_half = VADD(s[3], s[4]), difference_half = VSUB(s[3], s[4]);
        y[0] = VADD(VADD(s[0], sum), VADD(sum_half, s[5]));
        y[step] = VFMA(VSPLAT((REAL)2), s[5], VFMA(VSPLAT((REAL)0.5), difference_half, difference));
        y[2 * step] = VFMA(VSPLAT((REAL)4), s[5], VFMA(VSPLAT((REAL)0.25), sum_half, sum));
        y[3 * step] = VFMA(VSPLAT((REAL)8), s[5], VFMA(VSPLAT((REAL)0.125), difference_half, difference));
        y[4 * step] = VFMA(VSPLAT((REAL)16), s[5], VFMA(VSPLAT((REAL)0.0625), sum_half, VADD(sum, s[6])));
    } else {
        const V sum_half = VADD(s[3], s[4]), difference_half = VSUB(s[3], s[4]);
        const V sum2 = VADD(s[5], s[6]), difference2 = VSUB(s[5], s[6]);
        y[0] = VADD(VADD(s[0], sum), VADD(sum_half, sum2));
        y[step] = VFMA(VSPLAT((REAL)2), difference2, VFMA(VSPLAT((REAL)0.5), difference_half, difference));
        y[2 * step] = VFMA(VSPLAT((REAL)4), sum2, VFMA(VSPLAT((REAL)0.25), sum_half, sum));
        y[3 * step] = VFMA(VSPLAT((REAL)8), difference2, VFMA(VSPLAT((REAL)0.125), difference_half, difference));
        y[4 * step] = VFMA(VSPLAT((REAL)16), sum2, VFMA(VSPLAT((REAL)0.0625), sum_half, sum));
        y[5 * step] = VFMA(VSPLAT((REAL)32), difference2, VFMA(VSPLAT((REAL)0.03125), difference_half, VADD(difference, s[7])));
    }
}

/* Loops over a tile's rows and columns. Up to m = 4 they are unrolled (up to 10% with few channels); larger tiles are 1 to 9% faster
   without, and 250 KB smaller. */
#define WINOGRAD_EACH(i, count, statement) \
    do { \
        if (m > 4) { \
            ROLLED for (int i = 0; i < count; i++) { statement; } \
        } else { \
            UNROLL for (int i = 0; i < count; i++) { statement; } \
        } \
    } while (0)

/* One column of a tile, all rows: `half` + j is a column of B^T d. `some` channels from c on. */
INLINE void NAME(winograd_column)(const int m, const REAL *const *pixel, const int64_t c, const int64_t some, V *half) {
    const int n = m + 2;
    V d[WINOGRAD_WIDE];
    if (some >= LANES) UNROLL for (int i = 0; i < n; i++) d[i] = VLOAD(pixel[i * n] + c);
    else for (int i = 0; i < n; i++) d[i] = NAME(load_some)(pixel[i * n] + c, some);
    NAME(winograd_bt)(m, d, half, n);
}

/* One row of B^T d times B, stored. */
INLINE void NAME(winograd_row)(const int m, const V *half, REAL *v, const int64_t step) {
    const int n = m + 2;
    V y[WINOGRAD_WIDE];
    NAME(winograd_bt)(m, half, y, 1);
    UNROLL for (int j = 0; j < n; j++) VSTORE(v + j * step, y[j]);
}

/* Where a pixel is: outside the image it is zeros. */
INLINE const REAL *NAME(winograd_pixel)(const WinogradInput *w, const int i, const int j) {
    const int inside = i >= w->row_low && i < w->row_high && j >= w->column_low && j < w->column_high;
    return (const REAL *)(inside ? (const char *)w->x + i * w->row_step + j * w->column_step : (const char *)w->zeros);
}

/* Contract: `channels` elements of a pixel are readable and no more; v has n*n rows of `v_step` elements, whole vectors. */
INLINE void NAME(winograd_input)(const WinogradInput *w, const int m) {
    const int n = m + 2;
    const REAL *pixel[WINOGRAD_WIDE * WINOGRAD_WIDE];
    WINOGRAD_EACH(i, n, WINOGRAD_EACH(j, n, pixel[i * n + j] = NAME(winograd_pixel)(w, i, j)));
    const int64_t step = w->v_step;
    for (int64_t c = 0; c < w->channels; c += LANES) {
        const int64_t some = w->channels - c;
        REAL *v = (REAL *)w->v + c;
        V half[WINOGRAD_WIDE * WINOGRAD_WIDE];
        WINOGRAD_EACH(j, n, NAME(winograd_column)(m, pixel + j, c, some, half + j));
        WINOGRAD_EACH(i, n, NAME(winograd_row)(m, half + i * n, v + i * n * step, step));
    }
}

/* One column of A^T s. */
INLINE void NAME(winograd_sums)(const int m, const REAL *s, const int64_t s_step, V *half) {
    const int n = m + 2;
    V d[WINOGRAD_WIDE];
    UNROLL for (int i = 0; i < n; i++) d[i] = VLOAD(s + i * n * s_step);
    NAME(winograd_at)(m, d, half, n);
}

/* One row of A^T s times A, with bias and clipping: `columns` pixels of `some` channels are stored. */
INLINE void NAME(winograd_pixels)(const int m, const V *half, const WinogradOutput *w, const V bias, char *out, const int64_t some) {
    V y[WINOGRAD_MOST];
    NAME(winograd_at)(m, half, y, 1);
    NAME(end_sums)(y, m, 1, bias, &w->end);
    UNROLL for (int j = 0; j < m; j++) {
        if (j < w->columns) {
            REAL *o = (REAL *)(out + j * w->column_step);
            if (some >= LANES) VSTORE(o, y[j]);
            else NAME(store_some)(o, y[j], some);
        }
    }
}

/* Contract: s has n*n rows of `s_step` elements; bias and alpha are whole vectors, or NULL. Of the m x m outputs those in
   rows x columns are stored, `lanes` channels of each. */
INLINE void NAME(winograd_output)(const WinogradOutput *w, const int m) {
    const int n = m + 2;
    for (int64_t c = 0; c < w->lanes; c += LANES) {
        const int64_t some = w->lanes - c;
        const REAL *s = (const REAL *)w->s + c;
        const V bias = NAME(bias_at)(&w->end, c, LANES);
        V half[WINOGRAD_MOST * WINOGRAD_WIDE];
        char *out = (char *)w->out + c * (int64_t)sizeof(REAL);
        WINOGRAD_EACH(j, n, NAME(winograd_sums)(m, s + j * w->s_step, w->s_step, half + j));
        WINOGRAD_EACH(i, m, if (i < w->rows) NAME(winograd_pixels)(m, half + i * n, w, bias, out + i * w->row_step, some));
    }
    if (NAME(ends_later)(&w->end))
        for (int i = 0; i < w->rows; i++)
            NAME(end_rows)(&w->end, (char *)w->out + i * w->row_step, w->column_step, w->columns, w->lanes);
}

/* Panels [n*n][cin][nr*LANES] of output channels, the last one narrower but whole vectors wide: what the micro-kernel reads.
   Plain C in double, so that no instruction set's bits differ; lanes side by side, so that the compiler can use vectors. */
INLINE void NAME(winograd_kernel)(const WinogradKernel *w, const int m) {
    static const double g2[2][3] = {{0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}};
    static const double g4[4][3] = {{1.0 / 3, 1.0 / 3, 1.0 / 3},
                                    {-1.0 / 3, 1.0 / 3, -1.0 / 3},
                                    {-16.0 / 15, -8.0 / 15, -4.0 / 15},
                                    {1.0 / 15, -2.0 / 15, 4.0 / 15}};
    static const double g5[5][3] = {{-2.0 / 3, -2.0 / 3, -2.0 / 3},
                                    {-2.0 / 9, 2.0 / 9, -2.0 / 9},
                                    {16.0 / 9, 8.0 / 9, 4.0 / 9},
                                    {16.0 / 15, -8.0 / 15, 4.0 / 15},
                                    {2.0 / 45, 4.0 / 45, 8.0 / 45}};
    static const double g6[6][3] = {{-2.0 / 9, -2.0 / 9, -2.0 / 9},
                                    {-2.0 / 9, 2.0 / 9, -2.0 / 9},
                                    {32.0 / 45, 16.0 / 45, 8.0 / 45},
                                    {32.0 / 45, -16.0 / 45, 8.0 / 45},
                                    {1.0 / 90, 1.0 / 45, 2.0 / 45},
                                    {1.0 / 90, -1.0 / 45, 2.0 / 45}};
    const int n = m + 2;
    const double(*const rows)[3] = m == 2 ? g2 : m == 4 ? g4 : m == 5 ? g5 : g6;
    REAL *panel = (REAL *)w->panels;
    for (int64_t first = 0; first < w->cout; first += MAX_NR * LANES) {
        const int64_t left = w->cout - first < MAX_NR * LANES ? w->cout - first : MAX_NR * LANES;
        const int64_t wide = (left + LANES - 1) / LANES * LANES;
        for (int64_t k = 0; k < w->cin; k++) for (int64_t c = 0; c < left; c += LANES) {
            double tap[9][LANES], half[WINOGRAD_WIDE][3][LANES], u[LANES];
            const int64_t some = left - c < LANES ? left - c : LANES;
            const REAL *src = (const REAL *)w->kernel + k * w->k_step + (first + c) * w->l_step;
            for (int t = 0; t < 9; t++) {
                const REAL *g = src + t / 3 * w->row_step + t % 3 * w->column_step;
                if (w->l_step == 1 && some == LANES) for (int l = 0; l < LANES; l++) tap[t][l] = (double)g[l];
                else for (int64_t l = 0; l < LANES; l++) tap[t][l] = l < some ? (double)g[l * w->l_step] : 0;
            }
            for (int b = 0; b < 3; b++) for (int l = 0; l < LANES; l++) {
                half[0][b][l] = tap[b][l];
                half[n - 1][b][l] = tap[6 + b][l];
                for (int i = 0; i < m; i++)
                    half[i + 1][b][l] = rows[i][0] * tap[b][l] + rows[i][1] * tap[3 + b][l] + rows[i][2] * tap[6 + b][l];
            }
            REAL *dst = panel + k * wide + c;
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++, dst += w->cin * wide) {
                    if (j == 0) for (int l = 0; l < LANES; l++) u[l] = half[i][0][l];
                    else if (j == n - 1) for (int l = 0; l < LANES; l++) u[l] = half[i][2][l];
                    else for (int l = 0; l < LANES; l++)
                        u[l] = rows[j - 1][0] * half[i][0][l] + rows[j - 1][1] * half[i][1][l] + rows[j - 1][2] * half[i][2][l];
                    for (int l = 0; l < LANES; l++) dst[l] = (REAL)u[l];
                }
            }
        }
        panel += n * n * w->cin * wide;
    }
}

static void NAME(winograd2_input)(const WinogradInput *w) { NAME(winograd_input)(w, 2); }
static void NAME(winograd4_input)(const WinogradInput *w) { NAME(winograd_input)(w, 4); }
static void NAME(winograd5_input)(const WinogradInput *w) { NAME(winograd_input)(w, 5); }
static void NAME(winograd6_input)(const WinogradInput *w) { NAME(winograd_input)(w, 6); }
static void NAME(winograd2_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 2); }
static void NAME(winograd4_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 4); }
static void NAME(winograd5_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 5); }
static void NAME(winograd6_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 6); }
static void NAME(winograd2_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 2); }
static void NAME(winograd4_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 4); }
static void NAME(winograd5_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 5); }
static void NAME(winograd6_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 6); }

#undef WINOGRAD_MOST
#undef WINOGRAD_WIDE
#undef WINOGRAD_EACH
