/* The innermost tile: mr pixels x nr vectors of output channels, over every tap and channel. What it computes:

       for i < mr, l < channels:
           s = accumulate ? out[i][l] : 0
           for each piece of taps x kc:                     the whole sum, unless it is cut: see next_piece
               for (t, k) of the piece:  s = fma(taps_at[t][i][k], panel[t][k][l], s)
               if total:  s = total[i][l] + s               the sum of the pieces before this one
               if more follow:  total[i][l] = s;  s = 0
           out[i][l] = finish ? last(act((s + 0) + bias[l]) + residual[i][l]) : s         see epilogue.h

   The tile below gives the same result, because every (i, l) keeps one sum that adds the same products in the same order; only
   independent sums are interleaved. mr, nr, narrow and strided are compile-time constants of each instance, so `acc` and `last` live
   in registers.

   A narrow tile uses at most half the lanes of its last vector, and sums only that half (`last`): a Zen 4 computes a 32-byte FMA in half the time of
   a 64-byte one. On other CPUs it takes the same time, so nothing is lost.

   Contract: 1 <= mr <= TILE_MR, or TALL_MR if strided and nr = 1; 1 <= nr <= 2; (nr-1)*LANES < channels <= nr*LANES, less LANES/2 if narrow;
   each pixel has kc readable elements at each tap; out[i] + out_offset has `channels` writeable ones; total, bias and alpha, where given, have
   nr*LANES readable ones, the residual `channels`. */

/* Pixel i of a strided tile, from the bases of its two runs. Index registers hold 1, 3 and 5 steps; with the scales 1, 2, 4 of an
   address they reach seven pixels, so that 14 need two bases, three indices and no pointer of their own. */
#define STRIDED(base0, base1, i) \
    (((i) < half ? (base0) : (base1)) + ((i) < half ? NAME(multiple)(i, s1, s3, s5) : NAME(multiple)((i) - half, s1, s3, s5)))

#define FETCH_PAIR(at) do { PREFETCH_L2(at); PREFETCH_L2((at) + 64); } while (0)
#define KEEP_STEPS() do { KEEP(s1); if (half > 3) KEEP(s3); if (half > 5) KEEP(s5); } while (0)

INLINE int64_t NAME(multiple)(const int i, int64_t s1, int64_t s3, int64_t s5) {
    switch (i) {
    case 0: return 0;
    case 1: return s1;
    case 2: return 2 * s1;
    case 3: return s3;
    case 4: return 4 * s1;
    case 5: return s5;
    default: return 2 * s3;
    }
}

INLINE char *NAME(tile_out)(const Tile *t, const int i, const int half) {
    return (char *)t->out[i >= half] + t->out_offset * (int64_t)sizeof(REAL) + (i < half ? i : i - half) * t->out_step;
}

/* last(acc + residual), or its clipping, while the sums are in registers. On rows just stored this took half as long as a 1x1 kernel on 24
   channels: a load waits for a masked store to the same bytes. */
INLINE void NAME(add_residual)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const int half) {
    const int clips = t->end.last.code == ACT_CLIP;
    const V low = VSPLAT((REAL)t->end.last.a), high = VSPLAT((REAL)t->end.last.b);
    NAME(Residual) of = NAME(residual_of)(&t->end, NAME(tile_out)(t, 0, half), t->out_step, t->channels);
    const int64_t last = of.columns - (nr - 1) * LANES, first = nr == 1 || of.columns > LANES ? LANES : of.columns;
    const int64_t n[2] = {nr == 1 ? last : first, last < 0 ? 0 : last}; /* columns of each vector */
    const char *more = of.at;
    UNROLL for (int i = 0; i < mr; i++) {
        if (i == half) more = NAME(residual_of)(&t->end, NAME(tile_out)(t, half, half), t->out_step, t->channels).at;
        else if (i) more += of.step;
        KEEP(more);
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(acc[i][j], NAME(load_some)((const REAL *)more + j * LANES, n[j]));
    }
    if (clips) UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMIN(high, VMAX(low, acc[i][j]));
}

