/* exp and functions of it, in vectors: written with the operations of simd.h in one fixed order of multiply-adds, so that every
   instruction set with FMA gives the same bits. The coefficients are printed by tests/golden/make_polynomials.py; the errors, measured on
   dense and edge grids, are in tests/test_exponentials.py. No table and no branch: all lanes do the same work.

   exp: x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) = 1 + r*Q(r), and 2^n is written into the exponent's bits. x is bounded below where n reaches
   its least value: the bits are zero there, and so is the result, exactly. A product such as x*exp(x) can be a normal number though exp(x) is
   subnormal: for those n, n is RAISED, and the result is lowered at the end, with one rounding. exp(r) - 1 = r + r*r*q(r) is exact near 0. */

#if REAL_BITS == 32
#define MAGIC ((REAL)(12582912.0 + 127)) /* 1.5 * 2^23 + bias: its lowest bits count units */
#define LEAST_EXPONENT ((REAL)-126)
#define GREATEST_EXPONENT ((REAL)127)
#define HIGHEST ((REAL)89) /* exp(x) is infinite from here on */
#define LOWEST ((REAL)-110) /* exp(x) rounds to 0 from here on, subnormal numbers included */
#define LEAST_NORMAL ((REAL)-88.1) /* n = -127 */
#define RAISED 35
#define LOWERED ((REAL)2.9103830456733704e-11) /* 2^-RAISED */
#define LEAST_RAISED ((REAL)-112.3) /* n = -127 - RAISED */
#define LOWEST_EXPM1 ((REAL)-20) /* exp(x) - 1 rounds to -1 */
#define FARTHEST ((REAL)15) /* x times the normal tail rounds to 0; n = -127 - RAISED */
#define LN2_HIGH ((REAL)0.693115234375)
#define LN2_LOW ((REAL)3.19461849e-5)
#define SIGN_BIT 0x80000000u
#define HEAD_BITS 0xfffff000u /* half of the significand: squares of what remains are exact */
static const REAL NAME(exp_terms)[] = {0.00139339919f, 0.00836942937f, 0.0416664618f, 0.166665027f, 0.500000001f, 1.0f};
static const REAL NAME(expm1_terms)[] = {0.000198913705f, 0.00139339919f, 0.00833331058f, 0.0416664618f, 0.166666667f, 0.500000001f};
static const REAL NAME(log1p_terms)[] = {0.000549956609f, 0.00218477795f, 0.012507686f, 0.0833329021f, 1.0f};
static const REAL NAME(tail_terms)[] = {-6.44457416e-6f, -2.89748348e-5f, 2.13818264e-5f, 0.000205652412f, -0.00043616466f, -0.000943158533f,
                                        0.00754969164f,  -0.0233151602f,  0.048392171f,   -0.0759870824f,  0.0944106413f};
#else
#define MAGIC ((REAL)(6755399441055744.0 + 1023))
#define LEAST_EXPONENT ((REAL)-1022)
#define GREATEST_EXPONENT ((REAL)1023)
#define HIGHEST ((REAL)710)
#define LOWEST ((REAL)-760)
#define LEAST_NORMAL ((REAL)-709.1) /* n = -1023 */
#define RAISED 74
#define LOWERED ((REAL)5.293955920339377e-23)
#define LEAST_RAISED ((REAL)-760.4) /* n = -1023 - RAISED */
#define LOWEST_EXPM1 ((REAL)-40)
#define FARTHEST ((REAL)39)
#define LN2_HIGH ((REAL)0.6931471805592082091607153)
#define LN2_LOW ((REAL)7.3710025651677989e-13)
#define SIGN_BIT 0x8000000000000000u
#define HEAD_BITS 0xfffffffff8000000u
static const REAL NAME(exp_terms)[] = {
    2.5105622431601778e-8, 2.7626898283599166e-7, 2.7557254422371831e-6, 2.4801503042211043e-5, 0.00019841269875594476, 0.0013888888933521091,
    0.0083333333333259129, 0.041666666666570178,  0.16666666666666671,   0.50000000000000058,   1.0};
