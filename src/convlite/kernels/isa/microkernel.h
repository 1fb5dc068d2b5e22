/* The innermost tile: mr pixels x nr vectors of output channels, over every tap and channel. What it computes:

       for i < mr, l < channels:
           s = accumulate ? out[i][l] : 0
           for t < taps: for k < kc:  s = fma(taps_at[t][i][k], panel[t][k][l], s)
           if total:  s = total[i][l] + s                   the sum of the pieces before this one: see in_pieces
           out[i][l] = finish ? last(act((s + 0) + bias[l]) + residual[i][l]) : s         see epilogue.h

   The tile below gives the same result, because every (i, l) keeps one sum that adds the same products in the same order; only
   independent sums are interleaved. mr, nr, narrow and strided are compile-time constants of each instance, so `acc` and `last` live
   in registers.

   A narrow tile uses at most half the lanes of its last vector, and sums only that half (`last`): a Zen 4 computes a 32-byte FMA in half the time of
   a 64-byte one. On other CPUs it takes the same time, so nothing is lost.

   Contract: 1 <= mr <= TILE_MR, 1 <= nr <= 2, (nr-1)*LANES < channels <= nr*LANES, less LANES/2 if narrow; each pixel has kc readable
   elements at each tap; out[i] + out_offset has `channels` writeable ones; total, bias and alpha, where given, have nr*LANES readable ones,
   the residual `channels`. */

/* Pixel i of a strided tile, from the bases of its two runs. Index registers hold 1, 3 and 5 steps; with the scales 1, 2, 4 of an
   address they reach seven pixels, so that 14 need two bases, three indices and no pointer of their own. */
#define STRIDED(base0, base1, i) \
    (((i) < half ? (base0) : (base1)) + ((i) < half ? NAME(multiple)(i, s1, s3, s5) : NAME(multiple)((i) - half, s1, s3, s5)))

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

INLINE char *NAME(tile_out)(const Tile *t, const int i, const int half, const int strided) {
    char *base = (char *)t->out[strided ? i >= half : i];
    return base + t->out_offset * (int64_t)sizeof(REAL) + (strided ? (i < half ? i : i - half) * t->out_step : 0);
}

/* last(acc + residual), or its clipping, while the sums are in registers. On rows just stored this took half as long as a 1x1 kernel on 24
   channels: a load waits for a masked store to the same bytes. */
INLINE void NAME(add_residual)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const int half) {
    const int clips = t->end.last.code == ACT_CLIP;
    const V low = VSPLAT((REAL)t->end.last.a), high = VSPLAT((REAL)t->end.last.b);
    NAME(Residual) of = NAME(residual_of)(&t->end, NAME(tile_out)(t, 0, half, 1), t->out_step, t->channels);
    const int64_t last = of.columns - (nr - 1) * LANES, first = nr == 1 || of.columns > LANES ? LANES : of.columns;
    const int64_t n[2] = {nr == 1 ? last : first, last < 0 ? 0 : last}; /* columns of each vector */
    const char *more = of.at;
    UNROLL for (int i = 0; i < mr; i++) {
        if (i == half) more = NAME(residual_of)(&t->end, NAME(tile_out)(t, half, half, 1), t->out_step, t->channels).at;
        else if (i) more += of.step;
        KEEP(more);
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(acc[i][j], NAME(load_some)((const REAL *)more + j * LANES, n[j]));
    }
    if (clips) UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMIN(high, VMAX(low, acc[i][j]));
}

/* Whether the last two products of all sums are joined with their end. */
INLINE int NAME(joined)(const Tile *t, const int nr) {
    return t->taps > 0 && t->kc > 1 && t->channels == nr * LANES && !t->total && !(t->finish && t->end.residual);
}

/* The last two products, the end and the store of each pixel's sums, before those of the next pixel. A Zen 4 stores 32 bytes in a cycle: 28
   vectors take as long as two products of 28 sums. When they were stored after all products, the multiply-adds of the next tile waited
   meanwhile: of the 760 cycles of a tile of a 1x1 kernel on 24 channels 90 were lost, now 50. One or three products hid less; tiles of
   half as many pixels, or the next tile's outputs prefetched, were no faster. A residual added here too (2 KB) took MobileNetV2 0.99 of the
   time, ResNet-50 and EfficientNet-B0 1.00. */
