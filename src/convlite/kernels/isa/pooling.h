/* One output pixel of a pool: over the taps of its window that lie inside the image, channel by channel,

       out[c] = largest ? max(x[r][q][c]) : sum(x[r][q][c]) / divisor,   in the order of the rows r, then of the columns q

   Contract: the taps are row_step and column_step elements apart; a window without taps gives -inf, or 0 / divisor. NaN propagates.
   Unless `ahead` is 0, the data this many elements ahead of a tap is prefetched. With `wide` floats are summed in double, and rounded once. */

INLINE V NAME(window)(const REAL *x, const Window *w, const int64_t some, const int largest, const int fetch) {
    V sum = VSPLAT((REAL)(largest ? -INFINITY : 0));
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        V line = largest ? VSPLAT((REAL)-INFINITY) : sum; /* the rows' largest do not wait for each other */
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) {
            if (fetch) PREFETCH_L1(tap + w->ahead);
            const V value = some ? NAME(load_some)(tap, some) : VLOAD(tap);
            line = largest ? VMAX_NAN(line, value) : VADD(line, value);
        }
        sum = largest ? VMAX_NAN(sum, line) : line;
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

/* sums[j] = the sum or the largest of x[offsets[t] + j], t < taps, in their order: neighbouring elements of a row. */
INLINE void NAME(pool_line_at)(const PoolLine *d, REAL *sums_at, int64_t j, const int vectors, const int64_t some, const int largest) {
    const REAL *x = (const REAL *)d->x + j;
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
        if (some) NAME(store_some)(sums_at + j, sums[i], some);
        else VSTORE(sums_at + j + i * LANES, sums[i]);
    }
}

/* The pixels of a line that are outputs, every `step` elements, side by side. */
INLINE void NAME(pick_pixels)(const REAL *from, int64_t step, int64_t pixels, int64_t channels, REAL *to, int64_t to_step) {
    if (channels == 1 && to_step == 1 && step == 2) {
        for (int64_t i = 0; i < pixels; i++) to[i] = from[2 * i];
    } else if (channels == 1) {
        for (int64_t i = 0; i < pixels; i++) to[i * to_step] = from[i * step];
    } else if (channels == 2) {
        for (int64_t i = 0; i < pixels; i++) memcpy(to + i * to_step, from + i * step, 2 * sizeof(REAL));
    } else if (channels == 4) {
        for (int64_t i = 0; i < pixels; i++) memcpy(to + i * to_step, from + i * step, 4 * sizeof(REAL));
    } else {
        for (int64_t i = 0; i < pixels; i++)
            for (int64_t c = 0; c < channels; c++) to[i * to_step + c] = from[i * step + c];
    }
}

INLINE void NAME(pool_line_of)(const PoolLine *d, const int largest) {
    const int64_t elements = (d->outputs - 1) * d->step + d->channels, count = d->outputs * d->channels;
    const int dense = d->out_step == d->channels;
    REAL *sums = d->step == d->channels && dense ? (REAL *)d->out : (REAL *)d->sums, *out = dense ? (REAL *)d->out : sums;
    int64_t j = 0;
    for (; j + 4 * LANES <= elements; j += 4 * LANES) NAME(pool_line_at)(d, sums, j, 4, 0, largest);
    for (; j + LANES <= elements; j += LANES) NAME(pool_line_at)(d, sums, j, 1, 0, largest);
    if (j < elements) NAME(pool_line_at)(d, sums, j, 1, elements - j, largest);
    if (sums != out) NAME(pick_pixels)(sums, d->step, d->outputs, d->channels, out, d->channels);
    else if (d->step != d->channels) NAME(pick_pixels)(sums, d->step, d->outputs, d->channels, sums, d->channels);
    if (!largest) {
        const V divisor = VSPLAT((REAL)d->divisor);
        for (j = 0; j + LANES <= count; j += LANES) VSTORE(out + j, VDIV(VLOAD(out + j), divisor));
        if (j < count) NAME(store_some)(out + j, VDIV(NAME(load_some)(out + j, count - j), divisor), count - j);
    }
    if (!dense) NAME(pick_pixels)(out, d->channels, d->outputs, d->channels, (REAL *)d->out, d->out_step);
}

static void NAME(pool_line)(const PoolLine *d) {
    if (d->largest) NAME(pool_line_of)(d, 1);
    else NAME(pool_line_of)(d, 0);
}
