/* A few rows times a matrix as it lies, without packing: dense layers called once. What it computes:

       for m < rows, n < columns:
           s = 0
           for k < kc:  s = fma(x[m][k], w[k][n], s)
           out[m][n] = act(s + bias[n])

   The loops below go through w once, four of its rows at a time, while the sums wait in `out` (L1): each (m, n) still meets its products in
   the order of k, and storing and reloading a sum is exact. Reading whole rows is what makes it as fast as memory: down a panel of
   columns every row of a wide matrix is another page.

   Contract: x has `rows` rows of kc elements, w kc rows of which `columns` elements from w on are readable, out likewise; steps in elements. */
static void NAME(rows)(const Rows *r) {
    const int64_t n = r->columns, whole = n - n % LANES, kc = r->kc;
    const REAL *x = (const REAL *)r->x, *w = (const REAL *)r->w;
    for (int64_t k = 0; k < kc || k == 0; k += 4) {
        const int64_t step = r->w_step;
        const int several = k + 4 <= kc;
        for (int64_t m = 0; m < r->rows; m++) {
            REAL *out = (REAL *)r->out + m * r->out_step;
            const REAL *a = x + m * r->x_step + k;
            if (several) {
                const V s0 = VSPLAT(a[0]), s1 = VSPLAT(a[1]), s2 = VSPLAT(a[2]), s3 = VSPLAT(a[3]);
                const REAL *w0 = w + k * step, *w1 = w0 + step, *w2 = w1 + step, *w3 = w2 + step;
                for (int64_t c = 0; c < whole; c += LANES) {
                    V sum = k ? VLOAD(out + c) : VZERO();
                    sum = VFMA(s0, VLOAD(w0 + c), sum);
                    sum = VFMA(s1, VLOAD(w1 + c), sum);
                    sum = VFMA(s2, VLOAD(w2 + c), sum);
                    VSTORE(out + c, VFMA(s3, VLOAD(w3 + c), sum));
                }
                if (whole < n) {
                    V sum = k ? NAME(load_some)(out + whole, n - whole) : VZERO();
                    sum = VFMA(s0, NAME(load_some)(w0 + whole, n - whole), sum);
                    sum = VFMA(s1, NAME(load_some)(w1 + whole, n - whole), sum);
                    sum = VFMA(s2, NAME(load_some)(w2 + whole, n - whole), sum);
                    NAME(store_some)(out + whole, VFMA(s3, NAME(load_some)(w3 + whole, n - whole), sum), n - whole);
                }
                continue;
            }
            for (int64_t c = 0; c < n; c += LANES) { /* the last one to three rows, or none at all */
                const int64_t l = n - c < LANES ? n - c : LANES;
                V sum = k ? NAME(load_apart)(out + c, 1, l) : VZERO();
                for (int64_t u = 0; k + u < kc; u++) sum = VFMA(VSPLAT(a[u]), NAME(load_apart)(w + (k + u) * step + c, 1, l), sum);
                NAME(store_apart)(out + c, sum, 1, l);
            }
        }
    }
    for (int64_t m = 0; m < r->rows; m++) {
        REAL *out = (REAL *)r->out + m * r->out_step;
        for (int64_t c = 0; c < n; c++) { /* no -0: see microkernel.h */
            const REAL sum = out[c] + 0;
            out[c] = r->bias ? sum + ((const REAL *)r->bias)[c] : sum;
        }
        if (r->act.code) NAME(activate)(out, out, 1, n, r->alpha, r->act);
    }
}
