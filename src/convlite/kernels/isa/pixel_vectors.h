/* Pixel vectors: for few output channels the lanes of a vector are neighbouring pixels of a row, and weights are broadcast. What a
   pass computes, for n sums (output rows and channels that this input row adds to) over a stretch of pixels:

       for i < n, p < vectors*LANES:
           s = acc[i][p]
           for t < taps: for k < kc:  s = fma(x[shifts[t] + k*x_step + p], weights[tap_weights[t] + k*w_step + i], s)
           acc[i][p] = s

   The tiles below give the same result: every sum adds the same products in the same order. n x v sums, v vectors of pixels and one weight fit
   the registers; v is the largest that does.

   Contract: 1 <= n <= TILE_MR; acc[i] has `vectors` whole vectors, and so has x from each of its taps and channels. */

#if SPECIAL_FORMS
#define PIXEL_REGISTERS (TILE_MR >= 12 ? 31 : TILE_MR >= 6 ? 15 : 8)
#define PIXEL_VECTORS(n) ((PIXEL_REGISTERS - 1) / ((n) + 1) > 8 ? 8 : (PIXEL_REGISTERS - 1) / ((n) + 1))

INLINE void NAME(pixel_tile)(PixelVectorsPass *pass, int64_t at, const int n, const int v) {
    V acc[TILE_MR][8];
    UNROLL for (int i = 0; i < n; i++) {
        const REAL *a = (const REAL *)pass->acc[i] + at;
        UNROLL for (int j = 0; j < v; j++) acc[i][j] = VLOAD(a + j * LANES);
    }
    const char *ahead = (const char *)pass->ahead;
    const int64_t fetch = pass->fetch;
    const int64_t kc = pass->kc, x_step = pass->x_step, w_step = pass->w_step;
    for (int64_t t = 0; t < pass->taps; t++) {
        const REAL *x = (const REAL *)pass->x + pass->shifts[t] + at;
        const REAL *w = (const REAL *)pass->weights + pass->tap_weights[t];
        for (int64_t k = 0; k < kc; k++, x += x_step, w += w_step, ahead += fetch) {
            PREFETCH_L2(ahead);
            V pixels[8];
            UNROLL for (int j = 0; j < v; j++) pixels[j] = VLOAD(x + j * LANES);
            UNROLL for (int i = 0; i < n; i++) {
                const V weight = VSPLAT(w[i]);
                UNROLL for (int j = 0; j < v; j++) acc[i][j] = VFMA(pixels[j], weight, acc[i][j]);
            }
        }
    }
    UNROLL for (int i = 0; i < n; i++) {
        REAL *a = (REAL *)pass->acc[i] + at;
        UNROLL for (int j = 0; j < v; j++) VSTORE(a + j * LANES, acc[i][j]);
    }
    pass->ahead = ahead;
}

/* a stretch is cut into the widest tiles, the last two of nearly equal width; without divisions, as many stretches are short */
#define TILE_OF(n, v) case v: if (v <= PIXEL_VECTORS(n)) NAME(pixel_tile)(pass, at, n, v <= PIXEL_VECTORS(n) ? v : 1); break;
#define INSTANCE(form, n) \
    static void NAME(form##_##n)(PixelVectorsPass *pass) { \
        enum { MOST = PIXEL_VECTORS(n) }; \
        for (int64_t at = 0, rest = pass->vectors, count; rest > 0; rest -= count, at += count * LANES) { \
            count = rest <= MOST ? rest : rest < 2 * MOST ? (rest + 1) / 2 : MOST; \
            switch (count) { \
            TILE_OF(n, 1) TILE_OF(n, 2) TILE_OF(n, 3) TILE_OF(n, 4) TILE_OF(n, 5) TILE_OF(n, 6) TILE_OF(n, 7) TILE_OF(n, 8) \
            } \
        } \
    }
EACH_MR(INSTANCE, pixels)
#undef INSTANCE
#undef TILE_OF
#undef PIXEL_REGISTERS
#undef PIXEL_VECTORS
#endif

/* LANES rows of LANES elements, transposed in place: each stage zips the first half of the rows with the second. */
INLINE void NAME(transpose_block)(V *r) {
    V other[LANES];
    UNROLL for (int stage = 1; stage < LANES; stage *= 2) {
        UNROLL for (int i = 0; i < LANES / 2; i++) {
            other[2 * i] = VZIP_LOW(r[i], r[i + LANES / 2]);
            other[2 * i + 1] = VZIP_HIGH(r[i], r[i + LANES / 2]);
        }
        UNROLL for (int i = 0; i < LANES; i++) r[i] = other[i];
    }
}