static const REAL NAME(expm1_terms)[] = {
    2.0914976485982672e-9, 2.5105622431601778e-8,  2.7557272944830873e-7, 2.7557254422371831e-6, 2.4801587326100356e-5, 0.00019841269875594476,
    0.001388888888888359,  0.0083333333333259129, 0.04166666666666667,   0.16666666666666671,   0.5};
static const REAL NAME(log1p_terms)[] = {
    8.1272905172259322e-8,  1.5877736114236489e-7,  9.2393255066446058e-7, 4.0589520363386915e-6, 1.8782487844609384e-5, 8.8778031408714866e-5,
    0.00043402781407710299, 0.0022321428551136027, 0.012500000000058046,  0.083333333333332687,  1.0};
static const REAL NAME(tail_terms)[] = {
    -9.0780247630119741e-11, -3.1526243223475919e-10, 2.3978462754666753e-10,  2.452451357669445e-9,   1.660099723413791e-9,
    -1.0676052269606406e-8,  -1.9370614677809313e-8,  3.3975566203241045e-8,   1.2769425464951269e-7,  -7.8712070072697792e-8,
    -7.4002166537701286e-7,  8.958329056526289e-8,    4.3930857566254329e-6,   -2.3853230997167914e-7, -2.8886866896182377e-5,
    1.6668039051205717e-5,   0.00020385230719858765,  -0.00043496154592419939, -0.00094252362084084895, 0.0075495718613670701,
    -0.023315232244957156,   0.048392175092776818,    -0.075987080246486513,   0.094410641301968937};
#endif
#define COUNT(terms) ((int)(sizeof(terms) / sizeof(REAL)))

INLINE V NAME(polynomial)(V x, const REAL *terms, const int count) {
    V y = VSPLAT(terms[0]);
    UNROLL for (int i = 1; i < count; i++) y = VFMA(y, x, VSPLAT(terms[i]));
    return y;
}

/* exp(..) = (1 + r*q) * scale */
typedef struct {
    V r, q, scale;
} NAME(Power);

/* exp(x - less) * 2^raised, for an x <= 0 whose n + raised is at least -127 (-1023), and a small `less` (NULL: none). */
INLINE NAME(Power) NAME(power)(V x, const V *less, const int raised) {
    const V magic = VSPLAT(MAGIC + (REAL)raised);
    const V shifted = VFMA(x, VSPLAT((REAL)1.4426950408889634), magic), n = VSUB(shifted, magic);
    NAME(Power) p;
    p.r = VFMA(n, VSPLAT(-LN2_LOW), VFMA(n, VSPLAT(-LN2_HIGH), x));
    if (less) p.r = VSUB(p.r, *less);
    p.q = NAME(polynomial)(p.r, NAME(exp_terms), COUNT(NAME(exp_terms)));
    p.scale = VEXPONENT(shifted);
    return p;
}

INLINE V NAME(value)(const NAME(Power) *p) { return VMUL(VFMA(p->r, p->q, VSPLAT((REAL)1)), p->scale); }

/* factor * exp(..), with one rounding less than factor * value */
INLINE V NAME(times)(V factor, const NAME(Power) *p) { return VMUL(VFMA(factor, VMUL(p->r, p->q), factor), p->scale); }

/* exp(x) for x <= 0; a subnormal number may be 0 */
static inline V NAME(exp)(V x) {
    const NAME(Power) p = NAME(power)(VMAX(VSPLAT(LEAST_NORMAL), x), NULL, 0);
    return NAME(value)(&p);
}

/* exp(-|x|), and the same times 2^RAISED */
static inline V NAME(decay)(V x) { return NAME(exp)(VOR(x, VBITS(SIGN_BIT))); }
static inline NAME(Power) NAME(raised_decay)(V x) {
    return NAME(power)(VMAX(VSPLAT(LEAST_RAISED), VOR(x, VBITS(SIGN_BIT))), NULL, RAISED);
}

