/* A few rows times a matrix as it lies, without packing: dense layers called once. What it computes:

       for m < rows, n < columns:
           s = 0
           for pieces of k < kc:  a = 0;  for k of the piece:  a = fma(x[m][k], w[k][n], a);  s = s + a
           sections of these: see sections.h
           out[m][n] = act(s + bias[n])

   The loops below go through w once, four of its rows at a time, while the unfinished pieces wait in `out` or, where there is more than one
   piece, in `sums` (L1): each (m, n) still meets its products in the order of k, and storing and reloading a sum is exact. Reading whole
   rows is what makes it as fast as memory: down a panel of columns every row of a wide matrix is another page.

   Contract: x has `rows` rows of kc elements, w kc rows of which `columns` elements from w on are readable, out likewise; steps in elements.
   Pieces are all kc, or a multiple of four; sections are whole pieces. */

/* Products k0 .. k1 of all sums into a chain from zero, to[m][n], to_step apart. */
static void NAME(few_rows_piece)(const FewRowsCall *r, int64_t k0, int64_t k1, REAL *to, int64_t to_step) {
    const int64_t n = r->columns, whole = n - n % LANES;
    const REAL *x = (const REAL *)r->x, *w = (const REAL *)r->w;
    for (int64_t k = k0; k < k1 || k == k0; k += 4) {
        const int64_t step = r->w_step;
        const int several = k + 4 <= k1, begun = k > k0;
        for (int64_t m = 0; m < r->rows; m++) {
            REAL *out = to + m * to_step;
            const REAL *a = x + m * r->x_step + k;
            if (several) {
                const V s0 = VSPLAT(a[0]), s1 = VSPLAT(a[1]), s2 = VSPLAT(a[2]), s3 = VSPLAT(a[3]);
                const REAL *w0 = w + k * step, *w1 = w0 + step, *w2 = w1 + step, *w3 = w2 + step;
                for (int64_t c = 0; c < whole; c += LANES) {
                    V sum = begun ? VLOAD(out + c) : VZERO();
                    sum = VFMA(s0, VLOAD(w0 + c), sum);
                    sum = VFMA(s1, VLOAD(w1 + c), sum);
                    sum = VFMA(s2, VLOAD(w2 + c), sum);
                    VSTORE(out + c, VFMA(s3, VLOAD(w3 + c), sum));
                }
                if (whole < n) {
                    V sum = begun ? NAME(load_some)(out + whole, n - whole) : VZERO();
                    sum = VFMA(s0, NAME(load_some)(w0 + whole, n - whole), sum);
                    sum = VFMA(s1, NAME(load_some)(w1 + whole, n - whole), sum);
                    sum = VFMA(s2, NAME(load_some)(w2 + whole, n - whole), sum);
                    NAME(store_some)(out + whole, VFMA(s3, NAME(load_some)(w3 + whole, n - whole), sum), n - whole);
                }
                continue;
            }
            for (int64_t c = 0; c < n; c += LANES) { /* the last one to three rows, or none at all */
                const int64_t l = n - c < LANES ? n - c : LANES;
                V sum = begun ? NAME(load_apart)(out + c, 1, l) : VZERO();
                for (int64_t u = 0; k + u < k1; u++) sum = VFMA(VSPLAT(a[u]), NAME(load_apart)(w + (k + u) * step + c, 1, l), sum);
                NAME(store_apart)(out + c, sum, 1, l);
            }
        }
    }
}

static void NAME(few_rows)(const FewRowsCall *r) {
    const int64_t n = r->columns, all = r->rows * n;
    REAL *piece = (REAL *)r->sums, *section = piece + all, *low = section + all; /* each [rows][columns] */
    if (r->piece >= r->kc) NAME(few_rows_piece)(r, 0, r->kc, (REAL *)r->out, r->out_step);
    else for (int64_t s0 = 0; s0 < r->kc; s0 += r->section) { /* LOOP sections, LOOP pieces */
        const int64_t s1 = r->kc - s0 < r->section ? r->kc : s0 + r->section;
        for (int64_t k0 = s0; k0 < s1; k0 += r->piece) {
            NAME(few_rows_piece)(r, k0, s1 - k0 < r->piece ? s1 : k0 + r->piece, k0 == s0 ? section : piece, n);
            for (int64_t i = 0; k0 > s0 && i < all; i++) section[i] += piece[i];
        }
        for (int64_t m = 0; m < r->rows; m++) {
            REAL *out = (REAL *)r->out + m * r->out_step;
            if (r->section < r->kc) NAME(add_low)(out, low + m * n, section + m * n, n, s0 == 0, s1 == r->kc);
            else memcpy(out, section + m * n, (size_t)n * sizeof(REAL));
        }
    }
    const NAME(Clip) clip = NAME(clip_of)(&r->end);
    for (int64_t m = 0; m < r->rows; m++) {
        REAL *out = (REAL *)r->out + m * r->out_step;
        for (int64_t c = 0; c < n; c += LANES) {
            const int64_t some = n - c < LANES ? n - c : LANES;
            V sum = NAME(load_apart)(out + c, 1, some);
            NAME(end_sums)(&sum, 1, 1, NAME(bias_at)(&r->end, c, some), &clip);
            NAME(store_apart)(out + c, sum, 1, some);
        }
        if (NAME(ends_later)(&r->end)) NAME(end_rows)(&r->end, out, 0, 1, n);
    }
}
