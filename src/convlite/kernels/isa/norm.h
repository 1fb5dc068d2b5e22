/* Layer norm: each row less its mean, divided by sqrt(variance + epsilon), times scale, plus offset; then the activation.

   Mean and variance are in double, the variance from squared distances in a second pass. Element c is added to partial sum c % 16, and these
   are added pairwise: one order for every instruction set. The mean is subtracted in two parts, so that a large mean loses no digits. Several
   rows at a time hide the latency of the additions; rows of at most LANES columns are transposed (turned.h). Contract: columns > 0; out may be x. */

enum { NAME(PARTS) = 16, NAME(NORM_ROWS) = WIDE_LANES >= 8 ? 4 : WIDE_LANES >= 4 ? 2 : 1 };

/* What is subtracted from the numbers of a row, and what they are multiplied with before and after that. */
typedef struct {
    REAL less, high, low, inverse;
} NAME(Normal);

INLINE NAME(Normal) NAME(normal_of)(double mean, double variance, double epsilon) {
    /* a quarter of everything where 1 / sqrt is subnormal, or a difference may overflow: both only for floats beyond 1e37 */
    const double part = variance > 1e74 && sizeof(REAL) == 4 ? 0.25 : 1;
    const REAL less = (REAL)part, high = (REAL)mean, low = (REAL)(mean - (double)high);
    const NAME(Normal) n = {less, high * less, low * less, (REAL)(1 / sqrt(variance + epsilon) / part)};
    return n;
}

INLINE V NAME(scaled)(V x, V scale, V offset, const LayerNorm *on) {
    if (on->scale && on->offset) return VFMA(x, scale, offset);
    if (on->scale) return VMUL(x, scale);
    return on->offset ? VADD(x, offset) : x;
}

/* Sums of `rows` rows; with `square`, of squared distances from their centres. */
INLINE void NAME(row_sums)(const REAL *x, int64_t step, const int rows, int64_t columns, const int square, const double *centres, double *sums) {
    enum { WIDES = NAME(PARTS) / WIDE_LANES };
    WIDE acc[NAME(NORM_ROWS) * WIDES], middle[NAME(NORM_ROWS)];
    double part[NAME(PARTS)];
    UNROLL for (int r = 0; r < rows; r++) {
        for (int i = 0; i < WIDE_LANES; i++) part[i] = square ? centres[r] : 0;
        middle[r] = WIDE_LOAD(part);
        UNROLL for (int i = 0; i < WIDES; i++) acc[r * WIDES + i] = WIDE_ZERO();
    }
    int64_t c = 0;
    for (; c + NAME(PARTS) <= columns; c += NAME(PARTS)) {
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int i = 0; i < WIDES; i++) {
                const WIDE value = WIDEN(x + r * step + c + i * WIDE_LANES), far = square ? WIDE_SUB(value, middle[r]) : value;
                acc[r * WIDES + i] = WIDE_ADD(acc[r * WIDES + i], square ? WIDE_MUL(far, far) : far);
            }
        }
    }
    const int64_t left = columns - c;
    if (left) { /* times 1, and beyond the row times 0 */
        REAL last[NAME(PARTS)];
        for (int i = 0; i < NAME(PARTS); i++) part[i] = i < left;
        UNROLL for (int r = 0; r < rows; r++) {
            UNROLL for (int i = 0; i < NAME(PARTS); i += LANES) {
                const int64_t some = left - i;
                const REAL *at = x + r * step + c + i;
                VSTORE(last + i, some >= LANES ? VLOAD(at) : some > 0 ? NAME(load_some)(at, some) : VZERO());
            }
            UNROLL for (int i = 0; i < WIDES; i++) {
                const WIDE value = WIDEN(last + i * WIDE_LANES), far = square ? WIDE_SUB(value, middle[r]) : value;
                const WIDE inside = WIDE_MUL(far, WIDE_LOAD(part + i * WIDE_LANES));
                acc[r * WIDES + i] = WIDE_ADD(acc[r * WIDES + i], square ? WIDE_MUL(inside, inside) : inside);
            }
        }
    }
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int gap = WIDES / 2; gap; gap /= 2)
            UNROLL for (int i = 0; i < gap; i++) acc[r * WIDES + i] = WIDE_ADD(acc[r * WIDES + i], acc[r * WIDES + i + gap]);
        WIDE_STORE(part, acc[r * WIDES]);
        UNROLL for (int gap = WIDE_LANES / 2; gap; gap /= 2)
            UNROLL for (int i = 0; i < gap; i++) part[i] += part[i + gap];
        sums[r] = part[0];
    }
}

