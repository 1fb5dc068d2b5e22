/* The innermost tile: mr pixels x nr vectors of output channels, over every tap and channel. What it computes:

       for i < mr, l < lanes:
           s = accumulate ? out[i][l] : 0
           for t < taps: for k < kc:  s = fma(rows[t][i][k], panel[t][k][l], s)
           out[i][l] = finish ? act(s + bias[l]) : s

   The tile below equals it because every (i, l) keeps one sum that meets the same products in the same order; only
   independent sums are interleaved. mr and nr are compile-time constants of each instance, so `acc` lives in registers.

   Contract: 1 <= mr <= TILE_MR, 1 <= nr <= 2, (nr-1)*LANES < lanes <= nr*LANES; rows[t][i] has kc readable elements;
   out[i] + out_offset has `lanes` writeable ones; bias and alpha, where given, have nr*LANES readable ones. */

static inline __attribute__((always_inline)) void NAME(tile)(const Tile *t, const int mr, const int nr) {
    V acc[TILE_MR][MAX_NR];
    const int64_t full = t->lanes / LANES, rest = t->lanes % LANES;
    if (t->accumulate) {
        UNROLL for (int i = 0; i < mr; i++) {
            const REAL *o = (const REAL *)t->out[i] + t->out_offset;
            UNROLL for (int j = 0; j < nr; j++) acc[i][j] = j < full ? VLOAD(o + j * LANES) : NAME(load_some)(o + j * LANES, rest);
        }
    } else {
        UNROLL for (int i = 0; i < mr; i++) UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VZERO();
    }

    const REAL *b = (const REAL *)t->panel;
    const void *const *rows = t->rows;
    const int64_t kc = t->kc;
    for (int64_t tap = 0; tap < t->taps; tap++, rows += mr) {
        const REAL *a[TILE_MR];
        UNROLL for (int i = 0; i < mr; i++) a[i] = (const REAL *)rows[i];
        int64_t k = 0;
        for (; k + 4 <= kc; k += 4, b += 4 * nr * LANES) {
            UNROLL for (int u = 0; u < 4; u++) {
                V w[MAX_NR];
                UNROLL for (int j = 0; j < nr; j++) w[j] = VLOAD(b + (u * nr + j) * LANES);
                UNROLL for (int i = 0; i < mr; i++) {
                    const V s = VSPLAT(a[i][k + u]);
                    UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VFMA(s, w[j], acc[i][j]);
                }
            }
        }
        for (; k < kc; k++, b += nr * LANES) {
            V w[MAX_NR];
            UNROLL for (int j = 0; j < nr; j++) w[j] = VLOAD(b + j * LANES);
            UNROLL for (int i = 0; i < mr; i++) {
                const V s = VSPLAT(a[i][k]);
                UNROLL for (int j = 0; j < nr; j++) acc[i][j] = VFMA(s, w[j], acc[i][j]);
            }
        }
    }

    const int clip = t->finish && t->act.code == ACT_CLIP, beyond = t->finish && t->act.code > ACT_CLIP;
    const V low = VSPLAT((REAL)t->act.a), high = VSPLAT((REAL)t->act.b);
    UNROLL for (int j = 0; j < nr; j++) {
        if (t->finish && t->bias) {
            const V bias = VLOAD((const REAL *)t->bias + j * LANES);
            UNROLL for (int i = 0; i < mr; i++) acc[i][j] = VADD(acc[i][j], bias);
        }
        if (clip) UNROLL for (int i = 0; i < mr; i++) acc[i][j] = VMIN(high, VMAX(low, acc[i][j]));
    }
    UNROLL for (int i = 0; i < mr; i++) {
        REAL *o = (REAL *)t->out[i] + t->out_offset;
        UNROLL for (int j = 0; j < nr; j++) {
            if (j < full) VSTORE(o + j * LANES, acc[i][j]);
            else NAME(store_some)(o + j * LANES, acc[i][j], rest);
        }
    }
    /* other activations read back what was just stored (still in L1): inlined they tripled the code and gained nothing */
    if (beyond) for (int i = 0; i < mr; i++) {
        REAL *o = (REAL *)t->out[i] + t->out_offset;
        NAME(activate)(o, o, 1, t->lanes, t->alpha, t->act);
    }
}

/* One function for every (nr, mr): remainders run the tile that fits, never a scalar edge. */
#define INSTANCE(n, m) static void NAME(tile_##n##_##m)(const Tile *t) { NAME(tile)(t, m, n); }
INSTANCE(1, 1) INSTANCE(1, 2) INSTANCE(1, 3) INSTANCE(1, 4)
INSTANCE(2, 1) INSTANCE(2, 2) INSTANCE(2, 3) INSTANCE(2, 4)
#if TILE_MR >= 6
INSTANCE(1, 5) INSTANCE(1, 6) INSTANCE(2, 5) INSTANCE(2, 6)
#endif
#if TILE_MR >= 12
INSTANCE(1, 7) INSTANCE(1, 8) INSTANCE(1, 9) INSTANCE(1, 10) INSTANCE(1, 11) INSTANCE(1, 12)
INSTANCE(2, 7) INSTANCE(2, 8) INSTANCE(2, 9) INSTANCE(2, 10) INSTANCE(2, 11) INSTANCE(2, 12)
#endif
#if TILE_MR >= 14
INSTANCE(1, 13) INSTANCE(1, 14) INSTANCE(2, 13) INSTANCE(2, 14)
#endif
#undef INSTANCE
