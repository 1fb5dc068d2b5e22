/* SSE2, the floor of x86-64: no FMA, two roundings. */
#include <emmintrin.h>
#define HAS_FMA 0
#define TILE_MR 6
#define VECTOR_NANOSECONDS 0.62
#if REAL_BITS == 32
#define V __m128
#define LANES 4
#define VZERO() _mm_setzero_ps()
#define VLOAD(p) _mm_loadu_ps(p)
#define VSTORE(p, v) _mm_storeu_ps(p, v)
#define VSPLAT(s) _mm_set1_ps(s)
#define VFMA(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define VADD(a, b) _mm_add_ps(a, b)
#define VSUB(a, b) _mm_sub_ps(a, b)
#define VMUL(a, b) _mm_mul_ps(a, b)
#define VDIV(a, b) _mm_div_ps(a, b)
#define VMAX(a, b) _mm_max_ps(a, b)
#define VMIN(a, b) _mm_min_ps(a, b)
#define VMAX_NAN(a, b) NAME(max_nan)(a, b)
static inline V NAME(max_nan)(V a, V b) {
    const V m = _mm_cmpunord_ps(a, a);
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, _mm_max_ps(a, b)));
}
#define VBITS(word) _mm_castsi128_ps(_mm_set1_epi32((int32_t)(word)))
#define VAND(a, b) _mm_and_ps(a, b)
#define VOR(a, b) _mm_or_ps(a, b)
#define VEXPONENT(x) _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(x), 23))
static inline V NAME(select_negative)(V x, V a, V b) {
    V m = _mm_cmplt_ps(x, _mm_setzero_ps());
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b));
}
#define VZIP_LOW(a, b) _mm_unpacklo_ps(a, b)
#define VZIP_HIGH(a, b) _mm_unpackhi_ps(a, b)
#define WIDE __m128d
#define WIDE_LANES 2
#define WIDEN(p) _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(p))))
#define WIDE_LOAD(p) _mm_loadu_pd(p)
#define WIDE_STORE(p, v) _mm_storeu_pd(p, v)
#define WIDE_ZERO() _mm_setzero_pd()
#define WIDE_ADD(a, b) _mm_add_pd(a, b)
#define WIDE_SUB(a, b) _mm_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm_mul_pd(a, b)
#else
#define V __m128d
#define LANES 2
#define VZERO() _mm_setzero_pd()
#define VLOAD(p) _mm_loadu_pd(p)
#define VSTORE(p, v) _mm_storeu_pd(p, v)
#define VSPLAT(s) _mm_set1_pd(s)
#define VFMA(a, b, c) _mm_add_pd(_mm_mul_pd(a, b), c)
#define VADD(a, b) _mm_add_pd(a, b)
#define VSUB(a, b) _mm_sub_pd(a, b)
#define VMUL(a, b) _mm_mul_pd(a, b)
#define VDIV(a, b) _mm_div_pd(a, b)
#define VMAX(a, b) _mm_max_pd(a, b)
#define VMIN(a, b) _mm_min_pd(a, b)
#define VMAX_NAN(a, b) NAME(max_nan)(a, b)
static inline V NAME(max_nan)(V a, V b) {
    const V m = _mm_cmpunord_pd(a, a);
    return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, _mm_max_pd(a, b)));
}
#define VBITS(word) _mm_castsi128_pd(_mm_set1_epi64x((int64_t)(word)))
#define VAND(a, b) _mm_and_pd(a, b)
#define VOR(a, b) _mm_or_pd(a, b)
#define VEXPONENT(x) _mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(x), 52))
static inline V NAME(select_negative)(V x, V a, V b) {
    V m = _mm_cmplt_pd(x, _mm_setzero_pd());
    return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b));
}
#define VZIP_LOW(a, b) _mm_unpacklo_pd(a, b)
#define VZIP_HIGH(a, b) _mm_unpackhi_pd(a, b)
#endif
#define VSELECT_NEGATIVE(x, a, b) NAME(select_negative)(x, a, b)