/* Whether the last two products of all sums are joined with their end, if the last piece has as many. */
INLINE int NAME(joined)(const Tile *t, const int nr) {
    return t->channels == nr * LANES && !t->total && !(t->finish && t->end.residual);
}

/* The last two products, the sum of the pieces before, the end and the store of each pixel's sums, before those of the next pixel. A Zen 4
   stores 32 bytes in a cycle: 28 vectors take as long as two products of 28 sums. When they were stored after all products, the
   multiply-adds of the next tile waited meanwhile: of the 760 cycles of a tile of a 1x1 kernel on 24 channels 90 were lost, now 50. One or
   three products hid less; tiles of half as many pixels, or the next tile's outputs prefetched, were no faster. A Zen 3 with AVX2 gains
   6% of such a tile, with four products 2%. A residual added here too (2 KB) took MobileNetV2 0.99 of the time, ResNet-50 and
   EfficientNet-B0 1.00. */
INLINE void NAME(join_end_by)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const char *a0, const char *a1, const REAL *b,
                              int64_t s1, int64_t s3, int64_t s5, const REAL *before, const int stores) {
    const int half = (mr + 1) / 2;
    const REAL bounds[2] = {(REAL)t->end.act.a, (REAL)t->end.act.b}, *bound = bounds;
    int64_t clips = t->finish && t->end.act.code == ACT_CLIP ? 1 + (bounds[1] < (REAL)INFINITY) : 0; /* 1: relu, in half the time */
    char *out = NAME(tile_out)(t, 0, half);
    V bias[MAX_NR];
    const volatile int *streams = &t->streams; /* volatile: otherwise the compiler makes two versions of all that follows */
    UNROLL for (int j = 0; j < nr; j++) bias[j] = t->finish ? NAME(bias_at)(&t->end, j * LANES, LANES) : VZERO();
    UNROLL for (int i = 0; i < mr; i++) {
        KEEP(b); /* weights and bounds are loaded for each pixel: there are no registers for them */
        KEEP(bound);
        KEEP(clips);
        KEEP_STEPS();
        const REAL *at = (const REAL *)STRIDED(a0, a1, i);
        const V first = VSPLAT(at[0]), second = VSPLAT(at[1]);
        UNROLL for (int j = 0; j < nr; j++) FMA_AT(acc[i][j], first, b + j * LANES);
        UNROLL for (int j = 0; j < nr; j++) FMA_AT(acc[i][j], second, b + (nr + j) * LANES);
        if (before) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(VLOAD(before + (i * nr + j) * LANES), acc[i][j]);
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(acc[i][j], bias[j]);
        if (clips) {
            UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMAX(VSPLAT(bound[0]), acc[i][j]);
            if (clips > 1) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMIN(VSPLAT(bound[1]), acc[i][j]);
        }
        if (i == half) out = NAME(tile_out)(t, half, half);
        else if (i) out += t->out_step;
        KEEP(out);
        if (stores == STREAM || (stores == ASK && *streams)) UNROLL for (int j = 0; j < nr; j++) VSTREAM((REAL *)out + j * LANES, acc[i][j]);
        else UNROLL for (int j = 0; j < nr; j++) VSTORE((REAL *)out + j * LANES, acc[i][j]);
    }
}

/* An ordinary store fetches each line that is not in a cache before it writes it; STREAM does not (Direct._streams says when). With AVX2 there
   are two versions, 1 KB: to ASK at each pixel took small layers up to 0.8% longer, mostly, which is within the noise there (a virtual
   machine that says it is a Zen 1). With AVX-512, where ASK was not timed, two versions would be 7 KB. */
INLINE void NAME(join_end)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const char *a0, const char *a1, const REAL *b,
                           int64_t s1, int64_t s3, int64_t s5, const REAL *before) {
    if (HAS_STREAM && mr <= 6 && t->streams) NAME(join_end_by)(t, acc, mr, nr, a0, a1, b, s1, s3, s5, before, STREAM);
    else NAME(join_end_by)(t, acc, mr, nr, a0, a1, b, s1, s3, s5, before, HAS_STREAM && mr > 6 ? ASK : STORE);
}