INLINE void NAME(join_end)(const Tile *t, V (*acc)[MAX_NR], const int mr, const int nr, const char *a0, const char *a1, const REAL *b,
                           int64_t s1, int64_t s3, int64_t s5) {
    const int half = (mr + 1) / 2;
    const REAL bounds[2] = {(REAL)t->end.act.a, (REAL)t->end.act.b}, *bound = bounds;
    int64_t clips = t->finish && t->end.act.code == ACT_CLIP ? 1 + (bounds[1] < (REAL)INFINITY) : 0; /* 1: relu, in half the time */
    char *out = NAME(tile_out)(t, 0, half, 1);
    V bias[MAX_NR];
    UNROLL for (int j = 0; j < nr; j++) bias[j] = t->finish ? NAME(bias_at)(&t->end, j * LANES, LANES) : VZERO();
    UNROLL for (int i = 0; i < mr; i++) {
        KEEP(b); /* weights and bounds are loaded for each pixel: there are no registers for them */
        KEEP(bound);
        KEEP(clips);
        KEEP(s1);
        if (half > 3) KEEP(s3);
        if (half > 5) KEEP(s5);
        const REAL *at = (const REAL *)STRIDED(a0, a1, i);
        const V first = VSPLAT(at[0]), second = VSPLAT(at[1]);
        UNROLL for (int j = 0; j < nr; j++) FMA_AT(acc[i][j], first, b + j * LANES);
        UNROLL for (int j = 0; j < nr; j++) FMA_AT(acc[i][j], second, b + (nr + j) * LANES);
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(acc[i][j], bias[j]);
        if (clips) {
            UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMAX(VSPLAT(bound[0]), acc[i][j]);
            if (clips > 1) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VMIN(VSPLAT(bound[1]), acc[i][j]);
        }
        if (i == half) out = NAME(tile_out)(t, half, half, 1);
        else if (i) out += t->out_step;
        KEEP(out);
        UNROLL for (int j = 0; j < nr; j++) VSTORE((REAL *)out + j * LANES, acc[i][j]);
    }
}

