/* Sums of columns, in double whatever the dtype, and largest numbers:

       sums[c] = sum over rows r of x[r][c],   or of (x[r][c] - centre[c])^2;      largest[c] = max over r of x[r][c]

   Each column is one chain of additions, in the order of the rows. Which columns share a vector changes no bit, and no multiply-add is fused.
   Contract: with `more` the chains continue from what `sums` holds. NaN propagates. */

enum { NAME(STRIP) = 8 }; /* in wide vectors: this many chains hide the latency of an addition */

/* The vectors of a strip: strips are nearly equal, since a narrow one waits for its additions. */
INLINE int64_t NAME(even_strip)(int64_t columns, int64_t lanes) {
    const int64_t vectors = (columns + lanes - 1) / lanes, strips = (vectors + NAME(STRIP) - 1) / NAME(STRIP);
    return (vectors + strips - 1) / strips;
}

/* The last vector of a strip may lie `back` columns before its place: these are summed twice, and stored once. */
INLINE void NAME(sum_strip)(const REAL *x, const Columns *on, const double *centre, double *sums, const int vectors, const int64_t back) {
    WIDE acc[NAME(STRIP)], middle[NAME(STRIP)];
    double last[WIDE_LANES];
    int64_t at[NAME(STRIP)];
    UNROLL for (int i = 0; i < vectors; i++) {
        at[i] = i * WIDE_LANES - (i == vectors - 1 ? back : 0);
        acc[i] = on->more ? WIDE_LOAD(sums + at[i]) : WIDE_ZERO();
        middle[i] = centre ? WIDE_LOAD(centre + at[i]) : WIDE_ZERO();
    }
    if (centre) {
        for (int64_t r = 0; r < on->rows; r++, x += on->step) {
            UNROLL for (int i = 0; i < vectors; i++) {
                const WIDE far = WIDE_SUB(WIDEN(x + at[i]), middle[i]);
                acc[i] = WIDE_ADD(acc[i], WIDE_MUL(far, far));
            }
        }
    } else {
        for (int64_t r = 0; r < on->rows; r++, x += on->step) {
            UNROLL for (int i = 0; i < vectors; i++) acc[i] = WIDE_ADD(acc[i], WIDEN(x + at[i]));
        }
    }
    UNROLL for (int i = 0; i < vectors - 1; i++) WIDE_STORE(sums + i * WIDE_LANES, acc[i]);
    WIDE_STORE(last, acc[vectors - 1]);
    memcpy(sums + (vectors - 1) * WIDE_LANES, last + back, (size_t)(WIDE_LANES - back) * sizeof(double));
}

/* Less than a vector of columns. */
INLINE void NAME(sum_few)(const Columns *on, double *sums) {
    const REAL *x = (const REAL *)on->x;
    const int64_t columns = on->columns;
    double last[WIDE_LANES] = {0};
    for (int64_t i = 0; i < columns && on->more; i++) last[i] = sums[i];
    for (int64_t r = 0; r < on->rows; r++) {
        for (int64_t i = 0; i < columns; i++) {
            const double value = (double)x[r * on->step + i], far = on->centre ? value - on->centre[i] : 0;
            last[i] += on->centre ? far * far : value;
        }
    }
    for (int64_t i = 0; i < columns; i++) sums[i] = last[i];
}

static void NAME(sum)(const Columns *on) {
    const REAL *x = (const REAL *)on->x;
    double *sums = (double *)on->sums;
    const int64_t columns = on->columns;
    if (columns < WIDE_LANES) {
        NAME(sum_few)(on, sums);
        return;
    }
    const int64_t strip = NAME(even_strip)(columns, WIDE_LANES);
    for (int64_t c = 0; c < columns; c += strip * WIDE_LANES) {
        const int64_t left = columns - c, vectors = left < strip * WIDE_LANES ? (left + WIDE_LANES - 1) / WIDE_LANES : strip;
        const int64_t back = left < strip * WIDE_LANES ? vectors * WIDE_LANES - left : 0;
        const double *centre = on->centre ? on->centre + c : NULL;
        switch (vectors) {
#define CASE(n) case n: NAME(sum_strip)(x + c, on, centre, sums + c, n, back); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
#undef CASE
        default: NAME(sum_strip)(x + c, on, centre, sums + c, NAME(STRIP), back); break;
        }
    }
}