/* It may be far away. */
INLINE void NAME(fetch_residual)(const Tile *t, const int mr) {
    for (int i = 0; i < mr; i++) {
        const char *more = NAME(tile_out)(t, i, (mr + 1) / 2) + t->end.residual;
        PREFETCH(more);
        PREFETCH(more + 64);
    }
}

/* Sums that continue from the outputs. */
INLINE void NAME(load_sums)(V *acc, const REAL *out, const int nr, int64_t full, int64_t rest) {
    UNROLL for (int j = 0; j < nr; j++) acc[j] = j < full ? VLOAD(out + j * LANES) : NAME(load_some)(out + j * LANES, rest);
}

/* acc = the sum of the pieces before + acc: of this tile in `so_far`, or of the call's. */
INLINE void NAME(add_before)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const REAL *so_far) {
    const int half = (mr + 1) / 2;
    const REAL *first = so_far ? so_far : (const REAL *)t->total[0], *second = so_far ? so_far + half * nr * LANES : (const REAL *)t->total[1];
    UNROLL for (int i = 0; i < mr; i++) {
        const REAL *before = i < half ? first + i * nr * LANES : second + (i - half) * nr * LANES;
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(VLOAD(before + j * LANES), acc[i][j]);
    }
}

/* Store the sums, and start again from zero. */
INLINE void NAME(put_aside)(V (*acc)[MAX_NR], HALF *last, const int mr, const int nr, REAL *to) {
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int j = 0; j < nr; j++) {
            VSTORE(to + (i * nr + j) * LANES, acc[i][j]);
            acc[i][j] = VZERO();
        }
        last[i] = FIRST_HALF(acc[i][nr - 1]);
    }
}

/* The addresses of the pixels of two runs. */
INLINE void NAME(write_runs)(const void **to, const void *const *runs, const int mr, int64_t step) {
    const int half = (mr + 1) / 2;
    ROLLED for (int i = 0; i < mr; i++) to[i] = (const char *)runs[i >= half] + (i < half ? i : i - half) * step;
}

/* A piece after the first: its taps, and the channels of each. */
typedef struct {
    const void *const *taps_at, *const *end;
    int64_t kc, skip;        /* channels before those of the piece */
    int64_t later;           /* how many products are left for the tile's end */
    int64_t period_end;      /* in taps, or in channels of a tap that has several pieces */
} NAME(Piece);

/* From the piece that ends at `taps_at`, in `p` unless it is the first, to the next one; whether there is one.

   A tile that was called for each piece lost 90 of the 1,536 cycles of 256 products: 3x3 on 64 and 128 channels 1.04, 1x1 on 512 1.03 of the
   speed since (Zen 3, AVX2). The function is not inline because each tile has it: 28 KB. */
NOINLINE int NAME(next_piece)(const Tile *t, const int runs, const int joinable, const void *const *taps_at, NAME(Piece) *p) {
    if (!t->taps) return 0;
    const int first = !p->end, within = t->piece_kc < t->kc;
    const int64_t taps = (taps_at - t->taps_at) / runs, left = t->taps - taps;
    const int64_t channels = first ? t->piece_kc : p->skip + p->kc, of_tap = t->kc - channels;
    if (!left && !of_tap) return 0;
    if (first) p->period_end = t->rest;
    p->taps_at = taps_at, p->end = taps_at, p->kc = t->piece_kc, p->skip = 0;
    if (of_tap) { /* the next channels of this tap */
        if (channels == p->period_end) p->period_end += t->period;
        p->taps_at -= runs, p->skip = channels;
        if (p->period_end - channels < p->kc) p->kc = p->period_end - channels;
        if (of_tap < p->kc) p->kc = of_tap;
    } else if (within) {
        p->period_end = t->period;
        p->end += runs;
    } else {
        if (taps == p->period_end) p->period_end += t->period;
        const int64_t part = t->part < p->period_end - taps ? t->part : p->period_end - taps;
        p->end += (part < left ? part : left) * runs;
    }
    const int ends = p->end == t->taps_at + t->taps * runs && p->skip + p->kc == t->kc;
    p->later = joinable && ends && p->kc > 1 ? 2 : 0;
    return 1;
}