INLINE void NAME(tile)(const Tile *t, const int mr, const int nr, const int narrow, const int strided) {
    V acc[TILE_MR][MAX_NR];
    HALF last[TILE_MR]; /* narrow: what is summed in place of acc[i][nr - 1] */
    const int whole = nr - narrow;
    const int64_t full = t->channels / LANES, rest = t->channels % LANES;
    const int half = (mr + 1) / 2;
    if (t->accumulate) {
        UNROLL for (int i = 0; i < mr; i++) {
            const REAL *o = (const REAL *)NAME(tile_out)(t, i, half, strided);
            UNROLL for (int j = 0; j < nr; j++) acc[i][j] = j < full ? VLOAD(o + j * LANES) : NAME(load_some)(o + j * LANES, rest);
        }
    } else {
        UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VZERO();
    }

    if (narrow) UNROLL for (int i = 0; i < mr; i++) last[i] = FIRST_HALF(acc[i][nr - 1]);

    if (strided && t->finish && t->end.residual && !t->end.fewer) for (int i = 0; i < mr; i++) { /* it may be far away */
        const char *more = NAME(tile_out)(t, i, half, 1) + t->end.residual;
        PREFETCH(more);
        PREFETCH(more + 64);
    }

    const REAL *b = (const REAL *)t->panel;
    const void *const *taps_at = t->taps_at;
    const char *ahead = (const char *)t->ahead;
    const int64_t kc = t->kc, ahead_half = strided ? t->ahead_step / 2 : 0;
    const int twice = half > 3 && 4 * nr * sizeof(V) > 256; /* up to 6 rows take too little time for more */
    const int joins = JOINS_ENDS && strided && nr == 2 && !narrow && mr > TILE_MR * 5 / 6;
    const int64_t later = joins && NAME(joined)(t, nr) ? 2 : 0;
    int64_t s1 = strided ? t->step : 0, s3 = 3 * s1, s5 = 5 * s1; /* a gathered tile has none */
    const int runs = strided ? 2 : mr;
    const char *a0 = 0, *a1 = 0;
    for (const void *const *end = taps_at + t->taps * runs; taps_at != end; taps_at += runs) {
        const char *a[TILE_MR];
        int64_t left = joins && taps_at + runs == end ? kc - later : kc;
        a0 = (const char *)taps_at[0], a1 = (const char *)taps_at[strided ? 1 : 0];
        if (!strided) UNROLL for (int i = 0; i < mr; i++) a[i] = (const char *)taps_at[i];
#define PIXEL(i, k) (*((const REAL *)(strided ? STRIDED(a0, a1, i) : a[i]) + (k)))
        int64_t k = 0;
        for (; left >= 4; left -= 4, k += 4, b += 4 * nr * LANES) {
            UNROLL for (int u = 0; u < 4; u++) {
                V w[MAX_NR];
                const int64_t at = strided ? u : k + u;
                if (strided) { /* otherwise the compiler makes all of them for each u, and spills them */
                    KEEP(s1);
                    if (half > 3) KEEP(s3);
                    if (half > 5) KEEP(s5);
                }
                UNROLL for (int j = 0; j < whole; j++) w[j] = VLOAD(b + (u * nr + j) * LANES);
                const HALF h = HALF_LOAD(b + (u * nr + nr - 1) * LANES);
                UNROLL for (int i = 0; i < mr; i++) {
                    const V s = VSPLAT(PIXEL(i, at));
                    UNROLL for (int j = 0; j < whole; j++) {
                        if (joins) FMA_TO(acc[i][j], s, w[j]);
                        else acc[i][j] = VFMA(s, w[j], acc[i][j]);
                    }
                    if (narrow) last[i] = HALF_FMA(whole ? FIRST_HALF(s) : HALF_SPLAT(PIXEL(i, at)), h, last[i]);
                }
            }
            if (strided) {
                PREFETCH_L2(ahead);
                PREFETCH_L2(ahead + 64);
                if (twice) {
                    PREFETCH_L2(ahead + ahead_half);
                    PREFETCH_L2(ahead + ahead_half + 64);
                }
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
                    if (joins) FMA_TO(acc[i][j], s, w[j]);
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

    if (joins) KEEP(t);
    if (joins && NAME(joined)(t, nr)) {
        PREFETCH_L2(ahead); /* of the turn that the loop did not make, where kc % 4 < 2 */
        PREFETCH_L2(ahead + 64);
        NAME(join_end)(t, acc, mr, nr, a0, a1, b, s1, s3, s5);
        if (t->finish && t->end.act.code > ACT_CLIP) for (int i = 0; i < mr; i += half)
            NAME(end_rows)(&t->end, NAME(tile_out)(t, i, half, 1), t->out_step, i ? mr - half : half, t->channels);
        return;
    }
    if (narrow) UNROLL for (int i = 0; i < mr; i++) acc[i][nr - 1] = FROM_HALF(last[i]);

    KEEP(t); /* the addresses of outputs are made here: before the loop they would be spilled */
    if (t->total) UNROLL for (int i = 0; i < mr; i++) {
        const REAL *before = (const REAL *)t->total[strided ? i >= half : i] + (strided ? (i < half ? i : i - half) * nr * LANES : 0);
        UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VADD(VLOAD(before + j * LANES), acc[i][j]);
    }
    const NAME(Clip) clip = NAME(clip_of)(&t->end);
    if (t->finish) UNROLL for (int j = 0; j < nr; j++) NAME(end_sums)(&acc[0][j], mr, MAX_NR, NAME(bias_at)(&t->end, j * LANES, LANES), &clip);
    const int large = strided && mr > TILE_MR * 3 / 4; /* other tiles are rare, and code for them took 60 KB */
    const int adds = HAS_MASKS && large && t->finish && NAME(adds_in_registers)(&t->end);
    if (adds) NAME(add_residual)(t, acc, mr, nr, half);
    /* An activation reads these sums next, so whole vectors are stored: a load waits for a masked store to its bytes. */
    const Activation *then = adds ? &t->end.last : &t->end.act;
    const int activates = HAS_MASKS && large && t->finish && then->code > ACT_CLIP && (adds || !t->end.residual);
    const int keeps = activates && rest;
    const int64_t step = keeps ? nr * (int64_t)sizeof(V) : t->out_step;
    V kept[TILE_MR * MAX_NR];
    char *out = 0;
    UNROLL for (int i = 0; i < mr; i++) {
        if (strided && i && i != half) out += step;
        else out = keeps ? (char *)(kept + i * nr) : NAME(tile_out)(t, i, half, strided);
        KEEP(out); /* one address at a time: all at once, they would be spilled */
        UNROLL for (int j = 0; j < nr - 1; j++) VSTORE((REAL *)out + j * LANES, acc[i][j]);
        if (full == nr || keeps) VSTORE((REAL *)out + (nr - 1) * LANES, acc[i][nr - 1]);
        else NAME(store_some)((REAL *)out + (nr - 1) * LANES, acc[i][nr - 1], rest);
    }
    if (!t->finish || !NAME(ends_later)(&t->end)) return;
    if (!strided) for (int i = 0; i < mr; i++) NAME(end_rows)(&t->end, NAME(tile_out)(t, i, half, 0), 0, 1, t->channels);
    else for (int i = 0; i < mr; i += half) { /* run by run: a call costs as much as some vectors */
        char *to = NAME(tile_out)(t, i, half, 1);
        const int rows = i ? mr - half : half;
        if (activates) NAME(activate_apart)(keeps ? (char *)(kept + i * nr) : to, step, to, t->out_step, rows, t->channels, t->end.alpha, then);
        else if (!adds) NAME(end_rows)(&t->end, to, t->out_step, rows, t->channels);
    }
}
#undef STRIDED

/* Copy a panel of an unpacked kernel: to[k][0:whole] = w[k][0:n] and zeros, n <= whole, which is a few vectors. The rows lie on different pages,
   so the next rows are prefetched. */
static void NAME(take_panel)(const void *w_, int64_t w_step, int64_t rows, int64_t n, void *to_, int64_t whole) {
    const REAL *w = (const REAL *)w_;
    REAL *to = (REAL *)to_;
    for (int64_t k = 0; k < rows; k++, w += w_step, to += whole) {
        for (int64_t c = 0; c < whole; c += LANES) {
            PREFETCH(w + 16 * w_step + c);
            VSTORE(to + c, c + LANES <= n ? VLOAD(w + c) : c < n ? NAME(load_some)(w + c, n - c) : VZERO());
        }
    }
}

#if REAL_BITS == 64
/* Strided tiles of doubles run as gathered ones, whose pointers are written down first: code of their own took 58 KB with AVX-512. They take a few
   taps at a time; meanwhile the sums are in the output. The last call adds `total`, which is copied first where it lies in the output. */
NOINLINE void NAME(strided_by_pointers)(const Tile *t, int mr, int nr, TileKernel gathered) {
    enum { TAPS = 16 };
    const void *taps_at[TAPS * TILE_MR];
    void *out[TILE_MR], *total[TILE_MR];
    V kept[TILE_MR * MAX_NR];
    const int half = (mr + 1) / 2;
    Tile part = *t;
    part.taps_at = taps_at, part.out = out, part.total = 0;
    for (int i = 0; i < mr; i++) {
        out[i] = (char *)t->out[i >= half] + (i < half ? i : i - half) * t->out_step;
        if (!t->total) continue;
        const REAL *before = (const REAL *)t->total[i >= half] + (i < half ? i : i - half) * nr * LANES;
        for (int j = 0; j < nr; j++) kept[i * nr + j] = VLOAD(before + j * LANES);
        total[i] = kept + i * nr;
    }
    int64_t tap = 0;
    do {
        part.taps = t->taps - tap < TAPS ? t->taps - tap : TAPS;
        for (int64_t p = 0; p < part.taps; p++)
            for (int i = 0; i < mr; i++)
                taps_at[p * mr + i] = (const char *)t->taps_at[2 * (tap + p) + (i >= half)] + (i < half ? i : i - half) * t->step;
        part.panel = (const REAL *)t->panel + tap * t->kc * nr * LANES;
        part.accumulate = t->accumulate || tap;
        tap += part.taps;
        if (tap >= t->taps) {
            part.finish = t->finish;
            part.total = t->total ? total : 0;
        } else part.finish = 0;
        gathered(&part);
    } while (tap < t->taps);
}
#define STRIDED_TILE(t, m, n) NAME(strided_by_pointers)(t, m, n, NAME(gathered_##n##_##m))
#else
#define STRIDED_TILE(t, m, n) NAME(tile)(t, m, n, 0, 1)
#endif

/* There is one function for every (nr, mr): remainders use a tile of their size, not scalar code. Narrow tiles are strided only: gathered tiles
   serve maps that are too small to matter. */
#define INSTANCE(n, m) \
    static void NAME(gathered_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n, 0, 0); } \
    static void NAME(strided_##n##_##m)(const Tile *t) { STRIDED_TILE(t, m, n); } \
    NARROW_INSTANCE(n, m)
#if HAS_HALF
#define NARROW_INSTANCE(n, m) \
    static void NAME(narrow_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n, 1, 1); }
#else
#define NARROW_INSTANCE(n, m)
#endif
EACH_MR(INSTANCE, 1)
EACH_MR(INSTANCE, 2)
#undef INSTANCE
#undef NARROW_INSTANCE
#undef STRIDED_TILE
