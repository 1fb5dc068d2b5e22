/* Rows times a matrix that is not packed: kernels that are used once. What it computes:

       for m < rows, n < columns:  to[m][n] = a chain of fma(x[m][k], w[k][n], to[m][n]) over k < kc; with `add` the chain begins at zero, and is added

   From three rows on, the loops below take some rows of w at a time, and of these a strip of some vectors of columns, which stays in the caches while
   all rows of x, in groups, are multiplied by it. A group's sums of a strip are in registers meanwhile; before and after, they wait in the caches.
   Storing and reloading one is exact, and each adds its products in the order of k. The strips of the same rows of w lie side by side, and all groups
   together prefetch the next one. It goes to L2: L1 waits for few lines at a time, and prefetched by the first group alone they came in bursts
   (12 rows times 4096 x 4096 54 -> 71 GFLOP/s, 32 rows 75 -> 92; 58 -> 98 and 78 -> 104 where w begins on a cache line; Zen 4, one thread). Where the
   first group stored the strip in a row for the others, this was 1 to 13% slower, on huge pages, too; with copied x 1 to 2%; with sums added behind
   the tile 2 to 13%.

   Contract: each x[m] has kc elements; w has kc rows with `columns` readable elements each; steps are in elements; to[m] has `columns`
   elements, rounded up to whole vectors. With `add` there are ADD_ROWS rows or more. */

/* EACH_GROUP(X): X(rows, vectors, adds) for groups and strips whose sums, and a row's weights, fit into the registers. Groups of one call differ by one
   row and share the larger one's strip. */
#undef ADD_ROWS
#if TILE_MR >= 12 /* 32 registers: wide strips continue chains, others add */
#define ADD_ROWS 5
#define ADDS(rows) ((rows) <= 4 ? r->add : 1)
#define ROWS_AT_ONCE(add) ((add) ? 8 : 4)
#define STRIP(rows, add) (!(add) ? 6 : (rows) <= 6 ? 4 : 3)
#define EACH_GROUP(X) X(2, 6, 0) X(3, 6, 0) X(4, 6, 0) X(4, 4, 1) X(5, 4, 1) X(6, 4, 1) X(6, 3, 1) X(7, 3, 1) X(8, 3, 1)
#else
#define ADD_ROWS (1 << 30) /* none: code that adds took 1 to 3 KB; 12 rows and more gained 1 to 3% with AVX2, 8 rows 20% */
#define ADDS(rows) 0
#define ROWS_AT_ONCE(add) 4
#define STRIP(rows, add) 3
#define EACH_GROUP(X) X(2, 3, 0) X(3, 3, 0) X(4, 3, 0)
#endif
/* Few streams are read faster from memory; many rows store their sums less often. With `add`, they are stored once. AVX2: 4 rows 1.6 times as fast with
   8 as with 16. */
#define DEPTH(rows) ((rows) <= 4 ? TILE_MR >= 12 ? 16 : 8 : (rows) <= 8 ? 32 : 128)

/* A group's rows and a strip's columns: x from k on, sums from c on; `columns` are those of the last vector. `ahead` is prefetched, as many bytes as
   the strip has, once for each `every` rows of w. */