INLINE void NAME(tile)(const Tile *t, const int mr, const int nr, const int narrow, const int strided) {
    V acc[TALL_MR][MAX_NR];
    HALF last[TALL_MR]; /* narrow: what is summed in place of acc[i][nr - 1] */
    const int whole = nr - narrow;
    const int64_t full = t->channels / LANES, rest = t->channels % LANES;
    const int half = (mr + 1) / 2, by_runs = strided || (REAL_BITS == 64 && t->by_runs);
    V room[TILE_MR * MAX_NR]; /* the sum of the pieces before; later what an activation reads */
    const void *const *outs = (const void *const *)t->out;
    const void *outs_of_runs[TALL_MR], *pixels_of_runs[TALL_MR];
    if (!strided && by_runs) {
        NAME(write_runs)(outs_of_runs, outs, mr, t->out_step);
        outs = outs_of_runs;
    }
#define OUT(i) (strided ? NAME(tile_out)(t, i, half) : (char *)outs[i] + t->out_offset * (int64_t)sizeof(REAL))
    if (t->accumulate) UNROLL for (int i = 0; i < mr; i++) NAME(load_sums)(acc[i], (const REAL *)OUT(i), nr, full, rest);
    else UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VZERO();
    if (narrow) UNROLL for (int i = 0; i < mr; i++) last[i] = FIRST_HALF(acc[i][nr - 1]);

    if (strided && t->finish && t->end.residual && !t->end.fewer) NAME(fetch_residual)(t, mr);

    const REAL *b = (const REAL *)t->panel;
    const void *const *taps_at = t->taps_at;
    const char *ahead = (const char *)t->ahead;
    const int64_t ahead_half = strided ? t->ahead_step / 2 : 0;
    const int twice = half > 3 && 4 * nr * sizeof(V) > 256; /* up to 6 rows take too little time for more */
    const int pins = JOINS_ENDS && !narrow && (nr == 2 || mr > TILE_MR), joins = pins && nr == 2 && strided && mr > TILE_MR * 5 / 6;
    int64_t later = joins && NAME(joined)(t, nr) && !t->cut && t->taps > 0 && t->kc > 1 ? 2 : 0;
    int64_t s1 = strided ? t->step : 0, s3 = 3 * s1, s5 = 5 * s1; /* a gathered tile has none */
    const int runs = by_runs ? 2 : mr;
    const void *const *end = taps_at + t->piece_taps * runs; /* of the piece */
    int64_t n = t->piece_kc, skip = 0;
    NAME(Piece) next; /* after the first */
    next.end = 0;
    const REAL *so_far = 0; /* the sum of the pieces before */
    const char *a0 = 0, *a1 = 0;
    for (;;) { /* pieces */
        for (; taps_at != end; taps_at += runs) {
            const char *a[TALL_MR];
            int64_t left = joins && taps_at + runs == end ? n - later : n, k = skip;
            if (strided) a0 = (const char *)((const REAL *)taps_at[0] + skip), a1 = (const char *)((const REAL *)taps_at[1] + skip);
            if (!strided && by_runs) NAME(write_runs)(pixels_of_runs, taps_at, mr, t->step);
            if (!strided) UNROLL for (int i = 0; i < mr; i++) a[i] = (const char *)(by_runs ? pixels_of_runs : taps_at)[i];
#define PIXEL(i, k) (*((const REAL *)(strided ? STRIDED(a0, a1, i) : a[i]) + (k)))
            for (; left >= 4; left -= 4, k += 4, b += 4 * nr * LANES) {
                UNROLL for (int u = 0; u < 4; u++) {
                    V w[MAX_NR];
                    const int64_t at = strided ? u : k + u;
                    if (strided) KEEP_STEPS(); /* otherwise the compiler makes all of them for each u, and spills them */
                    UNROLL for (int j = 0; j < whole; j++) w[j] = VLOAD(b + (u * nr + j) * LANES);
                    const HALF h = HALF_LOAD(b + (u * nr + nr - 1) * LANES);
                    UNROLL for (int i = 0; i < mr; i++) {
                        const V s = VSPLAT(PIXEL(i, at));
                        UNROLL for (int j = 0; j < whole; j++) {
                            if (pins) FMA_TO(acc[i][j], s, w[j]);
                            else acc[i][j] = VFMA(s, w[j], acc[i][j]);
                        }
                        if (narrow) last[i] = HALF_FMA(whole ? FIRST_HALF(s) : HALF_SPLAT(PIXEL(i, at)), h, last[i]);
                    }
                }
                if (strided) {
                    FETCH_PAIR(ahead);
                    if (twice) FETCH_PAIR(ahead + ahead_half);
                    ahead += 2 * ahead_half;
                    a0 += 4 * sizeof(REAL);
                    a1 += 4 * sizeof(REAL);
                    KEEP_BASES(a0, a1);
                }
            }
            KEEP(left); /* otherwise the compiler writes this loop three times */
            for (; left > 0; left--, k++, b += nr * LANES) {
                V w[MAX_NR];
                const int64_t at = strided ? 0 : k;
                UNROLL for (int j = 0; j < whole; j++) w[j] = VLOAD(b + j * LANES);
                const HALF h = HALF_LOAD(b + (nr - 1) * LANES);
                UNROLL for (int i = 0; i < mr; i++) {
                    const V s = VSPLAT(PIXEL(i, at));
                    UNROLL for (int j = 0; j < whole; j++) {
                        if (pins) FMA_TO(acc[i][j], s, w[j]);
                        else acc[i][j] = VFMA(s, w[j], acc[i][j]);
                    }
                    if (narrow) last[i] = HALF_FMA(whole ? FIRST_HALF(s) : HALF_SPLAT(PIXEL(i, at)), h, last[i]);
                }
                if (strided) {
                    a0 += sizeof(REAL);
                    a1 += sizeof(REAL);
                    KEEP_BASES(a0, a1);
                }
            }
#undef PIXEL
        }
        if (joins && later) break;
        if (narrow) UNROLL for (int i = 0; i < mr; i++) acc[i][nr - 1] = FROM_HALF(last[i]);
        if (so_far || t->total) NAME(add_before)(t, acc, mr, nr, so_far);
        if (OFTEN(!t->cut)) break;
        if (!NAME(next_piece)(t, runs, joins && NAME(joined)(t, nr), taps_at, &next)) break;
        so_far = (const REAL *)room;
        NAME(put_aside)(acc, last, mr, nr, (REAL *)room);
        taps_at = next.taps_at, end = next.end, n = next.kc, skip = next.skip;
        if (joins) later = next.later;
    }

    if (joins) KEEP(t);
    if (joins && later) {
        FETCH_PAIR(ahead); /* of the turn that the loop did not make, where kc % 4 < 2 */
        NAME(join_end)(t, acc, mr, nr, a0, a1, b, s1, s3, s5, so_far);
        if (t->finish && t->end.act.code > ACT_CLIP) for (int i = 0; i < mr; i += half)
            NAME(end_rows)(&t->end, NAME(tile_out)(t, i, half), t->out_step, i ? mr - half : half, t->channels);
        return;
    }
    KEEP(t); /* the addresses of outputs are made here: before the loop they would be spilled */
    const NAME(Clip) clip = NAME(clip_of)(&t->end);
    if (t->finish) UNROLL for (int j = 0; j < nr; j++) NAME(end_sums)(&acc[0][j], mr, MAX_NR, NAME(bias_at)(&t->end, j * LANES, LANES), &clip);
    const int large = strided && mr > (nr == 1 ? TALL_MR : TILE_MR) * 3 / 4; /* other tiles are rare, and code for them took 60 KB */
    const int adds = HAS_MASKS && large && t->finish && NAME(adds_in_registers)(&t->end);
    if (adds) NAME(add_residual)(t, acc, mr, nr, half);
    /* An activation reads these sums next, so whole vectors are stored: a load waits for a masked store to its bytes. */
    const Activation *then = adds ? &t->end.last : &t->end.act;
    const int activates = HAS_MASKS && large && t->finish && then->code > ACT_CLIP && (adds || !t->end.residual);
    const int keeps = activates && rest;
    const int64_t step = keeps ? nr * (int64_t)sizeof(V) : t->out_step;
    char *out = 0;
    UNROLL for (int i = 0; i < mr; i++) {
        if (strided && i && i != half) out += step;
        else out = keeps ? (char *)(room + i * nr) : OUT(i);
        KEEP(out); /* one address at a time: all at once, they would be spilled */
        UNROLL for (int j = 0; j < nr - 1; j++) VSTORE((REAL *)out + j * LANES, acc[i][j]);
        if (full == nr || keeps) VSTORE((REAL *)out + (nr - 1) * LANES, acc[i][nr - 1]);
        else NAME(store_some)((REAL *)out + (nr - 1) * LANES, acc[i][nr - 1], rest);
    }
    if (!t->finish || !NAME(ends_later)(&t->end)) return;
    if (!strided) for (int i = 0; i < mr; i++) NAME(end_rows)(&t->end, OUT(i), 0, 1, t->channels);
    else for (int i = 0; i < mr; i += half) { /* run by run: a call costs as much as some vectors */
        char *to = NAME(tile_out)(t, i, half);
        const int rows = i ? mr - half : half;
        if (activates) NAME(activate_apart)(keeps ? (char *)(room + i * nr) : to, step, to, t->out_step, rows, t->channels, t->end.alpha, then);
        else if (!adds) NAME(end_rows)(&t->end, to, t->out_step, rows, t->channels);
    }
}
#undef STRIDED
#undef KEEP_STEPS
#undef FETCH_PAIR
#undef OUT

