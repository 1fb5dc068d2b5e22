/* Layer norm: each row less its mean, divided by sqrt(variance + epsilon), times scale, plus offset; then the activation.

   Mean and variance are in double, the variance from squared distances in a second reading. Element c is added to partial sum c % 16, and those
   are added pairwise: one order for every instruction set. The mean is subtracted in two pieces, so that a large one costs no digits. Contract:
   columns > 0; out may be x. */

enum { NAME(PARTS) = 16 };

INLINE double NAME(row_sum)(const REAL *x, int64_t columns, const int square, double centre) {
    enum { VECTORS = NAME(PARTS) / WIDE_LANES };
    double part[NAME(PARTS)];
    for (int i = 0; i < NAME(PARTS); i++) part[i] = centre;
    const WIDE middle = WIDE_LOAD(part);
    WIDE acc[VECTORS];
    UNROLL for (int i = 0; i < VECTORS; i++) acc[i] = WIDE_ZERO();
    int64_t c = 0;
    for (; c + NAME(PARTS) <= columns; c += NAME(PARTS)) {
        UNROLL for (int i = 0; i < VECTORS; i++) {
            const WIDE value = WIDEN(x + c + i * WIDE_LANES), far = square ? WIDE_SUB(value, middle) : value;
            acc[i] = WIDE_ADD(acc[i], square ? WIDE_MUL(far, far) : far);
        }
    }
    UNROLL for (int i = 0; i < VECTORS; i++) WIDE_STORE(part + i * WIDE_LANES, acc[i]);
    for (int64_t i = 0; i < columns - c; i++) {
        const double value = (double)x[c + i], far = square ? value - centre : value;
        part[i] += square ? far * far : far;
    }
    for (int half = NAME(PARTS) / 2; half; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

INLINE V NAME(scaled)(V x, V scale, V offset, const LayerNorm *on) {
    if (on->scale && on->offset) return VFMA(x, scale, offset);
    if (on->scale) return VMUL(x, scale);
    return on->offset ? VADD(x, offset) : x;
}

static void NAME(layer_norm)(const LayerNorm *on) {
    const int64_t columns = on->columns;
    const REAL *scale = (const REAL *)on->scale, *offset = (const REAL *)on->offset;
    for (int64_t r = 0; r < on->rows; r++) {
        const REAL *x = (const REAL *)on->x + r * on->x_step;
        REAL *out = (REAL *)on->out + r * on->out_step;
        const double mean = NAME(row_sum)(x, columns, 0, 0) / (double)columns;
        const double variance = NAME(row_sum)(x, columns, 1, mean) / (double)columns;
        /* a quarter of everything where 1 / sqrt is subnormal, or a difference may overflow: both only for floats beyond 1e37 */
        const double part = variance > 1e74 && sizeof(REAL) == 4 ? 0.25 : 1;
        const REAL high = (REAL)mean, low = (REAL)(mean - (double)high), inverse = (REAL)(1 / sqrt(variance + on->epsilon) / part);
        const V less = VSPLAT((REAL)part), centre = VMUL(VSPLAT(high), less), rest = VMUL(VSPLAT(low), less), factor = VSPLAT(inverse);
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