INLINE void NAME(norm_rows)(const LayerNorm *on, const REAL *x, REAL *out, const int rows) {
    const int64_t columns = on->columns;
    const REAL *scale = (const REAL *)on->scale, *offset = (const REAL *)on->offset;
    double mean[NAME(NORM_ROWS)], variance[NAME(NORM_ROWS)];
    NAME(row_sums)(x, on->x_step, rows, columns, 0, NULL, mean);
    UNROLL for (int r = 0; r < rows; r++) mean[r] /= (double)columns;
    NAME(row_sums)(x, on->x_step, rows, columns, 1, mean, variance);
    for (int r = 0; r < rows; r++, x += on->x_step, out += on->out_step) {
        const NAME(Normal) n = NAME(normal_of)(mean[r], variance[r] / (double)columns, on->epsilon);
        const V less = VSPLAT(n.less), centre = VSPLAT(n.high), rest = VSPLAT(n.low), factor = VSPLAT(n.inverse);
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            const V y = VMUL(VSUB(VSUB(VMUL(VLOAD(x + c), less), centre), rest), factor);
            VSTORE(out + c, NAME(scaled)(y, scale ? VLOAD(scale + c) : y, offset ? VLOAD(offset + c) : y, on));
        }
        if (c < columns) {
            const int64_t some = columns - c;
            const V y = VMUL(VSUB(VSUB(VMUL(NAME(load_some)(x + c, some), less), centre), rest), factor);
            const V s = scale ? NAME(load_some)(scale + c, some) : y, o = offset ? NAME(load_some)(offset + c, some) : y;
            NAME(store_some)(out + c, NAME(scaled)(y, s, o, on), some);
        }
        if (on->act.code != ACT_NONE) NAME(activate)(out, out, 1, columns, NULL, on->act);
    }
}

/* Sums of transposed rows, in the order of row_sums: each partial sum gets at most one number. */
INLINE void NAME(turned_sums)(const REAL *x, const int64_t columns, const int square, double *sums) {
    UNROLL for (int i = 0; i < LANES; i += WIDE_LANES) {
        WIDE part[NAME(PARTS)];
        part[1] = WIDE_ZERO(); /* compilers cannot see that it is not read before it is set */
        const WIDE middle = square ? WIDE_LOAD(sums + i) : WIDE_ZERO();
        for (int64_t c = 0; c < columns; c++) {
            const WIDE value = WIDEN(x + c * LANES + i), far = square ? WIDE_SUB(value, middle) : value;
            part[c] = WIDE_ADD(WIDE_ZERO(), square ? WIDE_MUL(far, far) : far);
        }
        for (int gap = NAME(PARTS) / 2; gap; gap /= 2)
            for (int c = 0; c < gap && c + gap < columns; c++) part[c] = WIDE_ADD(part[c], part[c + gap]);
        WIDE_STORE(sums + i, part[0]);
    }
}

INLINE void NAME(norm_turned)(const LayerNorm *on, const int64_t columns) {
    const REAL *x = (const REAL *)on->x, *scale = (const REAL *)on->scale, *offset = (const REAL *)on->offset;
    REAL *out = (REAL *)on->out, t[NAME(PARTS) * LANES], less[LANES], high[LANES], low[LANES], inverse[LANES];
    double sums[LANES], mean[LANES];
    for (int64_t r = 0; r < on->rows; r += LANES, x += LANES * columns, out += LANES * columns) {
        const int64_t count = on->rows - r < LANES ? on->rows - r : LANES;
        NAME(turn)(x, columns, count, on->rows - r - count, t);
        NAME(turned_sums)(t, columns, 0, sums);
        for (int i = 0; i < LANES; i++) sums[i] = mean[i] = sums[i] / (double)columns;
        NAME(turned_sums)(t, columns, 1, sums);
        for (int i = 0; i < LANES; i++) {
            const NAME(Normal) n = NAME(normal_of)(mean[i], sums[i] / (double)columns, on->epsilon);
            less[i] = n.less, high[i] = n.high, low[i] = n.low, inverse[i] = n.inverse;
        }
        const V part = VLOAD(less), centre = VLOAD(high), rest = VLOAD(low), factor = VLOAD(inverse);
        for (int64_t c = 0; c < columns; c++) {
            const V y = VMUL(VSUB(VSUB(VMUL(VLOAD(t + c * LANES), part), centre), rest), factor);
            VSTORE(t + c * LANES, NAME(scaled)(y, scale ? VSPLAT(scale[c]) : y, offset ? VSPLAT(offset[c]) : y, on));
        }
        NAME(turn_back)(t, columns, count, out);
        if (on->act.code != ACT_NONE) NAME(activate)(out, out, count, columns, NULL, on->act);
    }
}

static void NAME(layer_norm)(const LayerNorm *on) {
    const int64_t columns = on->columns;
    if (SPECIAL_FORMS && columns <= LANES && LANES > 1 && on->rows > 1 && on->x_step == columns && on->out_step == columns) {
        NAME(norm_turned)(on, columns);
        return;
    }
    const REAL *x = (const REAL *)on->x;
    REAL *out = (REAL *)on->out;
    int64_t r = 0;
    for (; r + NAME(NORM_ROWS) <= on->rows; r += NAME(NORM_ROWS))
        NAME(norm_rows)(on, x + r * on->x_step, out + r * on->out_step, NAME(NORM_ROWS));
    for (; r < on->rows; r++) NAME(norm_rows)(on, x + r * on->x_step, out + r * on->out_step, 1);
}
