/* Products lane by lane: depthwise kernels of any size and groups of few channels. The input lies in copied rows, in which lane l holds what
   output l reads (plan/lanewise.py). What it computes for v < vectors, l < LANES:

       s = 0
       for a < rows, where x[a]: for t < taps:  s = fma(x[a][shifts[t] + v*LANES + l], weights[a][t][v % patterns][l], s)
       out[v*out_step + l] = act(s + bias[v % patterns][l])

   Where a sum is cut into pieces, each is `piece` rows, one chain from zero; pieces are added in their order,
   and sections of `section` rows, whole pieces, as sections.h says.

   A tile is some vectors of a line. Each weight is loaded once for a tile, and each product reads its input from memory: one load from L1 for each
   multiply-add, and CPUs have as many ports for loads as for multiply-adds. Where a vector is one pixel, wide_lines.h needs fewer.

   Contract: x[a] and weights[a] are copies, so that whole vectors can be read, up to 11 behind the last. Each of the `vectors` has `used` valid
   numbers, except the last, which has `last`; no other byte of out is touched. */

#undef LANEWISE_TILE
#define LANEWISE_TILE (HAS_FMA ? 14 : 8)

/* The end of a tile: n vectors of a line. `room` has n vectors. */
INLINE void NAME(lanewise_end)(const LanewiseLine *d, V *acc, REAL *out, REAL *room, int64_t first, const int n, const int patterns) {
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    UNROLL for (int j = 0; j < patterns; j++)
        NAME(end_sums)(acc + j, n / patterns, patterns, NAME(bias_at)(&d->end, j * LANES, LANES), &clip);
    out += first * d->out_step;
    if (d->used == LANES && (first + n < d->vectors || (first + n == d->vectors && d->last == LANES))) {
        UNROLL for (int i = 0; i < n; i++) {
            VSTORE(out, acc[i]);
            out += d->out_step;
            KEEP(out);
        }
        return;
    }
    UNROLL for (int i = 0; i < n; i++) VSTORE(room + i * LANES, acc[i]);
    for (int64_t v = first; v < first + n && v < d->vectors; v++, out += d->out_step) {
        const int64_t used = v + 1 < d->vectors ? d->used : d->last;
        memcpy(out, room + (v - first) * LANES, (size_t)used * sizeof(REAL));
    }
}

/* What is kept of the n vectors of a line whose sums are cut */
typedef struct {
    REAL now[14 * LANES];                       /* of the piece that has ended */
    REAL sums[14 * LANES];                      /* of the pieces */
    REAL totals[14 * LANES], rests[14 * LANES]; /* of the sections, and their rounding errors */
    int sections;
} NAME(LanewiseSums);

/* A piece ends here, and perhaps a section; the next begins at zero. These two are calls: each tile would have them inline, which is a third of its code. */
NOINLINE void NAME(lanewise_cut)(NAME(LanewiseSums) *s, int n, int section) {
    NAME(move_sums)(s->now, s->sums, n * LANES);
    if (section) {
        NAME(add_low)(s->totals, s->rests, s->sums, n * LANES, !s->sections, 0);
        memset(s->sums, 0, sizeof(s->sums));
        s->sections = 1;
    }
}

/* The sum of all pieces, to now */
NOINLINE void NAME(lanewise_whole)(NAME(LanewiseSums) *s, int n) {
    for (int i = 0; i < n; i++) VSTORE(s->now + i * LANES, VADD(VLOAD(s->sums + i * LANES), VLOAD(s->now + i * LANES)));
    if (s->sections) {
        NAME(add_low)(s->totals, s->rests, s->now, n * LANES, 0, 1);
        memcpy(s->now, s->totals, (size_t)n * LANES * sizeof(REAL));
    }
}

