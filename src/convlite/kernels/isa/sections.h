/* Sections of a long sum (sums.py): the rounding errors of their additions are kept, by Knuth's two-sum.

       for l < n:
           t = (first ? 0 : high[l]) + sum[l],  low[l] = (first ? 0 : low[l]) + (what t rounded off)
           high[l] = last ? t + low[l] : t

   If t overflows or is not finite, the error is NaN, and is left out. */
static void NAME(add_low)(void *to, void *rest, const void *from, int64_t n, int first, int last) {
    REAL *high = (REAL *)to, *low = (REAL *)rest;
    const REAL *sum = (const REAL *)from;
    for (int64_t l = 0; l < n; l++) {
        const REAL h = first ? 0 : high[l], s = sum[l], t = h + s, of_s = t - h;
        const REAL error = (h - (t - of_s)) + (s - of_s);
        low[l] = (first ? 0 : low[l]) + (error == error ? error : 0);
        high[l] = last ? t + low[l] : t;
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