/* exp(x) for any x: 2^n comes as two factors, the second is 2 where 2^n alone would be infinite */
static inline V NAME(exponential)(V x) {
    const V inside = VMAX(VSPLAT(LOWEST), VMIN(VSPLAT(HIGHEST), x));
    const V shifted = VFMA(inside, VSPLAT((REAL)1.4426950408889634), VSPLAT(MAGIC)), n = VSUB(shifted, VSPLAT(MAGIC));
    const V r = VFMA(n, VSPLAT(-LN2_LOW), VFMA(n, VSPLAT(-LN2_HIGH), inside));
    const V normal = VMAX(VSPLAT(LEAST_EXPONENT), VMIN(VSPLAT(GREATEST_EXPONENT), n));
    const V less_one = VFMA(VMUL(r, r), NAME(polynomial)(r, NAME(expm1_terms), COUNT(NAME(expm1_terms))), r);
    const V scale = VEXPONENT(VADD(normal, VSPLAT(MAGIC))), rest = VEXPONENT(VADD(VSUB(n, normal), VSPLAT(MAGIC)));
    return VMUL(VMUL(VADD(less_one, VSPLAT((REAL)1)), scale), rest);
}

/* exp(x) - 1 for x <= 0 */
static inline V NAME(expm1)(V x) {
    const V one = VSPLAT((REAL)1), low = VMAX(VSPLAT(LOWEST_EXPM1), x);
    const V shifted = VFMA(low, VSPLAT((REAL)1.4426950408889634), VSPLAT(MAGIC)), n = VSUB(shifted, VSPLAT(MAGIC));
    const V r = VFMA(n, VSPLAT(-LN2_LOW), VFMA(n, VSPLAT(-LN2_HIGH), low)), scale = VEXPONENT(shifted);
    const V less_one = VFMA(VMUL(r, r), NAME(polynomial)(r, NAME(expm1_terms), COUNT(NAME(expm1_terms))), r);
    return VFMA(scale, less_one, VSUB(scale, one));
}

/* 1 / (1 + exp(-x)) = exp(x) / (1 + exp(x)): the form whose exp is at most 1 */
static inline V NAME(sigmoid)(V x) {
    const V one = VSPLAT((REAL)1), e = NAME(decay)(x);
    return VDIV(VSELECT_NEGATIVE(x, e, one), VADD(one, e));
}

/* x * sigmoid(z), for a z of x's sign; -inf gives NaN, as -inf * 0 does */
static inline V NAME(gated)(V x, V z) {
    const V lowered = VSPLAT(LOWERED);
    const NAME(Power) e = NAME(raised_decay)(z);
    return VDIV(VSELECT_NEGATIVE(z, VMUL(NAME(times)(x, &e), lowered), x), VFMA(NAME(value)(&e), lowered, VSPLAT((REAL)1)));
}

/* x * sigmoid(2y) = x/2 * (1 + tanh(y)), y = sqrt(2/pi) * (x + 0.044715 x^3): there is no cancellation */
static inline V NAME(gelu_tanh)(V x) {
    const V z = VMUL(x, VFMA(VMUL(x, x), VSPLAT((REAL)0.071354816272600247), VSPLAT((REAL)1.5957691216057307)));
    return NAME(gated)(x, z);
}

/* tanh |x| = -m / (2 + m) with m = exp(-2|x|) - 1 */
static inline V NAME(tanh)(V x) {
    const V sign = VBITS(SIGN_BIT), below = VOR(x, sign), m = NAME(expm1)(VADD(below, below));
    const V size = VDIV(VAND(m, VBITS(~SIGN_BIT)), VADD(VSPLAT((REAL)2), m));
    return VOR(size, VAND(x, sign));
}