INLINE void NAME(lanewise_tile)(const LanewiseLine *d, int64_t first, const int n, const int patterns) {
    V acc[14];
    NAME(LanewiseSums) sums;
    UNROLL for (int i = 0; i < n; i++) acc[i] = VZERO();
    int64_t low = 0, high = d->taps; /* the taps that meet a pixel of the tile: of large kernels many do not */
    while (low < high && d->shifts[low] + (first + n) * LANES <= d->inside) low++;
    while (low < high && d->shifts[high - 1] + first * LANES >= d->behind) high--;
    const int pieces = d->rows > d->piece;
    if (pieces) {
        memset(sums.sums, 0, sizeof(sums.sums));
        sums.sections = 0;
    }
    int64_t left = d->piece;
    for (int64_t a = 0; a < d->rows; a++, left--) {
        if (!left) {
            UNROLL for (int i = 0; i < n; i++) VSTORE(sums.now + i * LANES, acc[i]), acc[i] = VZERO();
            NAME(lanewise_cut)(&sums, n, a % d->section == 0);
            left = d->piece;
        }
        if (!d->x[a]) continue;
        const REAL *x = (const REAL *)d->x[a] + first * LANES, *w = (const REAL *)d->weights + a * d->weights_step + low * patterns * LANES;
        for (int64_t t = low; t < high; t++, w += patterns * LANES) {
            const REAL *at = x + d->shifts[t];
            V weight[3];
            UNROLL for (int j = 0; j < patterns; j++) weight[j] = VLOAD(w + j * LANES);
            UNROLL for (int i = 0; i < n; i++) acc[i] = VFMA(VLOAD(at + i * LANES), weight[i % patterns], acc[i]);
        }
    }
    if (pieces) {
        UNROLL for (int i = 0; i < n; i++) VSTORE(sums.now + i * LANES, acc[i]);
        NAME(lanewise_whole)(&sums, n);
        UNROLL for (int i = 0; i < n; i++) acc[i] = VLOAD(sums.now + i * LANES);
    }
    NAME(lanewise_end)(d, acc, (REAL *)d->out, sums.sums, first, n, patterns);
}

#define TILE(n) \
    NOINLINE void NAME(lanewise_##n)(const LanewiseLine *d, int64_t first) { NAME(lanewise_tile)(d, first, n, 1); }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8)
#if HAS_FMA
TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14)
NOINLINE void NAME(lanewise_12_3)(const LanewiseLine *d, int64_t first) { NAME(lanewise_tile)(d, first, 12, 3); }
#endif
#undef TILE
NOINLINE void NAME(lanewise_3_3)(const LanewiseLine *d, int64_t first) { NAME(lanewise_tile)(d, first, 3, 3); }
NOINLINE void NAME(lanewise_6_3)(const LanewiseLine *d, int64_t first) { NAME(lanewise_tile)(d, first, 6, 3); }

static void NAME(lanewise)(const LanewiseLine *d) {
    static void (*const tiles[])(const LanewiseLine *, int64_t) = {
        0, NAME(lanewise_1), NAME(lanewise_2), NAME(lanewise_3), NAME(lanewise_4), NAME(lanewise_5), NAME(lanewise_6), NAME(lanewise_7),
        NAME(lanewise_8),
#if HAS_FMA
        NAME(lanewise_9), NAME(lanewise_10), NAME(lanewise_11), NAME(lanewise_12), NAME(lanewise_13), NAME(lanewise_14),
#endif
    };
    int64_t first = 0;
    if (d->patterns == 1) {
        for (int64_t left = (d->vectors + LANEWISE_TILE - 1) / LANEWISE_TILE; left > 0; left--) { /* nearly equal tiles */
            const int64_t n = (d->vectors - first + left - 1) / left;
            tiles[n](d, first);
            first += n;
        }
        return;
    }
#if HAS_FMA
    for (; d->vectors - first > 6; first += 12) NAME(lanewise_12_3)(d, first);
#endif
    for (; d->vectors - first > 3; first += 6) NAME(lanewise_6_3)(d, first);
    if (d->vectors > first) NAME(lanewise_3_3)(d, first);
}

/* to[k][i*per + l] = from[i*from_step + places[k][l]] for i < pixels, k < kc, l < per; no more than `span` numbers of a pixel are read.
   `in_order`: kc is 1, and places are 0, 1, ... span - 1, and any behind them. */
static void NAME(lanewise_copy)(const LanewiseCopy *d) {
    const REAL *from = (const REAL *)d->from;
    REAL *to = (REAL *)d->to;
    const int64_t step = d->from_step, pixels = d->pixels, per = d->per, span = d->span;
    if (d->in_order) {
        if (per == step && per == span) memcpy(to, from, (size_t)(pixels * per) * sizeof(REAL));
        else if (span == LANES) for (int64_t i = 0; i < pixels; i++) VSTORE(to + i * LANES, VLOAD(from + i * step));
        else if (per == LANES) for (int64_t i = 0; i < pixels; i++) VSTORE(to + i * LANES, NAME(load_some)(from + i * step, span));
        else if (span <= LANES) for (int64_t i = 0; i < pixels; i++) NAME(store_some)(to + i * per, NAME(load_some)(from + i * step, span), span);
        else for (int64_t i = 0; i < pixels; i++) memcpy(to + i * per, from + i * step, (size_t)span * sizeof(REAL));
        return;
    }
#ifdef VPERMUTE
    if (span <= LANES && per <= LANES) {
        for (int64_t i = 0; i < pixels; i++) {
            const V v = span == LANES ? VLOAD(from + i * step) : NAME(load_some)(from + i * step, span);
            for (int64_t k = 0; k < d->kc; k++) {
                const V moved = VPERMUTE(v, d->places + k * d->places_step);
                if (per == LANES) VSTORE(to + k * d->to_step + i * LANES, moved);
                else NAME(store_some)(to + k * d->to_step + i * per, moved, per);
            }
        }
        return;
    }
#endif
    for (int64_t i = 0; i < pixels; i++, from += step, to += per)
        for (int64_t k = 0; k < d->kc; k++)
            for (int64_t l = 0; l < per; l++) to[k * d->to_step + l] = from[d->places[k * d->places_step + l]];
}

