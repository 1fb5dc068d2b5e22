/* One output pixel of a pool: over the taps of its window that lie inside the image, channel by channel,

       out[c] = largest ? max(x[r][q][c]) : sum(x[r][q][c]) / divisor,   in the order of the rows r, then of the columns q

   Contract: the taps are row_step and column_step elements apart; a window without taps gives -inf, or 0 / divisor. NaN propagates. */

INLINE V NAME(window)(const REAL *x, const Window *w, const int64_t some, const int largest) {
    V sum = VSPLAT((REAL)(largest ? -INFINITY : 0));
    for (int64_t r = 0; r < w->rows; r++, x += w->row_step) {
        const REAL *tap = x;
        for (int64_t q = 0; q < w->columns; q++, tap += w->column_step) {
            const V value = some ? NAME(load_some)(tap, some) : VLOAD(tap);
            sum = largest ? VMAX_NAN(sum, value) : VADD(sum, value);
        }
    }
    return largest ? sum : VDIV(sum, VSPLAT((REAL)w->divisor));
}

INLINE void NAME(pool_pixel)(const Window *w, const int largest) {
    const REAL *x = (const REAL *)w->x;
    REAL *out = (REAL *)w->out;
    int64_t c = 0;
    for (; c + LANES <= w->channels; c += LANES) VSTORE(out + c, NAME(window)(x + c, w, 0, largest));
    if (c < w->channels) NAME(store_some)(out + c, NAME(window)(x + c, w, w->channels - c, largest), w->channels - c);
}

static void NAME(pool)(const Window *w) {
    if (w->largest) NAME(pool_pixel)(w, 1);
    else NAME(pool_pixel)(w, 0);
}
