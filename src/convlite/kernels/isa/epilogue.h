/* Activations over rows in memory. The kernels apply ACT_CLIP (relu and its like) to sums still in registers, and call
   activate() for the others on what they have just stored.

   Contract: `code` is one of table.h; NaN in gives NaN out. Up to ACT_FIRST_LIBM in vectors, beyond it the C library, element by element. */

static inline V NAME(finish)(V x, const Activation *act, const REAL *alpha) {
    const V zero = VZERO(), one_six = VSPLAT((REAL)6);
    switch (act->code) {
    case ACT_CLIP: return VMIN(VSPLAT((REAL)act->b), VMAX(VSPLAT((REAL)act->a), x));
    case ACT_LEAKY: return VSELECT_NEGATIVE(x, VMUL(VSPLAT((REAL)act->a), x), x);
    case ACT_PRELU: return VSELECT_NEGATIVE(x, VMUL(VLOAD(alpha), x), x);
    case ACT_HARD_SIGMOID: return VDIV(VMIN(one_six, VMAX(zero, VADD(x, VSPLAT((REAL)3)))), one_six);
    case ACT_HARD_SWISH: return VDIV(VMUL(x, VMIN(one_six, VMAX(zero, VADD(x, VSPLAT((REAL)3))))), one_six);
    default: return x;
    }
}

/* The C library's function for this dtype: LIBM(exp) is expf or exp. */
#if REAL_BITS == 32
#define LIBM(function) function##f
#else
#define LIBM(function) function
#endif

static inline REAL NAME(libm_one)(REAL x, const Activation *act) {
    const REAL one = 1, half = (REAL)0.5;
    switch (act->code) {
    case ACT_ELU: return x > 0 ? x : (REAL)act->a * LIBM(expm1)(x);
    case ACT_SIGMOID: return one / (one + LIBM(exp)(-x));
    case ACT_TANH: return LIBM(tanh)(x);
    case ACT_SILU: return x / (one + LIBM(exp)(-x));
    case ACT_GELU: return half * x * (one + LIBM(erf)(x * (REAL)0.70710678118654752440));
    case ACT_GELU_TANH: return half * x * (one + LIBM(tanh)((REAL)0.79788456080286535588 * (x + (REAL)0.044715 * x * x * x)));
    case ACT_SOFTPLUS: return (x > 0 ? x : x != x ? x
                                                  : 0) +
                              LIBM(log1p)(LIBM(exp)(x > 0 ? -x : x));
    default: return x;
    }
}

static void NAME(libm_row)(REAL *x, int64_t n, const Activation *act) {
    for (int64_t i = 0; i < n; i++) x[i] = NAME(libm_one)(x[i], act);
}

static void NAME(activate)(const void *x_, void *out_, int64_t rows, int64_t columns, const void *alpha_, Activation act) {
    const REAL *alpha = (const REAL *)alpha_;
    for (int64_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)x_ + r * columns;
        REAL *out = (REAL *)out_ + r * columns;
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) VSTORE(out + c, NAME(finish)(VLOAD(x + c), &act, alpha + c));
        if (c < columns) {
            REAL slope[LANES] = {0};
            if (act.code == ACT_PRELU)
                for (int64_t i = 0; c + i < columns; i++) slope[i] = alpha[c + i];
            NAME(store_some)(out + c, NAME(finish)(NAME(load_some)(x + c, columns - c), &act, slope), columns - c);
        }
        if (act.code >= ACT_FIRST_LIBM) NAME(libm_row)(out, columns, &act);
    }
}
#undef LIBM
