/* Depthwise along lines with kernel rows of any number of taps, kw >= WIDE_MORE, and stride 1. It computes what the lines of depthwise.h compute, but
   for three things: weights are panels of one vector, [panel][row][tap][LANES], weights_step apart. There are only whole vectors: if channels are
   left over, the last vector and the last panel begin so early that they are whole, and some channels are computed twice, with the same result (masks
   took 1.1 times as long with AVX-512, 1.5 with AVX2). And sums may be cut: where rows[r].cut has bit o, a piece of the sums of output row o ends
   before input row r, with bit 2 + o a section, too.

   A tile is parts[0] and parts[1] pixels, up to 7: two output rows, or, `shift` pixels apart, two parts of one. Of each kernel row the weights
   that an input meets are in registers, a ring: each input brings one more, so that there are 3 loads for 14 multiply-adds. The first and the
   last inputs meet fewer outputs. Prefetching the next row's weights gained nothing, nor did one vector for all tiles while its weights are in L1.

   Contract: channels >= LANES; no row has weights of both output rows where these are two parts of one. */
enum { WIDE_MORE = LINE_PIXELS - 1 };

/* Which inputs of a tile are inside the image. The first WIDE_MORE, and those from kw on, meet some outputs of a row; `left` from `start` on
   meet all. */
typedef struct {
    int64_t offset, start, left;
    int begin, end; /* bit k: input k, and input kw + k */
} NAME(WideSpan);

INLINE int NAME(wide_bits)(int64_t n) { /* bits 0 .. n - 1 of WIDE_MORE */
    return (1 << (n < 0 ? 0 : n < WIDE_MORE ? n : WIDE_MORE)) - 1;
}

static NAME(WideSpan) NAME(wide_span)(const DepthwiseLine *d, int64_t shift) {
    const int64_t kw = d->kw, first = d->first - shift, last = d->last - shift;
    NAME(WideSpan) s = {.offset = d->offset + shift * d->step, .start = first < WIDE_MORE ? WIDE_MORE : first < kw ? first : kw};
    s.left = (last < kw ? last : kw) - s.start;
    s.begin = NAME(wide_bits)(last) & ~NAME(wide_bits)(first);
    s.end = NAME(wide_bits)(last - kw) & ~NAME(wide_bits)(first - kw);
    return s;
}

/* Testing a bit for each input takes an instruction less than comparing its place. The KEEPs stop the compiler from preparing addresses and tests
   for all unrolled steps first, which fill the stack: 7x7 1.05 times as fast, with AVX2 1.15. */
INLINE void NAME(wide_row)(V (*acc)[LINE_PIXELS], const NAME(WideSpan) *s, const DepthwiseRow *row, int64_t c, int64_t panel, int64_t step,
                           int64_t kw, const int upper, const int lower) {
    const REAL *u = upper ? (const REAL *)row->weights[0] + panel + s->start * LANES : 0;
    const REAL *l = lower ? (const REAL *)row->weights[1] + panel + s->start * LANES : 0;
    const char *x = (const char *)row->x + s->offset + c * (int64_t)sizeof(REAL), *at = x;
    int begin = s->begin, end = s->end;
    KEEP(begin);
    KEEP(end);
    V up[LINE_PIXELS], low[LINE_PIXELS]; /* tap b of the ring is number b % LINE_PIXELS, where tap `start` is number WIDE_MORE */
    UNROLL for (int b = 0; b < WIDE_MORE; b++) {
        if (upper) up[b] = VLOAD(u + (b - WIDE_MORE) * LANES);
        if (lower) low[b] = VLOAD(l + (b - WIDE_MORE) * LANES);
    }
    up[WIDE_MORE] = low[WIDE_MORE] = VZERO(); /* for the compiler */
    if (begin) UNROLL for (int k = 0; k < WIDE_MORE; k++, at += step) {
        KEEP(at);
        if (OFTEN(begin & 1 << k)) {
            const V v = VLOAD((const REAL *)at);
            UNROLL for (int i = 0; i <= k; i++) {
                if (upper) acc[0][i] = VFMA(v, up[k - i], acc[0][i]);
                if (lower) acc[1][i] = VFMA(v, low[k - i], acc[1][i]);
            }
        }
    }
    at = x + s->start * step;
    for (int64_t left = s->left; left > 0;) {
        UNROLL for (int k = 0; k < LINE_PIXELS; k++) {
            if (upper) up[(k + WIDE_MORE) % LINE_PIXELS] = VLOAD(u);
            if (lower) low[(k + WIDE_MORE) % LINE_PIXELS] = VLOAD(l);
            const V v = VLOAD((const REAL *)at);
            UNROLL for (int i = 0; i < LINE_PIXELS; i++) {
                if (upper) acc[0][i] = VFMA(v, up[(k + WIDE_MORE + LINE_PIXELS - i) % LINE_PIXELS], acc[0][i]);
                if (lower) acc[1][i] = VFMA(v, low[(k + WIDE_MORE + LINE_PIXELS - i) % LINE_PIXELS], acc[1][i]);
            }
            if (upper) u += LANES;
            if (lower) l += LANES;
            at += step;
            left--;
            KEEP(at);
            KEEP(left);
            if (!OFTEN(left > 0)) break;
        }
    }
    if (!end) return;
    if (s->left != 1) UNROLL for (int b = 1; b <= WIDE_MORE; b++) { /* after one input, as with 7 taps, they are there */
        if (upper) up[b] = VLOAD((const REAL *)row->weights[0] + panel + (kw - LINE_PIXELS + b) * LANES);
        if (lower) low[b] = VLOAD((const REAL *)row->weights[1] + panel + (kw - LINE_PIXELS + b) * LANES);
    }
    at = x + kw * step;
    UNROLL for (int k = 0; k < WIDE_MORE; k++, at += step) {
        KEEP(at);
        if (OFTEN(end & 1 << k)) {
            const V v = VLOAD((const REAL *)at);
            UNROLL for (int i = k + 1; i < LINE_PIXELS; i++) {
                if (upper) acc[0][i] = VFMA(v, up[LINE_PIXELS + k - i], acc[0][i]);
                if (lower) acc[1][i] = VFMA(v, low[LINE_PIXELS + k - i], acc[1][i]);
            }
        }
    }
}

