/* How a sum ends (Epilogue in table.h), in two halves.

   end_sums works in registers: bias and ACT_CLIP, relu and similar ones. end_rows works on rows just stored, which are in L1: any other activation,
   the residual and what follows it. Inlining other activations tripled the code and gained nothing. A strided tile adds the residual in registers if
   it can (microkernel.h: +3% of code). A kernel whose rows are channels, not pixels, has end_channel for the second half, which supports no residual.

   Contract: `code` is one of table.h; NaN gives NaN. An element's result depends on nothing but the element: the last, incomplete vector
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

/* The loops, compiled once for each code, which is a constant here. Steps from one row to the next are in bytes. */
INLINE void NAME(activate_rows)(const void *x_, int64_t x_step, void *out_, int64_t out_step, int64_t rows, int64_t columns,
                                const void *alpha_, const Activation *act, const int code) {
    const REAL *alpha = (const REAL *)alpha_;
    const V a = VSPLAT((REAL)act->a), b = VSPLAT((REAL)act->b);
    REAL slope[LANES] = {0}; /* for the last, incomplete vector */
    if (code == ACT_PRELU) for (int64_t c = columns - columns % LANES, i = 0; c + i < columns; i++) slope[i] = alpha[c + i];
    for (int64_t r = 0; r < rows; r++) {
        const REAL *x = (const REAL *)((const char *)x_ + r * x_step);
        REAL *out = (REAL *)((char *)out_ + r * out_step);
        int64_t c = 0;
        if (code <= ACT_HARD_SWISH) {
            for (; c + LANES <= columns; c += LANES) VSTORE(out + c, NAME(finish)(VLOAD(x + c), code, a, b, alpha + c));
            if (c < columns) NAME(store_some)(out + c, NAME(finish)(NAME(load_some)(x + c, columns - c), code, a, b, slope), columns - c);
        } else for (; c < columns; c += LANES) { /* long code stands once: 16 KB less, 0.99 times as fast */
            const int64_t n = columns - c;
            const V y = NAME(finish)(n >= LANES ? VLOAD(x + c) : NAME(load_some)(x + c, n), code, a, b, slope);
            if (n >= LANES) VSTORE(out + c, y);
            else NAME(store_some)(out + c, y, n);
        }
    }
}

/* Rows whose steps are in bytes. A call costs as much as four vectors of silu, which need 18 constants, so a call has many rows. */
NOINLINE void NAME(activate_apart)(const void *x, int64_t x_step, void *out, int64_t out_step, int64_t rows, int64_t columns,
                                   const void *alpha, const Activation *act) {
#define CASE(CODE, name) \
    case ACT_##CODE: NAME(activate_rows)(x, x_step, out, out_step, rows, columns, alpha, act, ACT_##CODE); break;
    switch (act->code) {
        ACTIVATIONS(CASE)
    default: NAME(activate_rows)(x, x_step, out, out_step, rows, columns, alpha, act, ACT_NONE); break;
    }
#undef CASE
}

/* Contiguous rows. */
static void NAME(activate)(const void *x, void *out, int64_t rows, int64_t columns, const void *alpha, Activation act) {
    const int64_t step = columns * (int64_t)sizeof(REAL);
    NAME(activate_apart)(x, step, out, step, rows, columns, alpha, &act);
}

/* The bias of n <= LANES channels from c on. A sum that underflowed to -0 becomes +0, whether or not a tap of zeros followed, so that the bits of
   zero do not depend on it. A bias of -0 is +0 here, so that one addition does both. */
INLINE V NAME(bias_at)(const Epilogue *end, int64_t c, int64_t n) {
    if (!end->bias) return VZERO();
    const REAL *bias = (const REAL *)end->bias + c;
    return VADD(n >= LANES ? VLOAD(bias) : NAME(load_some)(bias, n), VZERO());
}

/* The bounds of ACT_CLIP in vectors, made once for many sums: this shortens a small depthwise kernel measurably. */
typedef struct {
    int clips;
    V low, high;
} NAME(Clip);

