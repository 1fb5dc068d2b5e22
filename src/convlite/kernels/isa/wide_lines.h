/* Depthwise along lines with kernel rows of any number of taps, kw, and stride 1. It computes what the lines of depthwise.h compute, but for two
   things: weights are panels of one vector, [panel][row][tap][LANES], weights_step apart, and there are only whole vectors (masks took 1.1 times
   as long with AVX-512, 1.5 with AVX2); and sums may be cut: where rows[r].cut has bit o, a piece of the sums of output row o ends before input
   row r, with bit 2 + o a section, too.

   A tile is two rows of 7 pixels, or one of 14, or of 7 where that is all the registers take. WIDE_TAPS taps at a time meet each input that they
   reach: 27 loads for 98 multiply-adds; of those left over, three at a time. Taps of rows that only one of two output rows reads go one by one. */
enum { WIDE_TAPS = 7 };

INLINE void NAME(wide_taps)(V (*acc)[2 * LINE_PIXELS], const char *x, int64_t step, const REAL *const *weights, int64_t first, int64_t last,
                            const int taps, const int pixels, const int upper, const int lower) {
    V up[WIDE_TAPS], low[WIDE_TAPS];
    UNROLL for (int b = 0; b < taps; b++) {
        if (upper) up[b] = VLOAD(weights[0] + b * LANES);
        if (lower) low[b] = VLOAD(weights[1] + b * LANES);
    }
    const uint64_t inside = (uint64_t)(last - first);
    UNROLL for (int j = 0; j < pixels - 1 + taps; j++, x += step) {
        if (OFTEN((uint64_t)(j - first) < inside)) {
            const V v = VLOAD((const REAL *)x);
            UNROLL for (int i = 0; i < pixels; i++) {
                const int b = j - i;
                if (b >= 0 && b < taps) {
                    if (upper) acc[0][i] = VFMA(v, up[b], acc[0][i]);
                    if (lower) acc[1][i] = VFMA(v, low[b], acc[1][i]);
                }
            }
        }
    }
}

INLINE void NAME(wide_row)(V (*acc)[2 * LINE_PIXELS], const DepthwiseLine *d, const DepthwiseRow *row, int64_t c, const int pixels,
                           const int many, const int upper, const int lower) {
    int64_t b = d->first >= pixels ? d->first - pixels + 1 : 0;
    const int64_t end = d->last < d->kw ? d->last : d->kw, panel = (d->panel + c / LANES) * d->weights_step;
    const char *x = (const char *)row->x + d->offset + c * (int64_t)sizeof(REAL);
    while (b < end) {
        const REAL *weights[2] = {0};
        if (upper) weights[0] = (const REAL *)row->weights[0] + panel + b * LANES;
        if (lower) weights[1] = (const REAL *)row->weights[1] + panel + b * LANES;
        const char *at = x + b * d->step;
        const int64_t first = d->first - b, last = d->last - b;
        const int taps = !many || end - b < 3 ? 1 : end - b < WIDE_TAPS ? 3 : WIDE_TAPS;
        if (taps == WIDE_TAPS) NAME(wide_taps)(acc, at, d->step, weights, first, last, WIDE_TAPS, pixels, upper, lower);
        else if (taps == 3) NAME(wide_taps)(acc, at, d->step, weights, first, last, 3, pixels, upper, lower);
        else NAME(wide_taps)(acc, at, d->step, weights, first, last, 1, pixels, upper, lower);
        b += taps;
    }
}

/* sums, if they are cut: the pieces of the only vector, and where it is continued from, if there are `before` any, and kept, if there are more
   `after`; it ends otherwise. */
