/* out[r][c] = exp(x[r][c] - m) / sum over c of exp(x[r][c] - m), m the row's largest element.

   A NaN may be missed by m: its own exponential makes the sum NaN.
   Element c is added to partial sum c % 16, and those are added pairwise: one order for every instruction set. A row with NaN, +inf or nothing
   but -inf is NaN by the formula. Contract: columns > 0; out may be x. */

enum { NAME(SUMS) = 16 };

/* The first n elements, -inf in the lanes beyond; `rest` is LANES zeros, then LANES times -inf. */
static inline V NAME(load_or_rest)(const REAL *p, int64_t n, const REAL *rest) {
    return n >= LANES ? VLOAD(p) : VOR(NAME(load_some)(p, n), VLOAD(rest + LANES - n));
}

static void NAME(softmax)(const void *x_, void *out_, int64_t rows, int64_t columns) {
    REAL rest[2 * LANES] = {0}, mask[2 * LANES] = {0};
    for (int i = 0; i < LANES; i++) {
        rest[LANES + i] = (REAL)-INFINITY;
        memset(mask + i, 0xff, sizeof(REAL));
    }
    int span = 1; /* lanes and sums beyond it hold -inf and 0: they need not be looked at */
    while (span < columns && span < NAME(SUMS)) span *= 2;
    for (int64_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)x_ + r * columns;
        REAL *out = (REAL *)out_ + r * columns, lane[LANES], sum[NAME(SUMS)];
        V largest = VSPLAT((REAL)-INFINITY), last = VZERO(), partial[NAME(SUMS) / LANES];
        for (int64_t c = 0; c < columns; c += LANES) largest = VMAX(largest, NAME(load_or_rest)(x + c, columns - c, rest));
        VSTORE(lane, largest);
        for (int half = span < LANES ? span / 2 : LANES / 2; half; half /= 2)
            for (int i = 0; i < half; i++) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half]; /* a maximum: no branch */
        largest = VSPLAT(lane[0]);

        for (int j = 0; j < NAME(SUMS) / LANES; j++) partial[j] = VZERO();
        for (int64_t c = 0; c < columns; c += NAME(SUMS)) {
            UNROLL for (int j = 0; j < NAME(SUMS) / LANES; j++) {
                const int64_t at = c + j * LANES, left = columns - at;
                if (left <= 0) break;
                V e;
                if (left >= LANES) e = NAME(exp)(VSUB(VLOAD(x + at), largest));
                else { /* exp(0) in the lanes beyond, then nothing: exp(-inf) would underflow, which costs 150 cycles */
                    const V valid = VLOAD(mask + LANES - left);
                    e = VAND(NAME(exp)(VAND(VSUB(NAME(load_some)(x + at, left), largest), valid)), valid);
                }
                partial[j] = VADD(partial[j], e);
                if (left >= LANES) VSTORE(out + at, e);
                else last = e; /* not through memory: what is stored by halves is slow to read back */
            }
        }
        for (int j = 0; j < NAME(SUMS) / LANES; j++) VSTORE(sum + j * LANES, partial[j]);
        for (int half = span / 2; half; half /= 2)
            for (int i = 0; i < half; i++) sum[i] += sum[i + half];
        const V total = VSPLAT(sum[0]);
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) VSTORE(out + c, VDIV(VLOAD(out + c), total));
        if (c < columns) NAME(store_some)(out + c, VDIV(last, total), columns - c);
    }
}
