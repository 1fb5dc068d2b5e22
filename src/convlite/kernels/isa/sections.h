/* Sections of a long sum (sums.py): the rounding errors of their additions are kept, by Knuth's two-sum.

       for l < n:
           t = (first ? 0 : high[l]) + sum[l],  low[l] = (first ? 0 : low[l]) + (what t rounded off)
           high[l] = last ? t + low[l] : t

   If t overflows or is not finite, the error is NaN, and is left out: VMAX and VMIN give 0 for it. */
static void NAME(add_low)(void *to, void *rest, const void *from, int64_t n, int first, int last) {
    REAL *high = (REAL *)to, *low = (REAL *)rest;
    const REAL *sum = (const REAL *)from;
    for (int64_t l = 0; l < n; l += LANES) {
        const int whole = n - l >= LANES;
        V h = VZERO(), r = h;
        if (!first) h = whole ? VLOAD(high + l) : NAME(load_some)(high + l, n - l), r = whole ? VLOAD(low + l) : NAME(load_some)(low + l, n - l);
        const V s = whole ? VLOAD(sum + l) : NAME(load_some)(sum + l, n - l), t = VADD(h, s), of_s = VSUB(t, h);
        const V error = VADD(VSUB(h, VSUB(t, of_s)), VSUB(s, of_s));
        r = VADD(r, VADD(VMAX(error, VZERO()), VMIN(error, VZERO())));
        h = last ? VADD(t, r) : t;
        if (whole) VSTORE(high + l, h), VSTORE(low + l, r);
        else NAME(store_some)(high + l, h, n - l), NAME(store_some)(low + l, r, n - l);
    }
}

/* Add a finished piece to the sum of those before; the next piece begins at zero. Whole vectors. */
static void NAME(move_sums)(void *from, void *to, int64_t n) {
    REAL *piece = (REAL *)from, *sum = (REAL *)to;
    for (int64_t l = 0; l < n; l += LANES) {
        VSTORE(sum + l, VADD(VLOAD(sum + l), VLOAD(piece + l)));
        VSTORE(piece + l, VZERO());
    }
}
