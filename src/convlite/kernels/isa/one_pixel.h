/* One pixel times some panels side by side: a piece of its sums. What it computes, for panels p < PIXEL_PANELS and the lanes l of a panel:

       s = 0, then s = fma(taps_at[t][first + k], panel[p][t][k][l], s) for t < taps, for k < kc
       sums[p][l] += s

   The weights of a single pixel are read once, so they decide the time. A tile has two sums, which wait for themselves, and reads one stream, for
   which a core has few lines on the way: 52 GB/s from L3 and 25 from memory. Two panels have 78 and 32, four 77 and 35, six 74 and 35; prefetched,
   one has 52 and 20 to 23, four 74 and 26 to 34 (Zen 3, AVX2, one core, huge pages; 4 KB pages are 0 to 5% slower).

   Contract: each tap has first + kc readable elements; panels are [taps][kc][MAX_NR*LANES]; sums are [PIXEL_PANELS][MAX_NR*LANES]. */
static void NAME(one_pixel)(const PixelCall *r) {
    V acc[PIXEL_PANELS][MAX_NR];
    REAL *sums = (REAL *)r->sums;
    int64_t at = 0;
    UNROLL for (int p = 0; p < PIXEL_PANELS; p++) UNROLL for (int j = 0; j < MAX_NR; j++) acc[p][j] = VZERO();
    for (int64_t t = 0; t < r->taps; t++) {
        const REAL *x = (const REAL *)r->taps_at[t] + r->first;
        for (const REAL *end = x + r->kc; x != end; x++, at += MAX_NR * LANES) {
            const V s = VSPLAT(*x);
            UNROLL for (int p = 0; p < PIXEL_PANELS; p++)
                UNROLL for (int j = 0; j < MAX_NR; j++) acc[p][j] = VFMA(s, VLOAD((const REAL *)r->panel[p] + at + j * LANES), acc[p][j]);
        }
    }
    UNROLL for (int p = 0; p < PIXEL_PANELS; p++)
        UNROLL for (int j = 0; j < MAX_NR; j++, sums += LANES) VSTORE(sums, VADD(VLOAD(sums), acc[p][j]));
}
