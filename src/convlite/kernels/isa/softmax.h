/* out[r][c] = exp(x[r][c] - m) / sum over c of exp(x[r][c] - m), where m is the row's largest element; or x[r][c] - m - log(the sum), with the sum in
   double.

   m may miss a NaN; then its own exponential makes the sum NaN. Element c is added to partial sum c % 16, and these are added pairwise: one order for
   every instruction set. By the formula a row with NaN or +inf, or with nothing but -inf, is NaN. Contract: columns > 0; out may be x.

   Rows of less than 2 * LANES columns are transposed. Longer rows are done a few at a time, which share the operations across lanes. */

enum { NAME(SUMS) = 16, NAME(VECTORS) = 16 / LANES, NAME(WIDES) = 16 / WIDE_LANES };

/* The first n elements, -inf in the lanes beyond; `rest` is LANES zeros, then LANES times -inf. */
static inline V NAME(load_or_rest)(const REAL *p, int64_t n, const REAL *rest) {
    return n >= LANES ? VLOAD(p) : VOR(NAME(load_some)(p, n), VLOAD(rest + LANES - n));
}

/* The logarithms of LANES numbers >= 1, or NaN, in place. */
INLINE void NAME(logarithms)(double *t) {
    for (int i = 0; i < LANES; i++) {
        double n, s, rest;
        NAME(log_parts)(t[i], LOG_BIAS, &n, &s, &rest);
        t[i] = (n * 0.693147180559945309417 + (rest + (s + s))) + (t[i] - t[i]); /* NaN where t is */
    }
}

/* e / total, 0 <= e <= total, by its inverse: two Newton steps. The last one rounds as a division does (Markstein, "Computation of elementary
   functions on the IBM RISC System/6000 processor", 1990), since remainders are exact: RAISED numbers keep them from underflow. A
   division takes eight cycles for eight floats. */
INLINE V NAME(share)(V e, V total, V inverse) {
#if HAS_FMA
    const V minus = VSUB(VZERO(), total), high = VMUL(e, VSPLAT(REAL_BITS == 32 ? (REAL)0x1p64 : (REAL)0x1p200));
    V q = VMUL(high, inverse);
    q = VFMA(VFMA(q, minus, high), inverse, q);
    q = VFMA(VFMA(q, minus, high), inverse, q);
    return VMUL(q, VSPLAT(REAL_BITS == 32 ? (REAL)0x1p-64 : (REAL)0x1p-200));
#else
    (void)inverse;
    return VDIV(e, total);
#endif
}

/* The sum of n <= 32 vectors: the others are added to the first 16, then halves to halves until one is left; missing vectors are zeros. */
#define ADD_HALVES(sums, n, ADD) \
    for (int k = NAME(SUMS); k < (n); k++) sums[k - NAME(SUMS)] = ADD(sums[k - NAME(SUMS)], sums[k]); \
    for (int gap = NAME(SUMS) / 2; gap; gap /= 2) \
        for (int k = 0; k < gap && k + gap < (n); k++) sums[k] = ADD(sums[k], sums[k + gap]);

INLINE void NAME(softmax_turned)(const REAL *x, REAL *out, int64_t rows, const int columns, const int logarithm) {
    REAL e[2 * NAME(SUMS) * LANES];
    double total[LANES];
    V y[2 * NAME(SUMS)];
    for (int64_t r = 0; r < rows; r += LANES, x += LANES * columns, out += LANES * columns) {
        const int64_t count = rows - r < LANES ? rows - r : LANES;
        NAME(turn)(x, columns, count, rows - r - count, e);
        V largest = VSPLAT((REAL)-INFINITY);
        for (int k = 0; k < columns; k++) largest = VMAX(largest, VLOAD(e + k * LANES));
        if (logarithm) {
            REAL less[2 * NAME(SUMS) * LANES];
            for (int k = 0; k < columns; k++) {
                const V far = VSUB(VLOAD(e + k * LANES), largest);
                VSTORE(less + k * LANES, far);
                VSTORE(e + k * LANES, NAME(exp)(far));
            }
            for (int i = 0; i < LANES / WIDE_LANES; i++) {
                WIDE w[2 * NAME(SUMS)];
                for (int k = 0; k < columns; k++) w[k] = WIDEN(e + k * LANES + i * WIDE_LANES);
                ADD_HALVES(w, columns, WIDE_ADD)
                WIDE_STORE(total + i * WIDE_LANES, w[0]);
            }
            NAME(logarithms)(total);
            for (int i = 0; i < LANES; i++) e[i] = (REAL)total[i];
            const V moved = VLOAD(e);
            for (int k = 0; k < columns; k++) VSTORE(e + k * LANES, VSUB(VLOAD(less + k * LANES), moved));
        } else {
            for (int k = 0; k < columns; k++) {
                y[k] = NAME(exp)(VSUB(VLOAD(e + k * LANES), largest));
                VSTORE(e + k * LANES, y[k]);
            }
            ADD_HALVES(y, columns, VADD)
            const V sum = y[0], inverse = VDIV(VSPLAT((REAL)1), sum);
            for (int k = 0; k < columns; k++) VSTORE(e + k * LANES, NAME(share)(VLOAD(e + k * LANES), sum, inverse));
        }
        NAME(turn_back)(e, columns, count, out);
    }
}

