/* Few sums for each pixel, each from one pixel only: 1x1 convolutions to few channels, and transposed ones whose kernel is as large as its
   stride. This is the product of a tall matrix [pixels][cin] and a skinny one [cin][sums]:

       for p in first .. last, i < sums:
           s = 0
           for pieces of k < cin:  a = 0;  for k of the piece:  a = fma(x[p][k], weights[k][i], a);  s = s + a
           out[p / width][i / m][p % width][i % m] = act(s + bias[i % cout]),  m = sums / rows

   The lanes of a vector are pixels. It reads QUARTER channels of LANES pixels, transposes them in registers and uses them for all sums at once;
   nothing but the finished sums of SKINNY_BLOCK vectors passes through memory. Per pixel of 16 channels and 4 sums 7.9 cycles with AVX-512 on
   a Zen 4 (pixel_vectors.h: 18). Two vectors of pixels at a time need half the loads of weights and were 10 to 20% slower; 4 pixels x 4 sums
   in a vector, a channel spread over its pixel's lanes, 12 to 19%.

   Contract: last - first >= LANES; cin >= QUARTER; pieces of all cin, or of a multiple of QUARTER channels; 1 <= sums <= SKINNY_SUMS, a multiple of rows. The last vector of pixels goes back over some
   that are already there, and so does the last quarter of channels: no byte beyond is read. */

#if LANES >= 16 && SPECIAL_FORMS
#define SKINNY_SUMS 12
#elif LANES > 1 && SPECIAL_FORMS
#define SKINNY_SUMS 8
#else
#define SKINNY_SUMS 0
#endif

#if SKINNY_SUMS
#define SKINNY_BLOCK 8 /* vectors */

/* r[c] = channel k + c of LANES pixels */
INLINE void NAME(skinny_load)(const REAL *x, int64_t x_step, V *r) {
    V other[QUARTER];
    UNROLL for (int i = 0; i < QUARTER; i++) r[i] = VLOAD_QUARTERS(x + i * x_step, QUARTER * x_step);
    UNROLL for (int stage = 1; stage < QUARTER; stage *= 2) {
        UNROLL for (int i = 0; i < QUARTER / 2; i++) {
            other[2 * i] = VZIP_QUARTERS_LOW(r[i], r[i + QUARTER / 2]);
            other[2 * i + 1] = VZIP_QUARTERS_HIGH(r[i], r[i + QUARTER / 2]);
        }
        UNROLL for (int i = 0; i < QUARTER; i++) r[i] = other[i];
    }
}

/* n sums of LANES pixels, with bias, to[i*step] */
INLINE void NAME(skinny_vector)(const REAL *x, int64_t x_step, int64_t cin, int64_t piece, const REAL *w, const REAL *bias, REAL *to, int64_t step,
                                const int n) {
    V acc[SKINNY_SUMS], r[QUARTER];
    REAL room[SKINNY_SUMS * LANES], *total = room; /* the pieces so far, hidden as in microkernel.h */
    KEEP(total);
    UNROLL for (int i = 0; i < n; i++) acc[i] = VZERO();
    int64_t k = 0;
    for (int64_t end = piece;; end += piece) { /* LOOP pieces */
        for (; k + QUARTER <= (end < cin ? end : cin); k += QUARTER) {
            NAME(skinny_load)(x + k, x_step, r);
            UNROLL for (int c = 0; c < QUARTER; c++, w += n) {
                UNROLL for (int i = 0; i < n; i++) acc[i] = VFMA(r[c], VSPLAT(w[i]), acc[i]);
            }
        }
        if (end >= cin) break;
        UNROLL for (int i = 0; i < n; i++) {
            VSTORE(total + i * LANES, end > piece ? VADD(VLOAD(total + i * LANES), acc[i]) : acc[i]);
            acc[i] = VZERO();
        }
    }
    if (k < cin) {
        REAL last[QUARTER * LANES];
        NAME(skinny_load)(x + cin - QUARTER, x_step, r);
        UNROLL for (int c = 0; c < QUARTER; c++) VSTORE(last + c * LANES, r[c]);
        for (; k < cin; k++, w += n) {
            const V channel = VLOAD(last + (k - cin + QUARTER) * LANES);
            UNROLL for (int i = 0; i < n; i++) acc[i] = VFMA(channel, VSPLAT(w[i]), acc[i]);
        }
    }
    if (piece < cin) UNROLL for (int i = 0; i < n; i++) acc[i] = VADD(VLOAD(total + i * LANES), acc[i]);
    UNROLL for (int i = 0; i < n; i++) VSTORE(to + i * step, VADD(acc[i], VSPLAT(bias[i])));
}

