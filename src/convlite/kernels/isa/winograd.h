/* Winograd's F(m x m, 3x3), m = 2 or 4: the three transforms around the products. A tile is n x n input pixels, n = m + 2, that
   give m x m outputs; position q = i*n + j is one of its n*n products. What they compute, in matrices (^T: transposed):

       kernel   u[q] = (G g G^T)[i][j]   for each (input channel, output channel), in double, then rounded
       input    v[q] = (B^T d B)[i][j]   for each input channel
       (the micro-kernel sums s[q] = sum over channels k of v[q][k] * u[q][k], a 1-tap tile for each q)
       output   y = A^T s A              for each output channel, then act(y + bias)

   Interpolation points 0, 1, -1, inf (m = 2) and 0, 1, -1, 1/2, -2, inf (m = 4): half the error of the usual 0, 1, -1, 2, -2
   for about as many operations. All fractions that round are in G:

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

   Every lane is one channel and every value one fixed sequence of roundings, so the bits depend on no vector length. */

/* y[0], y[step], ... = B^T x; at most 4 roundings deep, and no coefficient is a difference of larger ones */
INLINE void NAME(winograd_bt)(const int m, const V *x, V *y, const int step) {
    if (m == 2) {
        y[0] = VSUB(x[0], x[2]);
        y[step] = VADD(x[1], x[2]);
        y[2 * step] = VSUB(x[2], x[1]);
        y[3 * step] = VSUB(x[3], x[1]);
    } else {
        const V three_halves = VSPLAT((REAL)1.5);
        const V even = VSUB(x[4], x[2]), odd = VSUB(x[3], x[1]);
        y[0] = VFMA(three_halves, odd, VADD(x[0], VSUB(even, x[2])));
        y[step] = VFMA(VSPLAT((REAL)2.5), x[3], VFMA(VSPLAT((REAL)0.5), x[2], VSUB(x[4], x[1])));
        y[2 * step] = VFMA(VSPLAT((REAL)-2.5), x[2], VFMA(VSPLAT((REAL)0.5), x[3], VADD(x[4], x[1])));
        y[3 * step] = VFMA(VSPLAT((REAL)2), odd, even);
        y[4 * step] = VFMA(VSPLAT((REAL)-0.5), odd, even);
        y[5 * step] = VFMA(three_halves, even, VSUB(x[5], VADD(x[3], odd)));
    }
}

/* y[0], y[step], ... = A^T s; at most 4 roundings deep */
INLINE void NAME(winograd_at)(const int m, const V *s, V *y, const int step) {
    const V sum = VADD(s[1], s[2]), difference = VSUB(s[1], s[2]);
    if (m == 2) {
        y[0] = VADD(s[0], sum);
        y[step] = VADD(difference, s[3]);
    } else {
        y[0] = VADD(VADD(s[0], sum), VADD(s[3], s[4]));
        y[step] = VFMA(VSPLAT((REAL)-2), s[4], VFMA(VSPLAT((REAL)0.5), s[3], difference));
        y[2 * step] = VFMA(VSPLAT((REAL)4), s[4], VFMA(VSPLAT((REAL)0.25), s[3], sum));
        y[3 * step] = VFMA(VSPLAT((REAL)-8), s[4], VFMA(VSPLAT((REAL)0.125), s[3], VADD(difference, s[5])));
    }
}

/* Contract: `channels` elements of a pixel are readable and no more; v has n*n rows of `v_step` elements, whole vectors. */
INLINE void NAME(winograd_input)(const WinogradInput *w, const int m) {
    const int n = m + 2;
    const REAL *pixel[36];
    UNROLL for (int i = 0; i < n; i++) UNROLL for (int j = 0; j < n; j++) {
        const int inside = i >= w->row_low && i < w->row_high && j >= w->column_low && j < w->column_high;
        const char *here = (const char *)w->x + i * w->row_step + j * w->column_step;
        pixel[i * n + j] = (const REAL *)(inside ? here : (const char *)w->zeros);
    }
    const int64_t step = w->v_step;
    for (int64_t c = 0; c < w->channels; c += LANES) {
        const int64_t some = w->channels - c;
        REAL *v = (REAL *)w->v + c;
        V half[36];
        UNROLL for (int j = 0; j < n; j++) {
            V d[6];
            if (some >= LANES) UNROLL for (int i = 0; i < n; i++) d[i] = VLOAD(pixel[i * n + j] + c);
            else for (int i = 0; i < n; i++) d[i] = NAME(load_some)(pixel[i * n + j] + c, some);
            NAME(winograd_bt)(m, d, half + j, n);
        }
        UNROLL for (int i = 0; i < n; i++) {
            V y[6];
            NAME(winograd_bt)(m, half + i * n, y, 1);
            UNROLL for (int j = 0; j < n; j++) VSTORE(v + (i * n + j) * step, y[j]);
        }
    }
}

