/* Any other platform: one element at a time, in plain C. */
#define HAS_FMA 0
#define TILE_MR 4
#define VECTOR_NANOSECONDS 0.62 /* not measured: the value of SSE2 */
#define V REAL
#define LANES 1
#define VZERO() ((REAL)0)
#define VLOAD(p) (*(p))
#define VSTORE(p, v) (*(p) = (v))
#define VSPLAT(s) (s)
#define VFMA(a, b, c) ((a) * (b) + (c))
#define VADD(a, b) ((a) + (b))
#define VSUB(a, b) ((a) - (b))
#define VMUL(a, b) ((a) * (b))
#define VDIV(a, b) ((a) / (b))
#define VMAX(a, b) ((a) > (b) ? (a) : (b))
#define VMIN(a, b) ((a) < (b) ? (a) : (b))
#define VSELECT_NEGATIVE(x, a, b) ((x) < 0 ? (a) : (b))
#define VMAX_NAN(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
static inline WORD NAME(word_of)(REAL x) {
    WORD word;
    memcpy(&word, &x, sizeof(word));
    return word;
}
static inline REAL NAME(real_of)(WORD word) {
    REAL x;
    memcpy(&x, &word, sizeof(x));
    return x;
}
#define VBITS(word) NAME(real_of)(word)
#define VAND(a, b) NAME(real_of)(NAME(word_of)(a) & NAME(word_of)(b))
#define VOR(a, b) NAME(real_of)(NAME(word_of)(a) | NAME(word_of)(b))
#define VEXPONENT(x) NAME(real_of)(NAME(word_of)(x) << (REAL_BITS == 32 ? 23 : 52))
#if REAL_BITS == 32
#define WIDE double
#define WIDE_LANES 1
#define WIDEN(p) ((double)*(p))
#define WIDE_LOAD(p) (*(p))
#define WIDE_STORE(p, v) (*(p) = (v))
#define WIDE_ZERO() (0.0)
#define WIDE_ADD(a, b) ((a) + (b))
#define WIDE_SUB(a, b) ((a) - (b))
#define WIDE_MUL(a, b) ((a) * (b))
#endif
