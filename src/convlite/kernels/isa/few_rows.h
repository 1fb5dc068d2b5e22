/* Rows times a matrix that is not packed: kernels that are used once. What it computes:

       for m < rows, n < columns:  to[m][n] = a chain of fma(x[m][k], w[k][n], to[m][n]) over k < kc

   The loops below read w once, four of its rows at a time, and for these ROWS_AT_ONCE rows of x at a time. So each number of w is loaded once for
   ROWS_AT_ONCE multiply-adds, and each sum once for four. The sums wait in L1; storing and reloading one is exact, and each adds its products in the
   order of k. Whole rows are read because that is as fast as memory: in a panel of columns every row of a wide matrix would be on another page.

   Contract: each x[m] has kc elements; w has kc rows with `columns` readable elements each; steps are in elements; to[m] has `columns`
   elements, rounded up to whole vectors. */

#if TILE_MR >= 12 /* 32 registers: 16 numbers of x, 4 vectors of w, a sum */
#define ROWS_AT_ONCE 4
#else
#define ROWS_AT_ONCE 2
#endif

/* Products k .. k + 4 of `rows` rows. */
INLINE void NAME(few_rows_four)(const FewRowsCall *r, int64_t m, int64_t k, const int rows) {
    const int64_t n = r->columns, whole = n - n % LANES, step = r->w_step;
    const REAL *w0 = (const REAL *)r->w + k * step, *w1 = w0 + step, *w2 = w1 + step, *w3 = w2 + step;
    V s[ROWS_AT_ONCE][4], sum;
    REAL *to[ROWS_AT_ONCE];
    UNROLL for (int i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)r->x[m + i] + k;
        to[i] = (REAL *)r->to[m + i];
        UNROLL for (int u = 0; u < 4; u++) s[i][u] = VSPLAT(x[u]);
    }
    for (int64_t c = 0; c < whole; c += LANES) {
        const V a = VLOAD(w0 + c), b = VLOAD(w1 + c), d = VLOAD(w2 + c), e = VLOAD(w3 + c);
        UNROLL for (int i = 0; i < rows; i++) {
            sum = VFMA(s[i][1], b, VFMA(s[i][0], a, VLOAD(to[i] + c)));
            VSTORE(to[i] + c, VFMA(s[i][3], e, VFMA(s[i][2], d, sum)));
        }
    }
    if (whole < n) {
        const V a = NAME(load_some)(w0 + whole, n - whole), b = NAME(load_some)(w1 + whole, n - whole);
        const V d = NAME(load_some)(w2 + whole, n - whole), e = NAME(load_some)(w3 + whole, n - whole);
        UNROLL for (int i = 0; i < rows; i++) {
            sum = VFMA(s[i][1], b, VFMA(s[i][0], a, VLOAD(to[i] + whole)));
            VSTORE(to[i] + whole, VFMA(s[i][3], e, VFMA(s[i][2], d, sum)));
        }
    }
}

static void NAME(few_rows)(const FewRowsCall *r) {
    const int64_t n = r->columns, step = r->w_step;
    int64_t k = 0;
    for (; k + 4 <= r->kc; k += 4) {
        int64_t m = 0;
        for (; m + ROWS_AT_ONCE <= r->rows; m += ROWS_AT_ONCE) NAME(few_rows_four)(r, m, k, ROWS_AT_ONCE);
#if ROWS_AT_ONCE > 2
        if (m + 2 <= r->rows) NAME(few_rows_four)(r, m, k, 2), m += 2;
#endif
        if (m < r->rows) NAME(few_rows_four)(r, m, k, 1);
    }
    for (; k < r->kc; k++) /* the last one to three rows */
        for (int64_t m = 0; m < r->rows; m++) {
            const V s = VSPLAT(((const REAL *)r->x[m])[k]);
            const REAL *w = (const REAL *)r->w + k * step;
            REAL *to = (REAL *)r->to[m];
            for (int64_t c = 0; c < n; c += LANES) VSTORE(to + c, VFMA(s, NAME(load_apart)(w + c, 1, n - c < LANES ? n - c : LANES), VLOAD(to + c)));
        }
}
#undef ROWS_AT_ONCE

/* Whether n numbers are all finite: 0 * Inf and 0 * NaN are NaN. Four chains make it as fast as memory. */
static int NAME(all_finite)(const void *numbers, int64_t n) {
    const REAL *x = (const REAL *)numbers;
    const V zero = VZERO();
    V odd[4] = {zero, zero, zero, zero};
    REAL lanes[LANES];
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) UNROLL for (int j = 0; j < 4; j++) odd[j] = VFMA(VLOAD(x + i + j * LANES), zero, odd[j]);
    for (; i < n; i += LANES) odd[0] = VFMA(NAME(load_apart)(x + i, 1, n - i < LANES ? n - i : LANES), zero, odd[0]);
    VSTORE(lanes, VADD(VADD(odd[0], odd[1]), VADD(odd[2], odd[3])));
    for (int j = 0; j < LANES; j++)
        if (lanes[j] != lanes[j]) return 0;
    return 1;
}

/* One row: out[n] = act(sums[n] + bias[n]) and the rest of the epilogue. */
static void NAME(few_rows_end)(const Epilogue *end, const void *sums, void *to, int64_t n) {
    REAL *out = (REAL *)to;
    const NAME(Clip) clip = NAME(clip_of)(end);
    for (int64_t c = 0; c < n; c += LANES) {
        const int64_t some = n - c < LANES ? n - c : LANES;
        V sum = NAME(load_apart)((const REAL *)sums + c, 1, some);
        NAME(end_sums)(&sum, 1, 1, NAME(bias_at)(end, c, some), &clip);
        NAME(store_apart)(out + c, sum, 1, some);
    }
    if (NAME(ends_later)(end)) NAME(end_rows)(end, out, 0, 1, n);
}