INLINE NAME(Clip) NAME(clip_of)(const Epilogue *end) {
    const NAME(Clip) clip = {end->act.code == ACT_CLIP, VSPLAT((REAL)end->act.a), VSPLAT((REAL)end->act.b)};
    return clip;
}

/* `count` sums, `step` vectors apart, that share a bias. */
INLINE void NAME(end_sums)(V *sums, const int count, const int step, V bias, const NAME(Clip) *clip) {
    UNROLL for (int i = 0; i < count; i++) sums[i * step] = VADD(sums[i * step], bias);
    if (clip->clips) UNROLL for (int i = 0; i < count; i++) sums[i * step] = VMIN(clip->high, VMAX(clip->low, sums[i * step]));
}

INLINE int NAME(ends_later)(const Epilogue *end) { return end->act.code > ACT_CLIP || end->residual; }

/* Find the residual of the rows that lie `step` bytes apart from `out` on: its first column, the bytes from one row to the next, and how many of
   `columns` it has. */
typedef struct {
    const char *at;
    int64_t step, columns;
} NAME(Residual);

INLINE NAME(Residual) NAME(residual_of)(const Epilogue *end, const void *out, int64_t step, int64_t columns) {
    NAME(Residual) of = {(const char *)out + end->residual, step, columns};
    if (end->fewer) {
        const int64_t at = (const char *)out - (const char *)end->out, pixel = at / end->out_pixel;
        of.at += pixel * (end->more_pixel - end->out_pixel);
        of.step = step / end->out_pixel * end->more_pixel;
        of.columns = (end->fewer - (at - pixel * end->out_pixel)) / (int64_t)sizeof(REAL);
        of.columns = of.columns < 0 ? 0 : of.columns < columns ? of.columns : columns;
    }
    return of;
}

/* Whether a residual can be added in registers: true if nothing else than bias and clipping comes before it. */
INLINE int NAME(adds_in_registers)(const Epilogue *end) { return end->residual && end->act.code <= ACT_CLIP; }

/* Rows after end_sums, `step` bytes apart; `end` is that of their first column. */
NOINLINE void NAME(end_rows)(const Epilogue *end, void *out, int64_t step, int64_t rows, int64_t columns) {
    if (end->act.code > ACT_CLIP) NAME(activate_apart)(out, step, out, step, rows, columns, end->alpha, &end->act);
    if (!end->residual) return;
    const int clip = end->last.code == ACT_CLIP;
    const V low = VSPLAT(clip ? (REAL)end->last.a : (REAL)-INFINITY), high = VSPLAT(clip ? (REAL)end->last.b : (REAL)INFINITY);
    const NAME(Residual) of = NAME(residual_of)(end, out, step, columns);
    for (int64_t r = 0; r < rows; r++) {
        REAL *to = (REAL *)((char *)out + r * step);
        const REAL *more = (const REAL *)(of.at + r * of.step);
        int64_t c = 0;
        for (; c + LANES <= of.columns; c += LANES) VSTORE(to + c, VMIN(high, VMAX(low, VADD(VLOAD(to + c), VLOAD(more + c)))));
        for (; c < columns; c += LANES) {
            const int64_t n = columns - c < LANES ? columns - c : LANES, m = of.columns - c;
            const V sum = VADD(NAME(load_some)(to + c, n), m > 0 ? NAME(load_some)(more + c, m < n ? m : n) : VZERO());
            NAME(store_some)(to + c, VMIN(high, VMAX(low, sum)), n);
        }
    }
    if (end->last.code > ACT_CLIP) NAME(activate_apart)(out, step, out, step, rows, columns, end->alpha, &end->last);
}

/* n outputs of channel c, side by side, with any activation; one channel has one slope. */
INLINE void NAME(end_channel)(const Epilogue *end, void *out, int64_t n, int64_t c) {
    Activation act = end->act;
    if (act.code == ACT_PRELU) {
        act.code = ACT_LEAKY;
        act.a = (double)((const REAL *)end->alpha)[c];
    }
    if (act.code) NAME(activate_apart)(out, 0, out, 0, 1, n, NULL, &act);
}