/* What is kept of sums that are cut */
typedef struct {
    V pieces[LINE_ROWS][LINE_PIXELS], now[LINE_ROWS][LINE_PIXELS];
    V totals[LINE_ROWS][LINE_PIXELS], rests[LINE_ROWS][LINE_PIXELS]; /* of the sections, and their rounding errors */
    int sections[LINE_ROWS];
} NAME(WideSums);

/* A section ends, or (`last`) the sum of them. */
NOINLINE void NAME(wide_section)(NAME(WideSums) *s, int o, int last) {
    V *from = last ? s->now[o] : s->pieces[o];
    if (!last || s->sections[o]) {
        NAME(add_low)(s->totals[o], s->rests[o], from, LINE_PIXELS * LANES, !s->sections[o], last);
        if (last) memcpy(from, s->totals[o], sizeof(s->totals[o]));
    }
    if (!last) memset(from, 0, sizeof(s->pieces[o]));
    s->sections[o] = 1;
}

/* Calls within the loop over rows would drive the sums out of the registers, so they are stored before. */
#define EACH_SUM UNROLL for (int o = 0; o < lines; o++) UNROLL for (int i = 0; i < LINE_PIXELS; i++)
static void NAME(wide)(const DepthwiseLine *d) {
    enum { lines = LINE_ROWS };
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    const NAME(WideSpan) span = NAME(wide_span)(d, 0), second = lines > 1 && d->shift ? NAME(wide_span)(d, d->shift) : span;
    const int64_t step = d->step, kw = d->kw;
    NAME(WideSums) sums, *kept = &sums;
    KEEP(kept);
    for (int64_t v = 0; v * LANES < d->channels; v++) {
        const int64_t c = v * LANES < d->channels - LANES ? v * LANES : d->channels - LANES, panel = v * d->weights_step;
        V acc[LINE_ROWS][LINE_PIXELS];
        EACH_SUM acc[o][i] = VZERO();
        if (d->cuts) {
            EACH_SUM kept->pieces[o][i] = VZERO();
            for (int o = 0; o < lines; o++) kept->sections[o] = 0;
        }
        const DepthwiseRow *end = d->rows + (d->first < d->last ? d->count : 0);
        for (const DepthwiseRow *row = d->rows; row < end; row++) {
            if (!OFTEN(!row->cut)) {
                EACH_SUM if (row->cut >> o & 1) kept->pieces[o][i] = VADD(kept->pieces[o][i], acc[o][i]), acc[o][i] = VZERO();
                if (row->cut > 3) {
                    EACH_SUM kept->now[o][i] = acc[o][i];
                    for (int o = 0; o < lines; o++) if (row->cut >> (2 + o) & 1) NAME(wide_section)(kept, o, 0);
                    EACH_SUM acc[o][i] = kept->now[o][i];
                }
            }
            if (lines == 1 || !row->weights[1]) NAME(wide_row)(acc, &span, row, c, panel, step, kw, 1, 0);
            else if (!row->weights[0]) NAME(wide_row)(acc, &second, row, c, panel, step, kw, 0, lines - 1);
            else NAME(wide_row)(acc, &span, row, c, panel, step, kw, 1, lines - 1);
        }
        if (d->cuts) {
            EACH_SUM acc[o][i] = VADD(kept->pieces[o][i], acc[o][i]);
            if (d->cuts > 1) {
                EACH_SUM kept->now[o][i] = acc[o][i];
                for (int o = 0; o < lines; o++) NAME(wide_section)(kept, o, 1);
                EACH_SUM acc[o][i] = kept->now[o][i];
            }
        }
        const V bias = NAME(bias_at)(&d->end, c, LANES);
        UNROLL for (int o = 0; o < lines; o++) {
            char *out = (char *)d->out[o] + c * (int64_t)sizeof(REAL);
            NAME(end_sums)(acc[o], LINE_PIXELS, 1, bias, &clip);
            UNROLL for (int i = 0; i < LINE_PIXELS; i++) {
                if (i < d->parts[o]) VSTORE((REAL *)(out + i * d->out_step), acc[o][i]);
            }
        }
    }
    if (NAME(ends_later)(&d->end)) for (int o = 0; o < lines; o++) NAME(end_rows)(&d->end, d->out[o], d->out_step, d->parts[o], d->channels);
}
#undef EACH_SUM
