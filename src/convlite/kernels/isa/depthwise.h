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

static inline __attribute__((always_inline)) void NAME(depthwise_tile)(const DepthwiseTile *d, const int mr) {
    const int64_t channels = d->channels, step = d->multiplier;
    const int clip = d->finish && d->act.code == ACT_CLIP;
    const V low = VSPLAT((REAL)d->act.a), high = VSPLAT((REAL)d->act.b);
    for (int64_t m = 0; m < step; m++) {
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t n = channels - c < LANES ? channels - c : LANES;
            const REAL *w = (const REAL *)d->weights + m * d->weights_step + c;
            const void *const *rows = d->rows;
            V acc[MAX_DEPTHWISE_MR];
            UNROLL for (int i = 0; i < mr; i++)
                acc[i] = d->accumulate ? NAME(load_apart)((const REAL *)d->out[i] + c * step + m, step, n) : VZERO();
            if (n == LANES) {
                for (int64_t t = 0; t < d->taps; t++, rows += mr, w += channels) {
                    const V weight = VLOAD(w);
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(VLOAD((const REAL *)rows[i] + c), weight, acc[i]);
                }
            } else {
                for (int64_t t = 0; t < d->taps; t++, rows += mr, w += channels) {
                    const V weight = NAME(load_some)(w, n);
                    UNROLL for (int i = 0; i < mr; i++) acc[i] = VFMA(NAME(load_some)((const REAL *)rows[i] + c, n), weight, acc[i]);
                }
            }
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