/* Reduce LANES vectors to one: lane i is the reduction of vector i by op, halves first. */
#if LANES > 1
#define ACROSS(r, OP) \
    do { \
        NAME(transpose_block)(r); \
        UNROLL for (int gap = LANES / 2; gap; gap /= 2) UNROLL for (int i = 0; i < gap; i++) r[i] = OP(r[i], r[i + gap]); \
    } while (0)
#else
#define ACROSS(r, OP) ((void)(r))
#endif

/* The largest elements of count <= LANES rows. */
INLINE void NAME(row_maxima)(const REAL *x, int64_t count, int64_t columns, const REAL *rest, REAL *maxima) {
    V r[LANES];
    for (int64_t i = 0; i < LANES; i++) r[i] = VSPLAT((REAL)-INFINITY);
    for (int64_t i = 0; i < count; i++, x += columns) {
        V largest = r[i];
        for (int64_t c = 0; c < columns; c += LANES) largest = VMAX(largest, NAME(load_or_rest)(x + c, columns - c, rest));
        r[i] = largest;
    }
    ACROSS(r, VMAX);
    VSTORE(maxima, r[0]);
}

INLINE void NAME(softmax_long)(const REAL *x, REAL *out, int64_t count, int64_t columns, const REAL *rest, const REAL *mask) {
    REAL maxima[LANES], total[LANES], inverse[LANES];
    V r[LANES];
    NAME(row_maxima)(x, count, columns, rest, maxima);
    for (int64_t i = 0; i < LANES; i++) r[i] = VZERO();
    for (int64_t i = 0; i < count; i++) {
        const REAL *row = x + i * columns;
        REAL *to = out + i * columns;
        const V largest = VSPLAT(maxima[i]);
        V partial[NAME(VECTORS)];
        for (int j = 0; j < NAME(VECTORS); j++) partial[j] = VZERO();
        for (int64_t c = 0; c < columns; c += NAME(SUMS)) {
            UNROLL for (int j = 0; j < NAME(VECTORS); j++) {
                const int64_t at = c + j * LANES, left = columns - at;
                if (left <= 0) break;
                if (left >= LANES) {
                    const V e = NAME(exp)(VSUB(VLOAD(row + at), largest));
                    partial[j] = VADD(partial[j], e);
                    VSTORE(to + at, e);
                } else { /* exp(0) in the lanes beyond, then nothing: exp(-inf) would underflow, which costs 150 cycles */
                    const V valid = VLOAD(mask + LANES - left);
                    const V e = VAND(NAME(exp)(VAND(VSUB(NAME(load_some)(row + at, left), largest), valid)), valid);
                    partial[j] = VADD(partial[j], e);
                    NAME(store_some)(to + at, e, left);
                }
            }
        }
        UNROLL for (int gap = NAME(VECTORS) / 2; gap; gap /= 2)
            UNROLL for (int j = 0; j < gap; j++) partial[j] = VADD(partial[j], partial[j + gap]);
        r[i] = partial[0];
    }
    ACROSS(r, VADD);
    VSTORE(total, r[0]);
    VSTORE(inverse, VDIV(VSPLAT((REAL)1), r[0]));
    for (int64_t i = 0; i < count; i++, out += columns) {
        const V sum = VSPLAT(total[i]), by = VSPLAT(inverse[i]);
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) VSTORE(out + c, NAME(share)(VLOAD(out + c), sum, by));
        if (c < columns) NAME(store_some)(out + c, NAME(share)(NAME(load_some)(out + c, columns - c), sum, by), columns - c);
    }
}