INLINE void NAME(wide)(const DepthwiseLine *d, const int lines, const int pixels, NAME(LanewiseSums) *sums, int before, int after) {
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    for (int64_t c = 0; c < d->channels; c += LANES) {
        V acc[2][2 * LINE_PIXELS];
        UNROLL for (int i = 0; i < pixels; i++) for (int o = 0; o < lines; o++) acc[o][i] = before ? VLOAD(sums[o].now + i * LANES) : VZERO();
        const DepthwiseRow *end = d->rows + d->count;
        for (const DepthwiseRow *row = d->rows; row < end; row++) {
            if (sums && row > d->rows && row->cut) UNROLL for (int o = 0; o < lines; o++) if (row->cut >> o & 1) {
                REAL *to = sums[o].sums;
                UNROLL for (int i = 0; i < pixels; i++) VSTORE(to + i * LANES, VADD(VLOAD(to + i * LANES), acc[o][i])), acc[o][i] = VZERO();
            }
            if (lines == 1) NAME(wide_row)(acc, d, row, c, pixels, 1, 1, 0);
            else if (!row->weights[1]) NAME(wide_row)(acc, d, row, c, pixels, 0, 1, 0);
            else if (!row->weights[0]) NAME(wide_row)(acc, d, row, c, pixels, 0, 0, 1);
            else NAME(wide_row)(acc, d, row, c, pixels, 1, 1, 1);
        }
        if (after) {
            UNROLL for (int i = 0; i < pixels; i++) for (int o = 0; o < lines; o++) VSTORE(sums[o].now + i * LANES, acc[o][i]);
            return;
        }
        const V bias = NAME(bias_at)(&d->end, c, LANES);
        UNROLL for (int o = 0; o < lines; o++) if (o < d->lines) {
            char *out = (char *)d->out[o] + c * (int64_t)sizeof(REAL);
            NAME(end_sums)(acc[o], pixels, 1, bias, &clip);
            UNROLL for (int i = 0; i < pixels; i++) {
                if (i < d->pixels) VSTORE((REAL *)(out + i * d->out_step), acc[o][i]);
            }
        }
    }
    if (NAME(ends_later)(&d->end)) for (int o = 0; o < d->lines; o++) NAME(end_rows)(&d->end, d->out[o], d->out_step, d->pixels, d->channels);
}

NOINLINE void NAME(wide_part_1)(const DepthwiseLine *d, void *sums, int before, int after) {
    NAME(wide)(d, 1, LINE_ROWS * LINE_PIXELS, (NAME(LanewiseSums) *)sums, before, after);
}

NOINLINE void NAME(wide_part_2)(const DepthwiseLine *d, void *sums, int before, int after) {
    NAME(wide)(d, LINE_ROWS, LINE_PIXELS, (NAME(LanewiseSums) *)sums, before, after);
}

/* Sums that are cut: a vector at a time, a part from one end of a section to the next, since calls within the loop over rows would drive the sums
   out of the registers. */
static void NAME(wide_cut)(const DepthwiseLine *all, const int pixels, void (*part)(const DepthwiseLine *, void *, int, int)) {
    DepthwiseLine d = *all;
    d.channels = LANES;
    NAME(LanewiseSums) sums[2];
    const DepthwiseRow *end = d.rows + d.count;
    for (int64_t c = 0; c < all->channels; c += LANES) {
        const int64_t bytes = c * (int64_t)sizeof(REAL);
        d.offset = all->offset + bytes;
        d.panel = all->panel + c / LANES;
        if (all->end.bias) d.end.bias = (const char *)all->end.bias + bytes;
        if (all->end.alpha) d.end.alpha = (const char *)all->end.alpha + bytes;
        for (int o = 0; o < 2; o++) {
            d.out[o] = (char *)all->out[o] + bytes;
            memset(sums[o].sums, 0, sizeof(sums[o].sums));
            sums[o].sections = 0;
        }
        const DepthwiseRow *row = all->rows;
        int before = 0;
        do {
            d.rows = row;
            do row++; while (row < end && row->cut < 4);
            d.count = row - d.rows;
            part(&d, sums, before, 1);
            for (int o = 0; o < 2 && row < end; o++) if (row->cut >> o & 1) NAME(lanewise_cut)(&sums[o], pixels, row->cut >> (2 + o) & 1);
            before = 1;
        } while (row < end);
        for (int o = 0; o < d.lines; o++) NAME(lanewise_whole)(&sums[o], pixels);
        d.count = 0;
        part(&d, sums, 1, 0);
    }
}

static void NAME(wide_one)(const DepthwiseLine *d) {
    if (d->cuts && d->count) NAME(wide_cut)(d, LINE_ROWS * LINE_PIXELS, NAME(wide_part_1));
    else NAME(wide_part_1)(d, 0, 0, 0);
}

static void NAME(wide_two)(const DepthwiseLine *d) {
    if (d->cuts && d->count) NAME(wide_cut)(d, LINE_PIXELS, NAME(wide_part_2));
    else NAME(wide_part_2)(d, 0, 0, 0);
}
