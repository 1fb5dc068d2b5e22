/* Depthwise tile: every channel has filters of its own, so vectors run along channels. What it computes:

       for i < mr, c < channels, m < multiplier:
           s = accumulate ? out[i][c*multiplier + m] : 0
           for t < taps:  s = fma(taps_at[t][i][c], weights[m][t][c], s)
           if total:  s = total[i][c*multiplier + m] + s        the sum of the pieces before this one: see depthwise_in_pieces
           out[i][c*multiplier + m] = finish ? last(act(s + bias[c*multiplier + m]) + residual) : s

   The loops below give the same result: one sum per (i, c, m), its taps in the same order, LANES channels at a time.

   Contract: 1 <= mr <= MAX_DEPTHWISE_MR; taps_at[t][i] has `channels` readable elements, nothing beyond is touched; weights, bias and
   alpha are as long as said, unpadded. */

/* A tile along lines has LINE_ROWS x LINE_PIXELS outputs. With 32 registers: 14 sums, two rows of 5 weights and an input. With 16, two rows of
   4 and of 5 pixels were 6 and 14% slower than one of 7 (AVX2 on Zen 4, geomean of 9 shapes; 384 channels of 14x14 was faster with 4). */
#undef LINE_ROWS
#define LINE_ROWS (TILE_MR >= 12 ? 2 : 1)

/* n <= LANES elements, which are `step` apart */
static inline V NAME(load_apart)(const REAL *p, int64_t step, int64_t n) {
    if (step == 1) return n == LANES ? VLOAD(p) : NAME(load_some)(p, n);
    REAL lane[LANES] = {0};
    ROLLED for (int64_t l = 0; l < n; l++) lane[l] = p[l * step];
    return VLOAD(lane);
}

static inline void NAME(store_apart)(REAL *p, V v, int64_t step, int64_t n) {
    if (step == 1) {
        if (n == LANES) VSTORE(p, v);
        else NAME(store_some)(p, v, n);
        return;
    }
    REAL lane[LANES];
    VSTORE(lane, v);
    ROLLED for (int64_t l = 0; l < n; l++) p[l * step] = lane[l];
}

INLINE void NAME(depthwise_tile)(const DepthwiseTile *d, const int mr) {
    const int64_t channels = d->channels, step = d->multiplier;
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    for (int64_t m = 0; m < step; m++) {
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t n = channels - c < LANES ? channels - c : LANES;
            const REAL *w = (const REAL *)d->weights + m * d->weights_step + c;
            const void *const *taps_at = d->taps_at;
            V acc[MAX_DEPTHWISE_MR];
            for (int i = 0; i < mr; i++) {
                acc[i] = d->accumulate ? NAME(load_apart)((const REAL *)d->out[i] + c * step + m, step, n) : VZERO();
            }
            if (n == LANES) {
                for (int64_t t = 0; t < d->taps; t++, taps_at += mr, w += channels) {
                    const V weight = VLOAD(w); // clang-format off: it takes UNROLL for part of a declaration
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(VLOAD((const REAL *)taps_at[i] + c), weight, acc[i]); // clang-format on
                }
            } else {
                for (int64_t t = 0; t < d->taps; t++, taps_at += mr, w += channels) {
                    const V weight = NAME(load_some)(w, n);
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(NAME(load_some)((const REAL *)taps_at[i] + c, n), weight, acc[i]);
                }
            }
            for (int i = 0; d->total && i < mr; i++) acc[i] = VADD(NAME(load_apart)((const REAL *)d->total[i] + c * step + m, step, n), acc[i]);
            if (d->finish) {
                const REAL *bias = (const REAL *)d->end.bias + (d->end.bias ? c * step + m : 0);
                NAME(end_sums)(acc, mr, 1, d->end.bias ? VADD(NAME(load_apart)(bias, step, n), VZERO()) : VZERO(), &clip);
            }
            UNROLL for (int i = 0; i < mr; i++) NAME(store_apart)((REAL *)d->out[i] + c * step + m, acc[i], step, n);
        }
    }
    if (d->finish && NAME(ends_later)(&d->end)) for (int i = 0; i < mr; i++) NAME(end_rows)(&d->end, d->out[i], 0, 1, channels * step);
}

static void NAME(depthwise)(const DepthwiseTile *d, int mr) {
    switch (mr) {
    case 1: NAME(depthwise_tile)(d, 1); break;
    case 2: NAME(depthwise_tile)(d, 2); break;
    case 3: NAME(depthwise_tile)(d, 3); break;
    case 4: NAME(depthwise_tile)(d, 4); break;
    case 5: NAME(depthwise_tile)(d, 5); break;
    default: NAME(depthwise_tile)(d, 6); break;
    }
}

#if SPECIAL_FORMS
/* Depthwise along lines. What it computes, for c < channels, output rows o < LINE_ROWS and pixels i < pixels:

       s = 0
       for r < rows, where rows[r].weights[o]: for b < kw, where first <= i*stride + b < last:
           s = fma(rows[r].x[(i*stride + b)*step + c], rows[r].weights[o][b][c], s)
       out[o][i][c] = last(act(s + bias[c]) + residual[o][i][c])

   The loops below visit the columns of each input row once, and add each to all outputs that it reaches: one output gets its taps
   in ascending order. So with a 3x3 kernel and stride 1 an element is loaded twice, not nine times. At the edges columns outside the image
   are left out: a sum is the same with a product of zero (and an infinite weight must not meet a zero).

   With 16 registers the compiler keeps the distances of all columns on the stack, and loads a column again for each product: 3x3/2 on 32 to 144
   channels was 5 to 13% slower than one address that walks along the columns (an EPYC, Zen 3, AVX2). With stride 1 and with 5 columns, where a
   column meets three sums or more, its order of products won 4 to 35%.

   Contract: columns first <= j < last of each row are readable; head <= LANES, head <= channels. */
