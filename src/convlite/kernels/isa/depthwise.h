/* Depthwise tile: every channel has filters of its own, so vectors run along channels. What it computes:

       for i < mr, c < channels, m < multiplier:
           s = accumulate ? out[i][c*multiplier + m] : 0
           for t < taps:  s = fma(rows[t][i][c], weights[m][t][c], s)
           out[i][c*multiplier + m] = finish ? act(s + bias[c*multiplier + m]) : s

   The loops below equal it: one sum per (i, c, m), its taps in the same order; LANES channels go side by side.

   Contract: 1 <= mr <= MAX_DEPTHWISE_MR; rows[t][i] has `channels` readable elements, nothing beyond is touched; weights, bias and
   alpha are as long as said, unpadded. */

/* n <= LANES elements, `step` apart */
static inline V NAME(load_apart)(const REAL *p, int64_t step, int64_t n) {
    if (step == 1) return n == LANES ? VLOAD(p) : NAME(load_some)(p, n);
    REAL lane[LANES] = {0};
    for (int64_t l = 0; l < n; l++) lane[l] = p[l * step];
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
    for (int64_t l = 0; l < n; l++) p[l * step] = lane[l];
}

INLINE void NAME(depthwise_tile)(const DepthwiseTile *d, const int mr) {
    const int64_t channels = d->channels, step = d->multiplier;
    const int clip = d->finish && d->act.code == ACT_CLIP;
    const V low = VSPLAT((REAL)d->act.a), high = VSPLAT((REAL)d->act.b);
    for (int64_t m = 0; m < step; m++) {
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t n = channels - c < LANES ? channels - c : LANES;
            const REAL *w = (const REAL *)d->weights + m * d->weights_step + c;
            const void *const *rows = d->rows;
            V acc[MAX_DEPTHWISE_MR];
            for (int i = 0; i < mr; i++) {
                acc[i] = d->accumulate ? NAME(load_apart)((const REAL *)d->out[i] + c * step + m, step, n) : VZERO();
            }
            if (n == LANES) {
                for (int64_t t = 0; t < d->taps; t++, rows += mr, w += channels) {
                    const V weight = VLOAD(w); // clang-format off: it takes UNROLL for part of a declaration
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(VLOAD((const REAL *)rows[i] + c), weight, acc[i]); // clang-format on
                }
            } else {
                for (int64_t t = 0; t < d->taps; t++, rows += mr, w += channels) {
                    const V weight = NAME(load_some)(w, n);
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(NAME(load_some)((const REAL *)rows[i] + c, n), weight, acc[i]);
                }
            }
            if (d->finish) UNROLL for (int i = 0; i < mr; i++) acc[i] = VADD(acc[i], VZERO()); /* no -0: see microkernel.h */
            if (d->finish && d->bias) {
                const V bias = NAME(load_apart)((const REAL *)d->bias + c * step + m, step, n);
                UNROLL for (int i = 0; i < mr; i++) acc[i] = VADD(acc[i], bias);
            }
            if (clip) UNROLL for (int i = 0; i < mr; i++) acc[i] = VMIN(high, VMAX(low, acc[i]));
            UNROLL for (int i = 0; i < mr; i++) NAME(store_apart)((REAL *)d->out[i] + c * step + m, acc[i], step, n);
        }
    }
    if (d->finish && d->act.code > ACT_CLIP) /* read back from L1, as in microkernel.h */
        for (int i = 0; i < mr; i++) NAME(activate)(d->out[i], d->out[i], 1, channels * step, d->alpha, d->act);
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

/* Depthwise along a line. What it computes, for c < channels and i < pixels:

       s = 0
       for a < taps: for b < kw:  s = fma(columns[a][i*stride + b][c], weights[a][b][c], s)
       out[i][c] = act(s + bias[c])

   The loops below go through a row's input columns once and give each to the outputs that it reaches: for one output those are its b in
   ascending order. A column is thus loaded once instead of up to kw times, which is what limits the tile above.
   Prefetching the next tile's columns cost 3 to 25%: the hardware follows the lines by itself.

   Contract: all (LINE_MR - 1)*stride + kw columns are readable (those of outputs beyond `pixels` may be zeros). */
INLINE void NAME(line)(const DepthwiseLine *d, const int stride, const int kw) {
    const int64_t channels = d->channels;
    const int clip = d->act.code == ACT_CLIP, columns = (LINE_MR - 1) * stride + kw;
    const V low = VSPLAT((REAL)d->act.a), high = VSPLAT((REAL)d->act.b);
    for (int64_t c = 0; c < channels; c += LANES) {
        const int64_t n = channels - c < LANES ? channels - c : LANES;
        const REAL *w = (const REAL *)d->weights + c;
        const void *const *at = d->columns;
        V acc[LINE_MR];
        UNROLL for (int i = 0; i < LINE_MR; i++) acc[i] = VZERO();
        if (n == LANES) {
            for (int64_t a = 0; a < d->taps; a++, at += columns, w += kw * channels) {
                V weight[5];
                UNROLL for (int b = 0; b < kw; b++) weight[b] = VLOAD(w + b * channels);
                UNROLL for (int j = 0; j < columns; j++) {
                    const V x = VLOAD((const REAL *)at[j] + c);
                    UNROLL for (int i = 0; i < LINE_MR; i++) {
                        const int b = j - i * stride;
                        if (b >= 0 && b < kw) acc[i] = VFMA(x, weight[b], acc[i]);
                    }
                }
            }
        } else {
            for (int64_t a = 0; a < d->taps; a++, at += columns, w += kw * channels) {
                V weight[5];
                UNROLL for (int b = 0; b < kw; b++) weight[b] = NAME(load_some)(w + b * channels, n);
                UNROLL for (int j = 0; j < columns; j++) {
                    const V x = NAME(load_some)((const REAL *)at[j] + c, n);
                    UNROLL for (int i = 0; i < LINE_MR; i++) {
                        const int b = j - i * stride;
                        if (b >= 0 && b < kw) acc[i] = VFMA(x, weight[b], acc[i]);
                    }
                }
            }
        }
        UNROLL for (int i = 0; i < LINE_MR; i++) acc[i] = VADD(acc[i], VZERO());
        if (d->bias) {
            const V bias = NAME(load_apart)((const REAL *)d->bias + c, 1, n);
            UNROLL for (int i = 0; i < LINE_MR; i++) acc[i] = VADD(acc[i], bias);
        }
        if (clip) UNROLL for (int i = 0; i < LINE_MR; i++) acc[i] = VMIN(high, VMAX(low, acc[i]));
        char *out = (char *)d->out + c * (int64_t)sizeof(REAL);
        UNROLL for (int i = 0; i < LINE_MR; i++)
            if (i < d->pixels) NAME(store_apart)((REAL *)(out + i * d->out_step), acc[i], 1, n);
    }
    if (d->act.code > ACT_CLIP)
        for (int64_t i = 0; i < d->pixels; i++) {
            char *out = (char *)d->out + i * d->out_step;
            NAME(activate)(out, out, 1, channels, d->alpha, d->act);
        }
}

static void NAME(line_1_3)(const DepthwiseLine *d) { NAME(line)(d, 1, 3); }
static void NAME(line_2_3)(const DepthwiseLine *d) { NAME(line)(d, 2, 3); }
static void NAME(line_1_5)(const DepthwiseLine *d) { NAME(line)(d, 1, 5); }
static void NAME(line_2_5)(const DepthwiseLine *d) { NAME(line)(d, 2, 5); }
