/* One output pixel of a pool: over the taps of its window that lie inside the image, channel by channel,

       out[c] = largest ? max(x[r][q][c]) : sum(x[r][q][c]) / divisor,   in the order of the rows r, then of the columns q

   Contract: the taps are row_step and column_step elements apart; a window without taps gives -inf, or 0 / divisor. NaN propagates.
   Unless `ahead` is 0, what lies so many elements ahead of a tap is fetched. With `wide` a sum of floats is one of doubles, rounded once. */

INLINE V NAME(window)(const REAL *x, const Window *w, const int64_t some, const int largest, const int fetch) {
    V sum = VSPLAT((REAL)(largest ? -INFINITY : 0));
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) {
            if (fetch) PREFETCH_L1(tap + w->ahead);
            const V value = some ? NAME(load_some)(tap, some) : VLOAD(tap);
            sum = largest ? VMAX_NAN(sum, value) : VADD(sum, value);
        }
    }
    return largest ? sum : VDIV(sum, VSPLAT((REAL)w->divisor));
}

INLINE void NAME(pool_pixel)(const Window *w, const int largest, const int fetch) {
    const REAL *x = (const REAL *)w->x;
    REAL *out = (REAL *)w->out;
    int64_t c = 0;
    for (; c + LANES <= w->channels; c += LANES) VSTORE(out + c, NAME(window)(x + c, w, 0, largest, fetch));
    if (c < w->channels) NAME(store_some)(out + c, NAME(window)(x + c, w, w->channels - c, largest, fetch), w->channels - c);
}

INLINE void NAME(wide_mean)(const REAL *x, const Window *w, REAL *out, const int vectors) {
    WIDE acc[4];
    double sums[4 * WIDE_LANES];
    UNROLL for (int i = 0; i < vectors; i++) acc[i] = WIDE_ZERO();
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step)
            UNROLL for (int i = 0; i < vectors; i++) acc[i] = WIDE_ADD(acc[i], WIDEN(tap + i * WIDE_LANES));
    }
    UNROLL for (int i = 0; i < vectors; i++) WIDE_STORE(sums + i * WIDE_LANES, acc[i]);
    for (int i = 0; i < vectors * WIDE_LANES; i++) out[i] = (REAL)(sums[i] / w->divisor);
}

static void NAME(wide_means)(const Window *w) {
    const REAL *x = (const REAL *)w->x;
    REAL *out = (REAL *)w->out;
    int64_t c = 0;
    for (; c + 4 * WIDE_LANES <= w->channels; c += 4 * WIDE_LANES) NAME(wide_mean)(x + c, w, out + c, 4);
    for (; c + WIDE_LANES <= w->channels; c += WIDE_LANES) NAME(wide_mean)(x + c, w, out + c, 1);
    for (; c < w->channels; c++) {
        double sum = 0;
        for (int64_t r = 0; r < w->rows; r++)
            for (int64_t q = 0; q < w->columns; q++) sum += (double)x[r * w->row_step + q * w->column_step + c];
        out[c] = (REAL)(sum / w->divisor);
    }
}

static void NAME(pool)(const Window *w) {
    if (w->largest && w->ahead) NAME(pool_pixel)(w, 1, 1);
    else if (w->largest) NAME(pool_pixel)(w, 1, 0);
    else if (w->wide && REAL_BITS == 32) NAME(wide_means)(w);
    else if (w->ahead) NAME(pool_pixel)(w, 0, 1);
    else NAME(pool_pixel)(w, 0, 0);
}
