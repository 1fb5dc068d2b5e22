/* One output pixel of a pool: over the taps of its window that lie inside the image, channel by channel,

       out[c] = largest ? max(x[r][q][c]) : sum(x[r][q][c]) / divisor,   in the order of the rows r, then of the columns q

   The sum of a mean is cut into pieces (sums.py): each is a chain from zero, and they are added in their order with what is rounded off.

   Contract: the taps are row_step and column_step elements apart; a window without taps gives -inf, or 0 / divisor. NaN propagates. */

/* high + low += sum by the two-sum of add_low; an error that is NaN is left out. */
INLINE void NAME(add_piece)(V *high, V *low, const V sum) {
    const V t = VADD(*high, sum), of_sum = VSUB(t, *high);
    const V error = VADD(VSUB(*high, VSUB(t, of_sum)), VSUB(sum, of_sum)), zero = VZERO();
    *low = VADD(*low, VADD(VMAX(error, zero), VMIN(error, zero)));
    *high = t;
}

INLINE V NAME(largest_of)(const REAL *x, const Window *w, const int64_t some) {
    V most = VSPLAT((REAL)-INFINITY);
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) most = VMAX_NAN(most, some ? NAME(load_some)(tap, some) : VLOAD(tap));
    }
    return most;
}

INLINE V NAME(mean_of)(const REAL *x, const Window *w, const int64_t some) {
    V high = VZERO(), low = VZERO(), sum = VZERO();
    int several = 0;
    if (!w->piece_rows) { /* one piece */
        for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
            const REAL *tap = x;
            for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) sum = VADD(sum, some ? NAME(load_some)(tap, some) : VLOAD(tap));
        }
        return VDIV(sum, VSPLAT((REAL)w->divisor));
    }
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        int ends = (w->first_row + r) % w->piece_rows == 0;
        for (int64_t q = 0; q < w->columns;) { /* LOOP pieces of a row: mostly all of it */
            if (ends && (r || q)) {
                NAME(add_piece)(&high, &low, sum);
                sum = VZERO();
                several = 1;
            }
            const int64_t whole = w->piece_columns - (w->first_column + q) % w->piece_columns;
            const int64_t end = w->columns - q < whole ? w->columns : q + whole;
            for (; q < end; q++, tap += w->column_step) sum = VADD(sum, some ? NAME(load_some)(tap, some) : VLOAD(tap));
            ends = 1;
        }
    }
    if (several) {
        NAME(add_piece)(&high, &low, sum);
        sum = VADD(high, low);
    }
    return VDIV(sum, VSPLAT((REAL)w->divisor));
}

INLINE void NAME(pool_pixel)(const Window *w, const int largest) {
    const REAL *x = (const REAL *)w->x;
    REAL *out = (REAL *)w->out;
    int64_t c = 0;
    for (; c + LANES <= w->channels; c += LANES) VSTORE(out + c, (largest ? NAME(largest_of)(x + c, w, 0) : NAME(mean_of)(x + c, w, 0)));
    if (c < w->channels) {
        const int64_t rest = w->channels - c;
        NAME(store_some)(out + c, largest ? NAME(largest_of)(x + c, w, rest) : NAME(mean_of)(x + c, w, rest), rest);
    }
}

static void NAME(pool)(const Window *w) {
    if (w->largest) NAME(pool_pixel)(w, 1);
    else NAME(pool_pixel)(w, 0);
}
