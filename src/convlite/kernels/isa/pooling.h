/* One output pixel of a pool: over the taps of its window that lie inside the image, channel by channel,

       out[c] = largest ? max(x[r][q][c]) : sum(x[r][q][c]) / divisor,   in the order of the rows r, then of the columns q

   Contract: the taps are row_step and column_step elements apart; a window without taps gives -inf, or 0 / divisor. NaN propagates.
   Unless `ahead` is 0, the data this many elements ahead of a tap is prefetched. With `wide` floats are summed in double, and rounded once. */

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

/* Four vectors of channels at once: their chains hide each other's latency. */
INLINE void NAME(window_of_four)(const REAL *x, const Window *w, REAL *out, const int largest, const int fetch) {
    V sums[4];
    UNROLL for (int i = 0; i < 4; i++) sums[i] = VSPLAT((REAL)(largest ? -INFINITY : 0));
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) {
            UNROLL for (int i = 0; i < 4; i++) {
                if (fetch) PREFETCH_L1(tap + i * LANES + w->ahead);
                const V value = VLOAD(tap + i * LANES);
                sums[i] = largest ? VMAX_NAN(sums[i], value) : VADD(sums[i], value);
            }
        }
    }
    UNROLL for (int i = 0; i < 4; i++) VSTORE(out + i * LANES, largest ? sums[i] : VDIV(sums[i], VSPLAT((REAL)w->divisor)));
}

INLINE void NAME(pool_pixel)(const Window *w, const int largest, const int fetch) {
    const REAL *x = (const REAL *)w->x;
    REAL *out = (REAL *)w->out;
    int64_t c = 0;
    for (; c + 4 * LANES <= w->channels; c += 4 * LANES) NAME(window_of_four)(x + c, w, out + c, largest, fetch);
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

/* out[j] = the pool of x[offsets[t] + j], t < taps, in their order: pixels side by side of one channel. */
INLINE void NAME(pool_line_at)(const PoolLine *d, int64_t j, const int vectors, const int64_t some, const int largest) {
    const REAL *x = (const REAL *)d->x + j;
    REAL *out = (REAL *)d->out + j;
    V sums[4];
    UNROLL for (int i = 0; i < vectors; i++) sums[i] = VSPLAT((REAL)(largest ? -INFINITY : 0));
    for (int64_t t = 0; t < d->taps; t++) {
        const REAL *tap = x + d->offsets[t];
        UNROLL for (int i = 0; i < vectors; i++) {
            const V value = some ? NAME(load_some)(tap, some) : VLOAD(tap + i * LANES);
            sums[i] = largest ? VMAX_NAN(sums[i], value) : VADD(sums[i], value);
        }
    }
    UNROLL for (int i = 0; i < vectors; i++) {
        const V y = largest ? sums[i] : VDIV(sums[i], VSPLAT((REAL)d->divisor));
        if (some) NAME(store_some)(out, y, some);
        else VSTORE(out + i * LANES, y);
    }
}

INLINE void NAME(pool_line_of)(const PoolLine *d, const int largest) {
    int64_t j = 0;
    for (; j + 4 * LANES <= d->outputs; j += 4 * LANES) NAME(pool_line_at)(d, j, 4, 0, largest);
    for (; j + LANES <= d->outputs; j += LANES) NAME(pool_line_at)(d, j, 1, 0, largest);
    if (j < d->outputs) NAME(pool_line_at)(d, j, 1, d->outputs - j, largest);
}

static void NAME(pool_line)(const PoolLine *d) {
    if (d->largest) NAME(pool_line_of)(d, 1);
    else NAME(pool_line_of)(d, 0);
}