/* LANES pixels x n <= LANES channels; where `over`, elements behind a pixel's channels may be read. */
INLINE void NAME(transpose_whole)(const REAL *from, int64_t from_step, int64_t n, int over, REAL *to,
                                                                        int64_t to_step) {
    int64_t k = 0;
#ifdef VPAIR_LOW
    /* Four channels of LANES pixels at a time: quads are loaded from memory into their places (which needs no shuffle), then each quarter is
       transposed as a 4x4 matrix: 40 cycles for 16x16, against 64 with the zips. */
    for (; k + 4 <= n || (over && k < n); k += 4) {
        V r[4], s[4];
        UNROLL for (int i = 0; i < 4; i++) r[i] = VLOAD_QUARTERS(from + i * from_step + k, 4 * from_step);
        s[0] = VZIP_QUARTERS_LOW(r[0], r[1]), s[1] = VZIP_QUARTERS_HIGH(r[0], r[1]);
        s[2] = VZIP_QUARTERS_LOW(r[2], r[3]), s[3] = VZIP_QUARTERS_HIGH(r[2], r[3]);
        VSTORE(to + k * to_step, VPAIR_LOW(s[0], s[2]));
        if (k + 1 < n) VSTORE(to + (k + 1) * to_step, VPAIR_HIGH(s[0], s[2]));
        if (k + 2 < n) VSTORE(to + (k + 2) * to_step, VPAIR_LOW(s[1], s[3]));
        if (k + 3 < n) VSTORE(to + (k + 3) * to_step, VPAIR_HIGH(s[1], s[3]));
    }
#else
    (void)over;
    if (n == LANES) {
        V r[LANES];
        UNROLL for (int i = 0; i < LANES; i++) r[i] = VLOAD(from + i * from_step);
        NAME(transpose_block)(r);
        UNROLL for (int i = 0; i < LANES; i++) VSTORE(to + i * to_step, r[i]);
        return;
    }
#endif
    for (; k < n; k++)
        for (int64_t i = 0; i < LANES; i++) to[k * to_step + i] = from[i * from_step + k];
}

#if SPECIAL_FORMS
/* to[k*to_step + p] = from[p*from_step + k] for p < pixels, k < kc; behind the last pixel come zeros up to a whole vector. */
static void NAME(pixel_transpose)(const void *from_, int64_t from_step, int64_t pixels, int64_t kc, void *to_, int64_t to_step) {
    for (int64_t p = 0; p < pixels; p += LANES) {
        const REAL *from = (const REAL *)from_ + p * from_step;
        REAL *to = (REAL *)to_ + p;
        const int64_t m = pixels - p < LANES ? pixels - p : LANES;
        if (kc == 1 && from_step == 1) {
            VSTORE(to, m == LANES ? VLOAD(from) : NAME(load_some)(from, m));
            continue;
        }
        for (int64_t k = 0; k < kc; k += LANES) {
            const int64_t n = kc - k < LANES ? kc - k : LANES;
            if (m == LANES) { /* quads may reach beyond a pixel's channels where three more pixels follow */
                NAME(transpose_whole)(from + k, from_step, n, p + LANES + 3 < pixels, to + k * to_step, to_step);
            } else if (n <= 3) {
                for (int64_t j = k; j < k + n; j++) {
                    VSTORE(to + j * to_step, VZERO());
                    for (int64_t i = 0; i < m; i++) to[j * to_step + i] = from[i * from_step + j];
                }
            } else {
                V r[LANES];
                UNROLL for (int i = 0; i < LANES; i++)
                    r[i] = i >= m ? VZERO() : n == LANES ? VLOAD(from + i * from_step + k) : NAME(load_some)(from + i * from_step + k, n);
                NAME(transpose_block)(r);
                UNROLL for (int i = 0; i < LANES; i++) if (i < n) VSTORE(to + (k + i) * to_step, r[i]);
            }
        }
    }
}
#endif

/* out[p*pitch + r] = acc[r*acc_step + p] for r < rows, p < pixels <= LANES; rows <= rounded <= LANES, a power of two. Where there is room up to
   the last pixel, `rounded` elements are stored and the next pixel overwrites the elements that are not this pixel's. */
INLINE void NAME(interleave_block)(const REAL *acc, int64_t acc_step, const int rows, const int rounded, const int dense,
                                   int64_t pixels, int64_t pitch, REAL *out) {
    V r[LANES], other[LANES];
    UNROLL for (int i = 0; i < rounded; i++) r[i] = i < rows ? VLOAD(acc + i * acc_step) : VZERO();
    UNROLL for (int stage = 1; stage < rounded; stage *= 2) {
        UNROLL for (int i = 0; i < rounded / 2; i++) {
            other[2 * i] = VZIP_LOW(r[i], r[i + rounded / 2]);
            other[2 * i + 1] = VZIP_HIGH(r[i], r[i + rounded / 2]);
        }
        UNROLL for (int i = 0; i < rounded; i++) r[i] = other[i];
    }
    if (dense) { /* rows, rounded and pitch are equal: no gaps */
        int64_t rest = pixels * rounded;
        UNROLL for (int i = 0; i < rounded; i++, rest -= LANES) {
            if (rest >= LANES) VSTORE(out + i * LANES, r[i]);
            else if (rest > 0) NAME(store_some)(out + i * LANES, r[i], rest);
        }
        return;
    }
    if (rounded == LANES) { /* a vector is a pixel */
        UNROLL for (int i = 0; i < LANES; i++) {
            if (i + 1 < pixels || (i + 1 == pixels && rows == LANES)) VSTORE(out + i * pitch, r[i]);
            else if (i + 1 == pixels) NAME(store_some)(out + i * pitch, r[i], rows);
        }
        return;
    }
    REAL lane[LANES * LANES];
    UNROLL for (int i = 0; i < rounded; i++) VSTORE(lane + i * LANES, r[i]);
    for (int64_t p = 0; p < pixels - 1; p++) memcpy(out + p * pitch, lane + p * rounded, (size_t)rounded * sizeof(REAL));
    memcpy(out + (pixels - 1) * pitch, lane + (pixels - 1) * rounded, (size_t)rows * sizeof(REAL));
}