INLINE void NAME(log_softmax_long)(const REAL *x, REAL *out, int64_t count, int64_t columns, const REAL *rest, const REAL *mask) {
    REAL maxima[LANES], lane[NAME(SUMS)];
    double total[LANES];
    NAME(row_maxima)(x, count, columns, rest, maxima);
    for (int64_t i = 0; i < LANES; i++) total[i] = 1;
    for (int64_t i = 0; i < count; i++) {
        const REAL *row = x + i * columns;
        const V largest = VSPLAT(maxima[i]);
        WIDE partial[NAME(WIDES)];
        double sums[NAME(SUMS)];
        for (int j = 0; j < NAME(WIDES); j++) partial[j] = WIDE_ZERO();
        for (int64_t c = 0; c < columns; c += NAME(SUMS)) {
            UNROLL for (int j = 0; j < NAME(VECTORS); j++) {
                const int64_t at = c + j * LANES, left = columns - at;
                V e = VZERO();
                if (left >= LANES) e = NAME(exp)(VSUB(VLOAD(row + at), largest));
                else if (left > 0) {
                    const V valid = VLOAD(mask + LANES - left);
                    e = VAND(NAME(exp)(VAND(VSUB(NAME(load_some)(row + at, left), largest), valid)), valid);
                }
                VSTORE(lane + j * LANES, e);
            }
            UNROLL for (int j = 0; j < NAME(WIDES); j++) partial[j] = WIDE_ADD(partial[j], WIDEN(lane + j * WIDE_LANES));
        }
        UNROLL for (int gap = NAME(WIDES) / 2; gap; gap /= 2)
            UNROLL for (int j = 0; j < gap; j++) partial[j] = WIDE_ADD(partial[j], partial[j + gap]);
        WIDE_STORE(sums, partial[0]);
        UNROLL for (int gap = WIDE_LANES / 2; gap; gap /= 2)
            UNROLL for (int j = 0; j < gap; j++) sums[j] += sums[j + gap];
        total[i] = sums[0];
    }
    NAME(logarithms)(total);
    for (int64_t i = 0; i < count; i++, x += columns, out += columns) {
        const V largest = VSPLAT(maxima[i]), moved = VSPLAT((REAL)total[i]);
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) VSTORE(out + c, VSUB(VSUB(VLOAD(x + c), largest), moved));
        if (c < columns)
            NAME(store_some)(out + c, VSUB(VSUB(NAME(load_some)(x + c, columns - c), largest), moved), columns - c);
    }
}

static void NAME(softmax)(const void *x_, void *out_, int64_t rows, int64_t columns, int logarithm) {
    const REAL *x = (const REAL *)x_;
    REAL *out = (REAL *)out_;
    if (columns == 1) { /* NaN and Inf give NaN */
        for (int64_t r = 0; r < rows; r++) out[r] = (x[r] - x[r]) + (REAL)!logarithm;
        return;
    }
    if (SPECIAL_FORMS && columns < 2 * LANES && LANES > 1) { /* for doubles the gain is too small for its code */
        if (logarithm) NAME(softmax_turned)(x, out, rows, (int)columns, 1);
        else if (columns == 2 && LANES > 4) NAME(softmax_turned)(x, out, rows, 2, 0); /* its own code, for two and three: half the time */
        else if (columns == 3 && LANES > 4) NAME(softmax_turned)(x, out, rows, 3, 0);
        else NAME(softmax_turned)(x, out, rows, (int)columns, 0);
        return;
    }
    REAL rest[2 * LANES] = {0}, mask[2 * LANES] = {0};
    for (int i = 0; i < LANES; i++) {
        rest[LANES + i] = (REAL)-INFINITY;
        memset(mask + i, 0xff, sizeof(REAL));
    }
    const int64_t fit = 16384 / (int64_t)sizeof(REAL) / columns, step = fit > LANES ? LANES : fit < 1 ? 1 : fit; /* in L1 */
    for (int64_t r = 0; r < rows; r += step) {
        const int64_t count = rows - r < step ? rows - r : step;
        if (logarithm) NAME(log_softmax_long)(x + r * columns, out + r * columns, count, columns, rest, mask);
        else NAME(softmax_long)(x + r * columns, out + r * columns, count, columns, rest, mask);
    }
}

#undef ADD_HALVES
#undef ACROSS