INLINE void NAME(line_row)(V (*acc)[LINE_PIXELS], const DepthwiseLine *d, const DepthwiseRow *row, int64_t c, int64_t n, const int stride,
                           const int kw, const int pixels, const int upper, const int lower, const int edge, const int some) {
    const char *x = (const char *)row->x + d->offset + c * (int64_t)sizeof(REAL);
    const int64_t step = d->step, channels = d->weights_step;
    const int walks = LINE_ROWS == 1 && stride == kw - 1 && !some;
    V up[5], low[5];
    UNROLL for (int b = 0; b < kw; b++) {
        if (upper) {
            const REAL *w = (const REAL *)row->weights[0] + c + b * channels;
            up[b] = some ? NAME(load_some)(w, n) : VLOAD(w);
        }
        if (lower) {
            const REAL *w = (const REAL *)row->weights[1] + c + b * channels;
            low[b] = some ? NAME(load_some)(w, n) : VLOAD(w);
        }
    }
    UNROLL for (int j = 0; j < (pixels - 1) * stride + kw; j++) {
        if (!edge || (j >= d->first && j < d->last)) {
            const REAL *p = (const REAL *)(x + (walks ? 0 : j * step));
            const V v = some ? NAME(load_some)(p, n) : VLOAD(p);
            UNROLL for (int i = 0; i < pixels; i++) {
                const int b = j - i * stride;
                if (b >= 0 && b < kw) {
                    if (walks) FMA_TO(acc[0][i], v, up[b]);
                    else if (upper) acc[0][i] = VFMA(v, up[b], acc[0][i]);
                    if (lower) acc[1][i] = VFMA(v, low[b], acc[1][i]);
                }
            }
        }
        if (walks) {
            x += step;
            KEEP(x);
        }
    }
}

/* n <= LANES channels from c on */
INLINE void NAME(line_vector)(const DepthwiseLine *d, int64_t c, int64_t n, const int stride, const int kw, const int pixels,
                              const int edge, const int some) {
    V acc[LINE_ROWS][LINE_PIXELS];
    UNROLL for (int i = 0; i < pixels; i++) for (int o = 0; o < LINE_ROWS; o++) acc[o][i] = VZERO();
    const DepthwiseRow *end = d->rows + d->count;
    for (const DepthwiseRow *row = d->rows; row < end; row++) {
        if (LINE_ROWS == 1 || !row->weights[1]) NAME(line_row)(acc, d, row, c, n, stride, kw, pixels, 1, 0, edge, some);
        else if (!row->weights[0]) NAME(line_row)(acc, d, row, c, n, stride, kw, pixels, 0, LINE_ROWS - 1, edge, some);
        else NAME(line_row)(acc, d, row, c, n, stride, kw, pixels, 1, LINE_ROWS - 1, edge, some);
    }
    const V bias = NAME(bias_at)(&d->end, c, some ? n : LANES);
    const NAME(Clip) clip = NAME(clip_of)(&d->end);
    UNROLL for (int o = 0; o < LINE_ROWS; o++) {
        char *out = (char *)d->out[o] + c * (int64_t)sizeof(REAL);
        if (o < d->lines) {
            NAME(end_sums)(acc[o], pixels, 1, bias, &clip);
            UNROLL for (int i = 0; i < pixels; i++) {
                if (!edge || i < d->pixels) {
                    if (some) NAME(store_some)((REAL *)(out + i * d->out_step), acc[o][i], n);
                    else VSTORE((REAL *)(out + i * d->out_step), acc[o][i]);
                }
            }
        }
    }
}

INLINE void NAME(line)(const DepthwiseLine *d, const int stride, const int kw, const int pixels,
                       void (*incomplete)(const DepthwiseLine *, int64_t, int64_t)) {
    const int64_t whole = d->channels - (d->channels - d->head) % LANES;
    if (d->pixels == pixels && d->first <= 0 && d->last >= (pixels - 1) * stride + kw)
        for (int64_t c = d->head; c < whole; c += LANES) NAME(line_vector)(d, c, LANES, stride, kw, pixels, 0, 0);
    else
        for (int64_t c = d->head; c < whole; c += LANES) NAME(line_vector)(d, c, LANES, stride, kw, pixels, 1, 0);
    if (d->head) incomplete(d, 0, d->head);
    if (whole < d->channels) incomplete(d, whole, d->channels - whole);
    if (NAME(ends_later)(&d->end)) for (int o = 0; o < d->lines; o++) NAME(end_rows)(&d->end, d->out[o], d->out_step, d->pixels, d->channels);
}

/* Incomplete vectors, at the beginning and the end, have a function of their own, since their code is long. */
#define INSTANCE(stride, kw) \
    NOINLINE void NAME(line_some_##stride##_##kw)(const DepthwiseLine *d, int64_t c, int64_t n) { \
        NAME(line_vector)(d, c, n, stride, kw, LINE_PIXELS, 1, 1); \
    } \
    static void NAME(line_##stride##_##kw)(const DepthwiseLine *d) { NAME(line)(d, stride, kw, LINE_PIXELS, NAME(line_some_##stride##_##kw)); }
INSTANCE(1, 3) INSTANCE(2, 3) INSTANCE(1, 5) INSTANCE(2, 5)
#undef INSTANCE
#endif