#ifdef VPERMUTE
/* A kernel with one tap and one vector for each pixel that reads at most one vector of each pixel: nothing is copied. Weights and places of two or
   four channels stay in registers. */
INLINE void NAME(lanewise_points)(const LanewiseLine *d, const LanewiseCopy *c, const int many) {
    enum { HELD = 4 };
    const REAL *from = (const REAL *)c->from, *w = (const REAL *)d->weights;
    REAL *out = (REAL *)d->out;
    const V bias = NAME(bias_at)(&d->end, 0, LANES);
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    const int64_t pixels = c->pixels, span = c->span, used = d->used, from_step = c->from_step, out_step = d->out_step, kc = many ? many : c->kc;
    V weights[HELD];
    int32_t places[HELD][LANES];
    UNROLL for (int k = 0; k < many; k++) {
        weights[k] = VLOAD(w + k * LANES);
        memcpy(places[k], c->places + k * c->places_step, sizeof(places[k]));
    }
    for (int64_t i = 0; i < pixels; i++, from += from_step, out += out_step) {
        const V v = span == LANES ? VLOAD(from) : NAME(load_some)(from, span);
        V s = VZERO();
        UNROLL for (int k = 0; k < many; k++) s = VFMA(VPERMUTE(v, places[k]), weights[k], s);
        if (!many) for (int64_t k = 0; k < kc; k++) s = VFMA(VPERMUTE(v, c->places + k * c->places_step), VLOAD(w + k * LANES), s);
        NAME(end_sums)(&s, 1, 1, bias, &clip);
        if (used == LANES) VSTORE(out, s);
        else NAME(store_some)(out, s, used);
    }
}

#ifdef VPERMUTE_QUARTERS
/* Two vectors of groups of four channels to four, which fill a cache line: 1.6 times as fast as one after the other, when each line came twice
   (64 groups on 28x28, an EPYC, Zen 3). Each lane reads its own quarter. */
INLINE void NAME(lanewise_pairs)(const LanewiseLine *d, const LanewiseCopy *c) {
    const REAL *from = (const REAL *)c->from, *w = (const REAL *)d->weights;
    REAL *out = (REAL *)d->out;
    const V bias[2] = {NAME(bias_at)(&d->end, 0, LANES), NAME(bias_at)(&d->end, LANES, LANES)};
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    const int64_t used = d->used - LANES;
    int32_t places[4][LANES];
    for (int k = 0; k < 4; k++) memcpy(places[k], c->places + k * c->places_step, sizeof(places[k]));
    for (int64_t i = 0; i < c->pixels; i++, from += c->from_step, out += d->out_step) {
        const V v[2] = {VLOAD(from), used == LANES ? VLOAD(from + LANES) : NAME(load_some)(from + LANES, used)};
        V s[2] = {VZERO(), VZERO()};
        UNROLL for (int k = 0; k < 4; k++)
            UNROLL for (int j = 0; j < 2; j++)
                s[j] = VFMA(VPERMUTE_QUARTERS(v[j], places[k]), VLOAD(w + (4 * j + k) * LANES), s[j]);
        UNROLL for (int j = 0; j < 2; j++) NAME(end_sums)(&s[j], 1, 1, bias[j], &clip);
        VSTORE(out, s[0]);
        if (used == LANES) VSTORE(out + LANES, s[1]);
        else NAME(store_some)(out + LANES, s[1], used);
    }
}
#endif

static void NAME(lanewise_point)(const LanewiseLine *d, const LanewiseCopy *c) {
#ifdef VPERMUTE_QUARTERS
    if (c->span > LANES) NAME(lanewise_pairs)(d, c);
    else
#endif
    if (c->kc == 4) NAME(lanewise_points)(d, c, 4);
    else if (c->kc == 2) NAME(lanewise_points)(d, c, 2);
    else NAME(lanewise_points)(d, c, 0);
}
#endif
