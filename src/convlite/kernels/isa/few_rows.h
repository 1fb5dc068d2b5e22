/* Rows times a matrix that is not packed: kernels that are used once. What it computes:

       for m < rows, n < columns:  to[m][n] = a chain of fma(x[m][k], w[k][n], to[m][n]) over k < kc

   From three rows on, the loops below take DEPTH rows of w at a time, and of these a strip of some vectors of columns, which stays in L1 while all
   rows of x, in groups of up to ROWS_AT_ONCE, are multiplied by it. A group's sums of a strip are in registers meanwhile; before and after, they wait
   in the caches. Storing and reloading one is exact, and each adds its products in the order of k. The strips of the same rows of w lie side by side,
   so that w is read in DEPTH streams, as fast as memory; while one strip is used, the next one is prefetched.

   Contract: each x[m] has kc elements; w has kc rows with `columns` readable elements each; steps are in elements; to[m] has `columns`
   elements, rounded up to whole vectors. */

/* EACH_GROUP(X): X(rows, vectors) for groups and strips whose sums, and a row's weights, fit into the registers. Groups of one call differ by one row
   and share the larger one's strip. */
#if TILE_MR >= 12 /* 32 registers */
#define ROWS_AT_ONCE 8
#define STRIP(rows) ((rows) <= 4 ? 6 : (rows) <= 6 ? 4 : 3)
#define EACH_GROUP(X) X(3, 6) X(4, 6) X(4, 4) X(5, 4) X(6, 4) X(6, 3) X(7, 3) X(8, 3)
#else
#define ROWS_AT_ONCE 4
#define STRIP(rows) 3
#define EACH_GROUP(X) X(2, 3) X(3, 3) X(4, 3)
#endif
/* Few streams are read faster from memory; many rows store and reload their sums less often. */
#define DEPTH(rows) ((rows) <= 4 ? 8 : (rows) <= 8 ? 32 : 128)

/* Products k .. k + depth of a group's rows, from m on, and a strip's columns, from c on; `left`: how many of the last vector there are. `ahead` is
   prefetched, as many bytes as the strip has, once for each row of w. */
