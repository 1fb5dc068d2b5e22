/* One operation on each number: roots, logarithms and the like. The compiler makes vectors of the loops over LANES numbers; nothing is fused, so that
   every instruction set gives the same bits. Contract: subnormal numbers are kept (float_mode.h); out may be x. */

/* The logarithms of LANES doubles, in place; subnormal ones are raised. */
INLINE void NAME(log_lanes)(double *lane) {
    for (int i = 0; i < LANES; i++) {
        const double x = lane[i], raised = x * 0x1p54, bias = LOG_BIAS;
        double n, s, rest;
        NAME(log_parts)(x < 0x1p-1022 ? raised : x, x < 0x1p-1022 ? bias + 54 : bias, &n, &s, &rest);
        /* log 2 in two parts: n times the first is exact */
        lane[i] = n * 0.69314718036912382 + ((s + s) + (n * 1.9082149292705877e-10 + rest));
    }
}

/* Numbers whose logarithm is no sum of a series. */
INLINE double NAME(log_or_limit)(double x, double y) {
    if (x > 0 && x < INFINITY) return y;
    return x == 0 ? -INFINITY : x > 0 || x != x ? x : (double)NAN;
}

static void NAME(logarithm)(const REAL *x, REAL *out, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const int64_t count = n - i < LANES ? n - i : LANES;
        double from[LANES], lane[LANES];
        int plain = 1;
        for (int l = 0; l < LANES; l++) lane[l] = 1;
        if (count == LANES)
            for (int l = 0; l < LANES; l++) lane[l] = (double)x[i + l];
        else
            for (int64_t l = 0; l < count; l++) lane[l] = (double)x[i + l];
        for (int l = 0; l < LANES; l++) {
            from[l] = lane[l];
            plain &= lane[l] > 0 && lane[l] < INFINITY;
        }
        NAME(log_lanes)(lane);
        if (!plain)
            for (int l = 0; l < LANES; l++) lane[l] = NAME(log_or_limit)(from[l], lane[l]);
        if (count == LANES)
            for (int l = 0; l < LANES; l++) out[i + l] = (REAL)lane[l];
        else
            for (int64_t l = 0; l < count; l++) out[i + l] = (REAL)lane[l];
    }
}

#if REAL_BITS == 32
#define ROOT(v) sqrtf(v)
#define ABSOLUTE(v) fabsf(v)
#else
#define ROOT(v) sqrt(v)
#define ABSOLUTE(v) fabs(v)
#endif

/* y = expression of v, for numbers first .. end of x; those beyond the last are ones. */
#define EACH(expression) \
    for (int64_t i = 0; i < n; i += LANES) { \
        const int64_t count = n - i < LANES ? n - i : LANES; \
        REAL lane[LANES]; \
        if (count == LANES) VSTORE(lane, VLOAD(x + i)); \
        else for (int64_t l = 0; l < LANES; l++) lane[l] = l < count ? x[i + l] : (REAL)1; \
        for (int l = 0; l < LANES; l++) { \
            const REAL v = lane[l]; \
            lane[l] = (REAL)(expression); \
        } \
        if (count == LANES) VSTORE(out + i, VLOAD(lane)); \
        else for (int64_t l = 0; l < count; l++) out[i + l] = lane[l]; \
    }

static void NAME(unary)(int op, const void *x_, void *out_, int64_t n) {
    const REAL *x = (const REAL *)x_;
    REAL *out = (REAL *)out_;
    switch (op) {
    case UNARY_SQRT: EACH(ROOT(v)) break;
    case UNARY_RECIPROCAL: EACH((REAL)1 / v) break;
    case UNARY_ABS: EACH(ABSOLUTE(v)) break;
    case UNARY_NEGATIVE: EACH(-v) break;
    default: NAME(logarithm)(x, out, n); break;
    }
}

#undef ROOT
#undef ABSOLUTE
#undef EACH