INLINE void NAME(few_rows_tile)(const FewRowsCall *r, int64_t k, int64_t c, const char *ahead, int64_t every, const int rows, const int vectors,
                                const int adds, const int whole) {
    const int64_t step = r->w_step, depth = r->kc;
    const REAL *w = (const REAL *)r->w;
    const REAL *x[8];
    V sum[8][6];
    int64_t wait = 1;
    UNROLL for (int i = 0; i < rows; i++) {
        const REAL *to = (const REAL *)r->to[i] + c;
        x[i] = (const REAL *)r->x[i] + k;
        if (adds) UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VZERO();
        else UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VLOAD(to + j * LANES);
    }
    for (int64_t n = 0; n < depth; n++, w += step) {
        V b[6];
        UNROLL for (int j = 0; j < vectors; j++) b[j] = whole ? VLOAD(w + j * LANES) : NAME(load_some)(w + j * LANES, r->columns);
        if (--wait == 0) {
            UNROLL for (int line = 0; line * 64 < vectors * (int)sizeof(V); line++) PREFETCH_L2(ahead + line * 64);
            ahead += step * (int64_t)sizeof(REAL);
            wait = every;
        }
        UNROLL for (int i = 0; i < rows; i++) {
            const V s = VSPLAT(x[i][n]);
            UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VFMA(s, b[j], sum[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        REAL *to = (REAL *)r->to[i] + c;
        if (adds) UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = VADD(VLOAD(to + j * LANES), sum[i][j]);
        UNROLL for (int j = 0; j < vectors; j++) VSTORE(to + j * LANES, sum[i][j]);
    }
}

typedef void (*NAME(FewRowsStrip))(const FewRowsCall *, int64_t, int64_t, const char *, int64_t);

#define INSTANCE(rows, vectors, adds) \
    static void NAME(few_rows_##rows##_##vectors)(const FewRowsCall *r, int64_t k, int64_t c, const char *ahead, int64_t every) { \
        NAME(few_rows_tile)(r, k, c, ahead, every, rows, vectors, adds, 1); \
    }
EACH_GROUP(INSTANCE)
#undef INSTANCE

/* One vector of columns, or the first `left` of it. */
#define INSTANCE(rows) \
    static void NAME(few_rows_end_##rows)(const FewRowsCall *r, int64_t k, int64_t c, const char *ahead, int64_t every) { \
        if (!HAS_MASKS && r->columns == LANES) NAME(few_rows_tile)(r, k, c, ahead, every, rows, 1, ADDS(rows), 1); \
        else NAME(few_rows_tile)(r, k, c, ahead, every, rows, 1, ADDS(rows), 0); \
    }
INSTANCE(2) INSTANCE(3) INSTANCE(4)
#if TILE_MR >= 12
INSTANCE(5) INSTANCE(6) INSTANCE(7) INSTANCE(8)
#endif
#undef INSTANCE

static NAME(FewRowsStrip) NAME(few_rows_strip)(int64_t rows, int64_t vectors) {
#define ENTRY(m, n, adds) if (rows == m && vectors == n) return NAME(few_rows_##m##_##n);
    EACH_GROUP(ENTRY)
#undef ENTRY
    static const NAME(FewRowsStrip) ends[] = {
        NAME(few_rows_end_2), NAME(few_rows_end_3), NAME(few_rows_end_4),
#if TILE_MR >= 12
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
    const int64_t n = r->columns, step = r->w_step, groups = (r->rows + ROWS_AT_ONCE(r->add) - 1) / ROWS_AT_ONCE(r->add);
    const int64_t most = (r->rows + groups - 1) / groups, larger = r->rows - (most - 1) * groups; /* groups of `most` rows; then those of one less */
    const int64_t strip = STRIP(most, r->add), parts = r->add ? 1 : (r->kc + DEPTH(r->rows) - 1) / DEPTH(r->rows);
    FewRowsCall tile = *r;
    for (int64_t part = 0; part < parts; part++) {
        const int64_t k = part * r->kc / parts, depth = (part + 1) * r->kc / parts - k, share = (depth + groups - 1) / groups;
        tile.kc = depth;
        for (int64_t c = 0, vectors, next; c < n; c = next) {
            vectors = n - c >= strip * LANES ? strip : 1;
            next = c + vectors * LANES;
            tile.w = (const REAL *)r->w + k * step + c;
            tile.columns = n - c < LANES ? n - c : LANES;
            /* The last strip of all fetches itself: see `ahead` in table.h. A strip that begins within a line ends in one that nobody fetched: so
               the ends of 64 bytes are. */
            const int64_t after = next < n ? k * step + next : part + 1 < parts ? (k + depth) * step : k * step + c;
            const char *ahead = (const char *)((const REAL *)r->w + after) + 63;
            const NAME(FewRowsStrip) larger_one = NAME(few_rows_strip)(most, vectors);
            const NAME(FewRowsStrip) smaller_one = NAME(few_rows_strip)(most - 1, vectors);
            tile.x = r->x, tile.to = r->to;
            for (int64_t group = 0; group < groups; group++, ahead += share * step * (int64_t)sizeof(REAL)) {
                const int64_t rows = group < larger ? most : most - 1;
                (group < larger ? larger_one : smaller_one)(&tile, k, c, ahead, groups);
                tile.x += rows, tile.to += rows;
            }
        }
    }
}
#undef ADDS
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