/* A group of n rows of a line, in vectors of w for each pixel. The most common have their own code, in which n and the pitch are constants. */
#if SPECIAL_FORMS
#define BLOCKS(n, w, dense, pitch) \
    for (int64_t p = 0; p < pixels; p += LANES) \
        NAME(interleave_block)(acc + p, step, n, w <= LANES ? w : 1, dense, pixels - p < LANES ? pixels - p : LANES, pitch, out + p * (pitch))
#define GROUP_OF(n, w) if (w <= LANES && count == n && rows == n) BLOCKS(n, w, n == w, n)
#define GROUP_UP_TO(w) if (w <= LANES && count <= w) BLOCKS((int)count, w, 0, rows)

/* All rows of a line side by side, in groups of LANES. The last group comes first, since it stores too much. */
static void NAME(interleave)(const REAL *acc_, int64_t step, int64_t rows, int64_t pixels, REAL *out_) {
    for (int64_t first = (rows - 1) / LANES * LANES; first >= 0; first -= LANES) {
        const REAL *acc = acc_ + first * step;
        REAL *out = out_ + first;
        const int64_t count = rows - first < LANES ? rows - first : LANES;
        GROUP_OF(1, 1);
        else GROUP_OF(2, 2);
        else GROUP_OF(3, 4);
        else GROUP_OF(4, 4);
        else GROUP_OF(6, 8);
        else GROUP_OF(8, 8);
        else GROUP_OF(16, 16);
        else GROUP_UP_TO(1);
        else GROUP_UP_TO(2);
        else GROUP_UP_TO(4);
        else GROUP_UP_TO(8);
        else GROUP_UP_TO(16);
    }
}
#undef BLOCKS
#undef GROUP_OF
#undef GROUP_UP_TO

/* The same for pixels that are `pitch` apart: what lies between them is not changed. */
static void NAME(interleave_apart)(const REAL *acc, int64_t step, int64_t rows, int64_t pixels, int64_t pitch, REAL *out) {
    REAL block[LANES * LANES];
    for (int64_t first = 0; first < rows; first += LANES) {
        const int64_t count = rows - first < LANES ? rows - first : LANES;
        for (int64_t p = 0; p < pixels; p += LANES) {
            const int64_t n = pixels - p < LANES ? pixels - p : LANES;
            NAME(interleave)(acc + first * step + p, step, count, n, block);
            for (int64_t i = 0; i < n; i++) memcpy(out + (p + i) * pitch + first, block + i * count, (size_t)count * sizeof(REAL));
        }
    }
}

/* A finished output line, act(acc + bias), is stored in its place (see PixelVectorsLine); the sums are set to zero again. */
static void NAME(pixel_line)(const PixelVectorsLine *line) {
    const int64_t step = line->acc_step, cout = line->cout, rows = line->phases * cout;
    REAL *acc = (REAL *)line->acc;
    int64_t most = 0, least = line->counts[0];
    for (int64_t c = 0; c < line->phases; c++) {
        most = line->counts[c] > most ? line->counts[c] : most;
        least = line->counts[c] < least ? line->counts[c] : least;
    }
    for (int64_t r = 0, l = 0, c = 0; r < rows; r++) {
        REAL *a = acc + r * step;
        const V bias = line->end.bias ? VADD(VSPLAT(((const REAL *)line->end.bias)[l]), VZERO()) : VZERO(); /* no -0: see epilogue.h */
        for (int64_t p = 0; p < most; p += LANES) VSTORE(a + p, VADD(VLOAD(a + p), bias));
        NAME(end_channel)(&line->end, a, line->counts[c], l);
        if (++l == cout) l = 0, c++;
    }
    if (line->pixel == cout) NAME(interleave)(acc, step, rows, least, (REAL *)line->out);
    for (int64_t c = 0; c < line->phases; c++) {
        REAL *out = (REAL *)line->out + c * line->pixel;
        if (line->pixel != cout) NAME(interleave_apart)(acc + c * cout * step, step, cout, line->counts[c], rows / cout * line->pixel, out);
        else for (int64_t p = least; p < line->counts[c]; p++) /* a line that ends within its phases */
            for (int64_t l = 0; l < cout; l++) out[p * rows + l] = acc[(c * cout + l) * step + p];
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < most; p += LANES) VSTORE(acc + r * step + p, VZERO());
}
#endif