/* `pixels` of them into acc[sums][SKINNY_BLOCK*LANES], LANES at least */
#define INSTANCE(n) \
    static void NAME(skinny_##n)(const REAL *x, int64_t x_step, int64_t pixels, int64_t cin, int64_t piece, const REAL *w, const REAL *bias, \
                                 REAL *acc) { \
        for (int64_t p = 0; p < pixels; p += LANES) { \
            const int64_t at = pixels - p < LANES ? pixels - LANES : p; \
            NAME(skinny_vector)(x + at * x_step, x_step, cin, piece, w, bias, acc + at, SKINNY_BLOCK * LANES, n); \
        } \
    }
INSTANCE(1) INSTANCE(2) INSTANCE(3) INSTANCE(4) INSTANCE(5) INSTANCE(6) INSTANCE(7) INSTANCE(8)
#if SKINNY_SUMS > 8
INSTANCE(9) INSTANCE(10) INSTANCE(11) INSTANCE(12)
#endif
#undef INSTANCE

static void NAME(tall_skinny)(const TallSkinnyCall *call) {
    static void (*const instances[SKINNY_SUMS])(const REAL *, int64_t, int64_t, int64_t, int64_t, const REAL *, const REAL *, REAL *) = {
        NAME(skinny_1), NAME(skinny_2), NAME(skinny_3), NAME(skinny_4), NAME(skinny_5), NAME(skinny_6), NAME(skinny_7), NAME(skinny_8),
#if SKINNY_SUMS > 8
        NAME(skinny_9), NAME(skinny_10), NAME(skinny_11), NAME(skinny_12),
#endif
    };
#ifdef VPERMUTE
    if (call->together) {
        NAME(few_channels)(call);
        return;
    }
#endif
    enum { BLOCK = SKINNY_BLOCK * LANES };
    const int64_t width = call->width, cin = call->cin, sums = call->sums, m = sums / call->rows;
    REAL room[SKINNY_SUMS * BLOCK + LANES + 64 / sizeof(REAL)], bias[SKINNY_SUMS]; /* `interleave` reads whole vectors */
    REAL *acc = (REAL *)(((uintptr_t)room + 63) & ~(uintptr_t)63);
    for (int64_t i = 0; i < sums; i++) bias[i] = call->end.bias ? ((const REAL *)call->end.bias)[i % call->cout] + 0 : 0; /* no -0 */
    const int dense = call->out_step == call->cout;
    int64_t line = call->first / width, column = call->first % width;
    for (int64_t first = call->first, pixels; first < call->last; first += pixels) {
        pixels = call->last - first < BLOCK ? call->last - first : BLOCK;
        const int64_t back = pixels < LANES ? LANES - pixels : 0; /* this many pixels before `first` are computed again, and not stored */
        instances[sums - 1]((const REAL *)call->x + (first - back) * call->x_step, call->x_step, pixels + back, cin, call->piece,
                            (const REAL *)call->weights, bias, acc);
        for (int64_t i = 0; call->end.act.code && i < sums; i++)
            NAME(end_channel)(&call->end, acc + i * BLOCK + back, pixels, i % call->cout);
        for (int64_t p = 0, count; p < pixels; p += count) { /* up to the end of each line */
            count = pixels - p < width - column ? pixels - p : width - column;
            REAL *out = (REAL *)call->out + line * call->rows * call->out_row + column * (m / call->cout) * call->out_step;
            for (int64_t row = 0; row < call->rows; row++, out += call->out_row)
                for (int64_t i = 0; i < m; i += dense ? m : call->cout) {
                    const REAL *from = acc + (row * m + i) * BLOCK + back + p;
                    if (dense) NAME(interleave)(from, BLOCK, m, count, out);
                    else NAME(interleave_apart)(from, BLOCK, call->cout, count, m / call->cout * call->out_step, out + i / call->cout * call->out_step);
                }
            column += count;
            if (column == width) column = 0, line++;
        }
    }
}
#undef SKINNY_BLOCK
#endif