/* Contract: s has n*n rows of `s_step` elements; bias and alpha are whole vectors, or NULL. Of the m x m outputs those in
   rows x columns are stored, `lanes` channels of each. */
INLINE void NAME(winograd_output)(const WinogradOutput *w, const int m) {
    const int n = m + 2;
    const int clip = w->act.code == ACT_CLIP;
    const V low = VSPLAT((REAL)w->act.a), high = VSPLAT((REAL)w->act.b);
    for (int64_t c = 0; c < w->lanes; c += LANES) {
        const int64_t some = w->lanes - c;
        const REAL *s = (const REAL *)w->s + c;
        const V bias = w->bias ? VLOAD((const REAL *)w->bias + c) : VZERO();
        V half[24];
        UNROLL for (int j = 0; j < n; j++) {
            V d[6];
            UNROLL for (int i = 0; i < n; i++) d[i] = VLOAD(s + (i * n + j) * w->s_step);
            NAME(winograd_at)(m, d, half + j, n);
        }
        UNROLL for (int i = 0; i < m; i++) {
            V y[4];
            NAME(winograd_at)(m, half + i * n, y, 1);
            if (i >= w->rows) break;
            REAL *out = (REAL *)((char *)w->out + i * w->row_step) + c;
            UNROLL for (int j = 0; j < m; j++) {
                if (w->bias) y[j] = VADD(y[j], bias);
                if (clip) y[j] = VMIN(high, VMAX(low, y[j]));
                if (j < w->columns) {
                    REAL *o = (REAL *)((char *)out + j * w->column_step);
                    if (some >= LANES) VSTORE(o, y[j]);
                    else NAME(store_some)(o, y[j], some);
                }
            }
        }
    }
    if (w->act.code > ACT_CLIP)
        for (int i = 0; i < w->rows; i++) for (int j = 0; j < w->columns; j++) {
            REAL *o = (REAL *)((char *)w->out + i * w->row_step + j * w->column_step);
            NAME(activate)(o, o, 1, w->lanes, w->alpha, w->act);
        }
}

/* Panels [n*n][cin][nr*LANES] of output channels, the last one narrower but whole vectors wide: what the micro-kernel reads.
   Plain C in double, so that no instruction set's bits differ; lanes side by side, so that the compiler can use vectors. */
INLINE void NAME(winograd_kernel)(const WinogradKernel *w, const int m) {
    static const double g2[2][3] = {{0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}};
    static const double g4[4][3] = {{1.0 / 3, 1.0 / 3, 1.0 / 3},
                                    {-1.0 / 3, 1.0 / 3, -1.0 / 3},
                                    {-16.0 / 15, -8.0 / 15, -4.0 / 15},
                                    {1.0 / 15, -2.0 / 15, 4.0 / 15}};
    const int n = m + 2;
    const double(*const rows)[3] = m == 2 ? g2 : g4;
    REAL *panel = (REAL *)w->panels;
    for (int64_t first = 0; first < w->cout; first += MAX_NR * LANES) {
        const int64_t left = w->cout - first < MAX_NR * LANES ? w->cout - first : MAX_NR * LANES;
        const int64_t wide = (left + LANES - 1) / LANES * LANES;
        for (int64_t k = 0; k < w->cin; k++) for (int64_t c = 0; c < left; c += LANES) {
            double tap[9][LANES], half[6][3][LANES], u[LANES];
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
static void NAME(winograd2_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 2); }
static void NAME(winograd4_output)(const WinogradOutput *w) { NAME(winograd_output)(w, 4); }
static void NAME(winograd2_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 2); }
static void NAME(winograd4_kernel)(const WinogradKernel *w) { NAME(winograd_kernel)(w, 4); }
