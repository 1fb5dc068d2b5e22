/* Sums of columns, in double whatever the dtype, and largest numbers:

       sums[c] = sum over rows r of x[r][c],   or of (x[r][c] - centre[c])^2;      largest[c] = max over r of x[r][c]

   One chain of additions a column, in the order of the rows; which column shares a vector with which changes no bit, and no multiply-add is fused.
   Contract: with `more` the chains continue from what `sums` holds. NaN propagates. */

enum { NAME(STRIP) = 8 }; /* wide vectors: so many chains hide the latency of an addition */

INLINE void NAME(sum_strip)(const REAL *x, const Columns *on, const double *centre, double *sums, const int vectors) {
    WIDE acc[NAME(STRIP)], middle[NAME(STRIP)];
    UNROLL for (int i = 0; i < vectors; i++) {
        acc[i] = on->more ? WIDE_LOAD(sums + i * WIDE_LANES) : WIDE_ZERO();
        middle[i] = centre ? WIDE_LOAD(centre + i * WIDE_LANES) : WIDE_ZERO();
    }
    if (centre) {
        for (int64_t r = 0; r < on->rows; r++, x += on->step) {
            UNROLL for (int i = 0; i < vectors; i++) {
                const WIDE far = WIDE_SUB(WIDEN(x + i * WIDE_LANES), middle[i]);
                acc[i] = WIDE_ADD(acc[i], WIDE_MUL(far, far));
            }
        }
    } else {
        for (int64_t r = 0; r < on->rows; r++, x += on->step) {
            UNROLL for (int i = 0; i < vectors; i++) acc[i] = WIDE_ADD(acc[i], WIDEN(x + i * WIDE_LANES));
        }
    }
    UNROLL for (int i = 0; i < vectors; i++) WIDE_STORE(sums + i * WIDE_LANES, acc[i]);
}

static void NAME(sum)(const Columns *on) {
    const REAL *x = (const REAL *)on->x;
    double *sums = (double *)on->sums;
    int64_t c = 0;
    for (; c + NAME(STRIP) * WIDE_LANES <= on->columns; c += NAME(STRIP) * WIDE_LANES)
        NAME(sum_strip)(x + c, on, on->centre ? on->centre + c : NULL, sums + c, NAME(STRIP));
    for (; c + 4 * WIDE_LANES <= on->columns; c += 4 * WIDE_LANES)
        NAME(sum_strip)(x + c, on, on->centre ? on->centre + c : NULL, sums + c, 4);
    for (; c + 2 * WIDE_LANES <= on->columns; c += 2 * WIDE_LANES)
        NAME(sum_strip)(x + c, on, on->centre ? on->centre + c : NULL, sums + c, 2);
    for (; c + WIDE_LANES <= on->columns; c += WIDE_LANES)
        NAME(sum_strip)(x + c, on, on->centre ? on->centre + c : NULL, sums + c, 1);
    const int64_t left = on->columns - c;
    double last[WIDE_LANES] = {0};
    for (int64_t i = 0; i < left && on->more; i++) last[i] = sums[c + i];
    for (int64_t r = 0; r < on->rows && left; r++) {
        for (int64_t i = 0; i < left; i++) {
            const double value = (double)x[r * on->step + c + i], far = on->centre ? value - on->centre[c + i] : 0;
            last[i] += on->centre ? far * far : value;
        }
    }
    for (int64_t i = 0; i < left; i++) sums[c + i] = last[i];
}

INLINE void NAME(largest_strip)(const REAL *x, const Columns *on, REAL *sums, const int vectors, const int64_t some) {
    V acc[NAME(STRIP)];
    UNROLL for (int i = 0; i < vectors; i++)
        acc[i] = !on->more ? VSPLAT((REAL)-INFINITY) : some ? NAME(load_some)(sums, some) : VLOAD(sums + i * LANES);
    for (int64_t r = 0; r < on->rows; r++, x += on->step) {
        UNROLL for (int i = 0; i < vectors; i++)
            acc[i] = VMAX_NAN(some ? NAME(load_some)(x, some) : VLOAD(x + i * LANES), acc[i]); /* the chain is one maximum */
    }
    if (some) NAME(store_some)(sums, acc[0], some);
    else UNROLL for (int i = 0; i < vectors; i++) VSTORE(sums + i * LANES, acc[i]);
}

static void NAME(largest)(const Columns *on) {
    const REAL *x = (const REAL *)on->x;
    REAL *sums = (REAL *)on->sums;
    int64_t c = 0;
    for (; c + NAME(STRIP) * LANES <= on->columns; c += NAME(STRIP) * LANES)
        NAME(largest_strip)(x + c, on, sums + c, NAME(STRIP), 0);
    for (; c + 3 * LANES <= on->columns; c += 3 * LANES) NAME(largest_strip)(x + c, on, sums + c, 3, 0);
    for (; c + LANES <= on->columns; c += LANES) NAME(largest_strip)(x + c, on, sums + c, 1, 0);
    if (c < on->columns) NAME(largest_strip)(x + c, on, sums + c, 1, on->columns - c);
}
