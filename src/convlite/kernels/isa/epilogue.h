/* Activations over rows in memory. The kernels apply ACT_CLIP (relu and its like) to sums still in registers, and call
   activate() for the others on what they have just stored.

   Contract: `code` is one of table.h; NaN in gives NaN out. An element's result depends on nothing but the element: the last, incomplete vector
   of a row runs the same code. */

INLINE V NAME(finish)(V x, const int code, V a, V b, const REAL *alpha) {
    const V zero = VZERO(), three = VSPLAT((REAL)3), six = VSPLAT((REAL)6), sixth = VSPLAT((REAL)(1.0 / 6)); /* 6*sixth is 1 */
    switch (code) {
    case ACT_CLIP: return VMIN(b, VMAX(a, x));
    case ACT_LEAKY: return VSELECT_NEGATIVE(x, VMUL(a, x), x);
    case ACT_PRELU: return VSELECT_NEGATIVE(x, VMUL(VLOAD(alpha), x), x);
    case ACT_HARD_SIGMOID: return VMUL(VMIN(six, VMAX(zero, VADD(x, three))), sixth);
    case ACT_HARD_SWISH: return VMUL(x, VMUL(VMIN(six, VMAX(zero, VADD(x, three))), sixth));
    case ACT_ELU: return VSELECT_NEGATIVE(x, VMUL(a, NAME(expm1)(VMIN(zero, x))), x);
    case ACT_SIGMOID: return NAME(sigmoid)(x);
    case ACT_TANH: return NAME(tanh)(x);
    case ACT_SILU: return NAME(gated)(x, x);
    case ACT_GELU: return NAME(gelu)(x);
    case ACT_GELU_TANH: return NAME(gelu_tanh)(x);
    case ACT_SOFTPLUS: return NAME(softplus)(x);
    case ACT_LOG_SIGMOID: return NAME(log_sigmoid)(x);
    case ACT_SELU: return VSELECT_NEGATIVE(x, VMUL(b, NAME(expm1)(VMIN(zero, x))), VMUL(a, x));
    case ACT_CELU: return VSELECT_NEGATIVE(x, VMUL(a, NAME(expm1)(VMIN(zero, VDIV(x, a)))), x);
    case ACT_MISH: return NAME(mish)(x);
    case ACT_SOFTSIGN: return NAME(softsign)(x);
    case ACT_EXPONENTIAL: return NAME(exponential)(x);
    case ACT_TANH_SHRINK: return VSUB(x, NAME(tanh)(x));
    case ACT_SOFT_SHRINK: return VSUB(x, VMIN(b, VMAX(a, x)));
    case ACT_HARD_SHRINK: return VSELECT_NEGATIVE(VSUB(a, VMAX(x, VSUB(zero, x))), x, VMUL(x, zero));
    default: return x;
    }
}

/* The loops, once for each code, which is a constant here. Steps from one row to the next are in bytes. */
INLINE void NAME(activate_rows)(const void *x_, int64_t x_step, void *out_, int64_t out_step, int64_t rows, int64_t columns,
                                const void *alpha_, const Activation *act, const int code) {
    const REAL *alpha = (const REAL *)alpha_;
    const V a = VSPLAT((REAL)act->a), b = VSPLAT((REAL)act->b);
    for (int64_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)((const char *)x_ + r * x_step);
        REAL *out = (REAL *)((char *)out_ + r * out_step);
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) VSTORE(out + c, NAME(finish)(VLOAD(x + c), code, a, b, alpha + c));
        if (c < columns) {
            REAL slope[LANES] = {0};
            if (code == ACT_PRELU)
                for (int64_t i = 0; c + i < columns; i++) slope[i] = alpha[c + i];
            NAME(store_some)(out + c, NAME(finish)(NAME(load_some)(x + c, columns - c), code, a, b, slope), columns - c);
        }
    }
}

/* Rows whose steps are in bytes. A call costs as much as four vectors of silu, which need 18 constants: many rows a call. */
NOINLINE void NAME(activate_apart)(const void *x, int64_t x_step, void *out, int64_t out_step, int64_t rows, int64_t columns,
                                   const void *alpha, const Activation *act) {
#define CASE(code) \
    case code: NAME(activate_rows)(x, x_step, out, out_step, rows, columns, alpha, act, code); break;
    switch (act->code) {
    CASE(ACT_CLIP)
    CASE(ACT_LEAKY)
    CASE(ACT_PRELU)
    CASE(ACT_HARD_SIGMOID)
    CASE(ACT_HARD_SWISH)
    CASE(ACT_ELU)
    CASE(ACT_SIGMOID)
    CASE(ACT_TANH)
    CASE(ACT_SILU)
    CASE(ACT_GELU)
    CASE(ACT_GELU_TANH)
    CASE(ACT_SOFTPLUS)
    CASE(ACT_LOG_SIGMOID)
    CASE(ACT_SELU)
    CASE(ACT_CELU)
    CASE(ACT_MISH)
    CASE(ACT_SOFTSIGN)
    CASE(ACT_EXPONENTIAL)
    CASE(ACT_TANH_SHRINK)
    CASE(ACT_SOFT_SHRINK)
    CASE(ACT_HARD_SHRINK)
    default: NAME(activate_rows)(x, x_step, out, out_step, rows, columns, alpha, act, ACT_NONE); break;
    }
#undef CASE
}

/* Contiguous rows. */
static void NAME(activate)(const void *x, void *out, int64_t rows, int64_t columns, const void *alpha, Activation act) {
    const int64_t step = columns * (int64_t)sizeof(REAL);
    NAME(activate_apart)(x, step, out, step, rows, columns, alpha, &act);
}