/* log(1 + e) = s * P(s*s) with s = 2e / (2 + e), for e = exp(-|x|) */
static inline V NAME(log1p_decay)(V x) {
    const V e = NAME(decay)(x), s = VDIV(VADD(e, e), VADD(VSPLAT((REAL)2), e));
    return VMUL(s, NAME(polynomial)(VMUL(s, s), NAME(log1p_terms), COUNT(NAME(log1p_terms))));
}

static inline V NAME(softplus)(V x) { return VADD(VMAX(VZERO(), x), NAME(log1p_decay)(x)); }

static inline V NAME(log_sigmoid)(V x) { return VSUB(VMIN(VZERO(), x), NAME(log1p_decay)(x)); }

/* x * tanh(log(1 + exp(x))) = x * e (e + 2) / (e (e + 2) + 2) with e = exp(x); above zero with d = exp(-x), x * (1 + 2d) / (1 + 2d (1 + d)).
   -inf gives NaN, as -inf * 0 does. */
static inline V NAME(mish)(V x) {
    const V one = VSPLAT((REAL)1), two = VSPLAT((REAL)2), lowered = VSPLAT(LOWERED);
    const NAME(Power) e = NAME(raised_decay)(x);
    const V d = VMUL(NAME(value)(&e), lowered), more = VADD(d, two), twice = VADD(d, d), small = VMUL(NAME(times)(x, &e), lowered);
    const V above = VSELECT_NEGATIVE(x, VMUL(small, more), VMUL(x, VADD(one, twice)));
    return VDIV(above, VSELECT_NEGATIVE(x, VFMA(d, more, two), VFMA(twice, VADD(one, d), one)));
}

static inline V NAME(softsign)(V x) { return VDIV(x, VADD(VSPLAT((REAL)1), VAND(x, VBITS(~SIGN_BIT)))); }

/* x * (1 - T(|x|)), or x * T(|x|) below zero; T(a) = erfc(a / sqrt 2) / 2 = exp(-a*a/2) * w * R(1 - w) with w = 8 / (a + 4).
   a*a/2 is in two parts, rounded value and rest: its error would be the exponential's; without FMA h*h/2 and (a - h)*(a + h)/2. */
static inline V NAME(gelu)(V x) {
    const V one = VSPLAT((REAL)1), half = VSPLAT((REAL)0.5), minus_half = VSPLAT((REAL)-0.5), lowered = VSPLAT(LOWERED);
    const V a = VMIN(VSPLAT(FARTHEST), VAND(x, VBITS(~SIGN_BIT)));
#if HAS_FMA
    const V square = VMUL(a, VMUL(a, minus_half)), less = VFMA(a, VMUL(a, half), square);
#else
    const V h = VAND(a, VBITS(HEAD_BITS)), square = VMUL(h, VMUL(h, minus_half)), less = VMUL(VMUL(VSUB(a, h), VADD(a, h)), half);
#endif
    const V w = VDIV(VSPLAT((REAL)8), VADD(a, VSPLAT((REAL)4)));
    const V ratio = VMUL(w, NAME(polynomial)(VSUB(one, w), NAME(tail_terms), COUNT(NAME(tail_terms))));
    const NAME(Power) e = NAME(power)(square, &less, RAISED);
    const V tail = NAME(times)(ratio, &e);
    return VSELECT_NEGATIVE(x, VMUL(VMUL(x, tail), lowered), VMUL(x, VFMA(tail, VSPLAT(-LOWERED), one)));
}

#undef MAGIC
#undef LEAST_EXPONENT
#undef GREATEST_EXPONENT
#undef HIGHEST
#undef LOWEST
#undef LEAST_NORMAL
#undef LEAST_RAISED
#undef RAISED
#undef LOWERED
#undef LOWEST_EXPM1
#undef FARTHEST
#undef LN2_HIGH
#undef LN2_LOW
#undef SIGN_BIT
#undef HEAD_BITS
#undef COUNT