INLINE void NAME(few_rows_tile)(const FewRowsCall *r, int64_t m, int64_t k, int64_t depth, int64_t c, int64_t left, const char *ahead, const int rows,
                                const int vectors, const int whole) {
    const int64_t step = r->w_step;
    const REAL *w = (const REAL *)r->w + k * step + c;
    const REAL *x[ROWS_AT_ONCE];
    V sum[ROWS_AT_ONCE][6];
    UNROLL for (int i = 0; i < rows; i++) {
        const REAL *to = (const REAL *)r->to[m + i] + c;
        x[i] = (const REAL *)r->x[m + i] + k;
        UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VLOAD(to + j * LANES);
    }
    for (int64_t n = 0; n < depth; n++, w += step, ahead += step * (int64_t)sizeof(REAL)) {
        V b[6];
        UNROLL for (int j = 0; j < vectors; j++) b[j] = whole ? VLOAD(w + j * LANES) : NAME(load_some)(w + j * LANES, left);
        UNROLL for (int line = 0; line * 64 < vectors * (int)sizeof(V); line++) PREFETCH(ahead + line * 64);
        UNROLL for (int i = 0; i < rows; i++) {
            const V s = VSPLAT(x[i][n]);
            UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VFMA(s, b[j], sum[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        REAL *to = (REAL *)r->to[m + i] + c;
        UNROLL for (int j = 0; j < vectors; j++) VSTORE(to + j * LANES, sum[i][j]);
    }
}

typedef void (*NAME(FewRowsStrip))(const FewRowsCall *, int64_t, int64_t, int64_t, int64_t, int64_t, const char *);

#define INSTANCE(rows, vectors) \
    static void NAME(few_rows_##rows##_##vectors)(const FewRowsCall *r, int64_t m, int64_t k, int64_t depth, int64_t c, int64_t left, const char *ahead) { \
        NAME(few_rows_tile)(r, m, k, depth, c, left, ahead, rows, vectors, 1); \
    }
EACH_GROUP(INSTANCE)
#undef INSTANCE

/* One vector of columns, or the first `left` of it. */
#define INSTANCE(rows) \
    static void NAME(few_rows_end_##rows)(const FewRowsCall *r, int64_t m, int64_t k, int64_t depth, int64_t c, int64_t left, const char *ahead) { \
        if (left == LANES) NAME(few_rows_tile)(r, m, k, depth, c, left, ahead, rows, 1, 1); \
        else NAME(few_rows_tile)(r, m, k, depth, c, left, ahead, rows, 1, 0); \
    }
INSTANCE(2) INSTANCE(3) INSTANCE(4)
#if ROWS_AT_ONCE > 4
INSTANCE(5) INSTANCE(6) INSTANCE(7) INSTANCE(8)
#endif
#undef INSTANCE

static NAME(FewRowsStrip) NAME(few_rows_strip)(int64_t rows, int64_t vectors) {
#define ENTRY(m, n) if (rows == m && vectors == n) return NAME(few_rows_##m##_##n);
    EACH_GROUP(ENTRY)
#undef ENTRY
    static const NAME(FewRowsStrip) ends[ROWS_AT_ONCE - 1] = {
        NAME(few_rows_end_2), NAME(few_rows_end_3), NAME(few_rows_end_4),
#if ROWS_AT_ONCE > 4
        NAME(few_rows_end_5), NAME(few_rows_end_6), NAME(few_rows_end_7), NAME(few_rows_end_8),
#endif
    };
    return ends[rows - 2];
}

/* The same for products k .. k + 4 of all columns. */
INLINE void NAME(few_rows_four)(const FewRowsCall *r, int64_t m, int64_t k, const int rows) {
    const int64_t n = r->columns, whole = n - n % LANES, step = r->w_step;
    const REAL *w0 = (const REAL *)r->w + k * step, *w1 = w0 + step, *w2 = w1 + step, *w3 = w2 + step;
    V s[2][4], sum;
    REAL *to[2];
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

/* One or two rows, which wait for memory: four rows of w side by side, with the sums in L1, are read 10% faster than the strips of eight. */
static void NAME(few_rows_in_fours)(const FewRowsCall *r) {
    const int64_t n = r->columns, step = r->w_step;
    int64_t k = 0;
    for (; k + 4 <= r->kc; k += 4) {
        if (r->rows == 2) NAME(few_rows_four)(r, 0, k, 2);
        else if (r->rows == 1) NAME(few_rows_four)(r, 0, k, 1);
    }
    for (; k < r->kc; k++) /* the last one to three rows */
        for (int64_t m = 0; m < r->rows; m++) {
            const V s = VSPLAT(((const REAL *)r->x[m])[k]);
            const REAL *w = (const REAL *)r->w + k * step;
            REAL *to = (REAL *)r->to[m];
            for (int64_t c = 0; c < n; c += LANES) VSTORE(to + c, VFMA(s, NAME(load_apart)(w + c, 1, n - c < LANES ? n - c : LANES), VLOAD(to + c)));
        }
}

static void NAME(few_rows)(const FewRowsCall *r) {
    if (r->rows <= 2) {
        NAME(few_rows_in_fours)(r);
        return;
    }
    const int64_t n = r->columns, groups = (r->rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE, parts = (r->kc + DEPTH(r->rows) - 1) / DEPTH(r->rows);
    const int64_t most = (r->rows + groups - 1) / groups, larger = r->rows - (most - 1) * groups; /* groups of `most` rows; then those of one less */
    const int64_t strip = STRIP(most);
    for (int64_t part = 0; part < parts; part++) {
        const int64_t k = part * r->kc / parts, depth = (part + 1) * r->kc / parts - k;
        for (int64_t c = 0, vectors, next; c < n; c = next) {
            vectors = n - c >= strip * LANES ? strip : 1;
            next = c + vectors * LANES;
            const int64_t left = n - c < LANES ? n - c : LANES;
            const REAL *here = (const REAL *)r->w + k * r->w_step;
            const REAL *ahead = next < n ? here + next : part + 1 < parts ? here + depth * r->w_step : here + c;
            const NAME(FewRowsStrip) larger_one = NAME(few_rows_strip)(most, vectors);
            const NAME(FewRowsStrip) smaller_one = NAME(few_rows_strip)(most - 1, vectors);
            for (int64_t m = 0, group = 0; group < groups; group++) {
                (group < larger ? larger_one : smaller_one)(r, m, k, depth, c, left, (const char *)(group ? here + c : ahead));
                m += group < larger ? most : most - 1;
            }
        }
    }
}
#undef ROWS_AT_ONCE
#undef STRIP
#undef EACH_GROUP
#undef DEPTH

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