/* Copy a panel of an unpacked kernel: to[k][0:whole] = w[k][0:n] and zeros, n <= whole, which is a few vectors. The rows lie on different pages,
   so the next rows are prefetched. */
static void NAME(take_panel)(const void *w_, int64_t w_step, int64_t rows, int64_t n, void *to_, int64_t whole) {
    const REAL *w = (const REAL *)w_;
    REAL *to = (REAL *)to_;
    for (int64_t k = 0; k < rows; k++, w += w_step, to += whole) {
        const int64_t ahead = k + 16 < rows ? 16 * w_step : 0; /* behind the last row there may be no memory: see table.h */
        for (int64_t c = 0; c < whole; c += LANES) {
            PREFETCH(w + ahead + c);
            VSTORE(to + c, c + LANES <= n ? VLOAD(w + c) : c < n ? NAME(load_some)(w + c, n - c) : VZERO());
        }
    }
}

/* There is one function for every (nr, mr): remainders use a tile of their size, not scalar code. Narrow tiles are strided only: gathered tiles
   serve maps that are too small to matter. */
#define INSTANCE(n, m) \
    static void NAME(gathered_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n, 0, 0); } \
    STRIDED_INSTANCE(n, m) \
    NARROW_INSTANCE(n, m)
#if REAL_BITS == 32
#define STRIDED_INSTANCE(n, m) \
    static void NAME(strided_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n, 0, 1); }
#else
#define STRIDED_INSTANCE(n, m)
#endif
#if HAS_HALF
#define NARROW_INSTANCE(n, m) \
    static void NAME(narrow_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n, 1, 1); }
#else
#define NARROW_INSTANCE(n, m)
#endif
EACH_MR(INSTANCE, 1)
EACH_MR(INSTANCE, 2)
EACH_TALL_MR(STRIDED_INSTANCE, 1)
#undef INSTANCE
#undef NARROW_INSTANCE
#undef STRIDED_INSTANCE