/* One vector of columns, in four blocks of rows at once, which are then joined in their order: the first of equal numbers and the last NaN, as in one
   chain. */
INLINE void NAME(largest_vector)(const REAL *x, const Columns *on, REAL *sums) {
    const int64_t high = on->rows / 4, step = on->step;
    V acc[4];
    acc[0] = on->more ? VLOAD(sums) : VSPLAT((REAL)-INFINITY);
    UNROLL for (int k = 1; k < 4; k++) acc[k] = VLOAD(x + k * high * step);
    for (int64_t r = 0; r < high; r++)
        UNROLL for (int k = 0; k < 4; k++) acc[k] = VMAX_NAN(VLOAD(x + (k * high + r) * step), acc[k]);
    for (int64_t r = 4 * high; r < on->rows; r++) acc[3] = VMAX_NAN(VLOAD(x + r * step), acc[3]);
    UNROLL for (int k = 1; k < 4; k++) acc[0] = VMAX_NAN(acc[k], acc[0]);
    VSTORE(sums, acc[0]);
}

/* Like strips of sums; `some`: there are only this many columns, less than a vector. */
INLINE void NAME(largest_strip)(const REAL *x, const Columns *on, REAL *sums, const int vectors, const int64_t some, const int64_t back) {
    V acc[NAME(STRIP)];
    REAL last[LANES];
    int64_t at[NAME(STRIP)];
    UNROLL for (int i = 0; i < vectors; i++) {
        at[i] = i * LANES - (i == vectors - 1 ? back : 0);
        acc[i] = !on->more ? VSPLAT((REAL)-INFINITY) : some ? NAME(load_some)(sums, some) : VLOAD(sums + at[i]);
    }
    for (int64_t r = 0; r < on->rows; r++, x += on->step) {
        UNROLL for (int i = 0; i < vectors; i++)
            acc[i] = VMAX_NAN(some ? NAME(load_some)(x, some) : VLOAD(x + at[i]), acc[i]); /* the chain is one maximum */
    }
    if (some) {
        NAME(store_some)(sums, acc[0], some);
        return;
    }
    UNROLL for (int i = 0; i < vectors - 1; i++) VSTORE(sums + i * LANES, acc[i]);
    VSTORE(last, acc[vectors - 1]);
    memcpy(sums + (vectors - 1) * LANES, last + back, (size_t)(LANES - back) * sizeof(REAL));
}

static void NAME(largest)(const Columns *on) {
    const REAL *x = (const REAL *)on->x;
    REAL *sums = (REAL *)on->sums;
    const int64_t columns = on->columns;
    if (columns < LANES) {
        NAME(largest_strip)(x, on, sums, 1, columns, 0);
        return;
    }
    if (columns == LANES && on->rows >= 8) {
        NAME(largest_vector)(x, on, sums);
        return;
    }
    const int64_t strip = NAME(even_strip)(columns, LANES);
    for (int64_t c = 0; c < columns; c += strip * LANES) {
        const int64_t left = columns - c, vectors = left < strip * LANES ? (left + LANES - 1) / LANES : strip;
        const int64_t back = left < strip * LANES ? vectors * LANES - left : 0;
        switch (vectors) {
#define CASE(n) case n: NAME(largest_strip)(x + c, on, sums + c, n, 0, back); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
#undef CASE
        default: NAME(largest_strip)(x + c, on, sums + c, NAME(STRIP), 0, back); break;
        }
    }
}
