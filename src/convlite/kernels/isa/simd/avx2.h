/* AVX2 and FMA, 16 registers. */
#include <immintrin.h>
#define HAS_FMA 1
#define TILE_MR 6 /* 6x2: 12 sums + 2 weights + 1 splat fit 16 registers */
#define VECTOR_NANOSECONDS 0.28
#if REAL_BITS == 32
#define V __m256
#define LANES 8
#define FMA_INSTRUCTION "vfmadd231ps"
#define VZERO() _mm256_setzero_ps()
#define VLOAD(p) _mm256_loadu_ps(p)
#define VSTORE(p, v) _mm256_storeu_ps(p, v)
#define VSTREAM(p, v) _mm256_stream_ps(p, v)
#define VSPLAT(s) _mm256_set1_ps(s)
#define VFMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VADD(a, b) _mm256_add_ps(a, b)
#define VSUB(a, b) _mm256_sub_ps(a, b)
#define VMUL(a, b) _mm256_mul_ps(a, b)
#define VDIV(a, b) _mm256_div_ps(a, b)
#define VMAX(a, b) _mm256_max_ps(a, b)
#define VMIN(a, b) _mm256_min_ps(a, b)
#define VSELECT_NEGATIVE(x, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ))
#define VMAX_NAN(a, b) _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q))
#define VBITS(word) _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)(word)))
#define VAND(a, b) _mm256_and_ps(a, b)
#define VOR(a, b) _mm256_or_ps(a, b)
#define VEXPONENT(x) _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(x), 23))
static inline __m256i NAME(first)(int64_t n) {
    static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(window + 8 - n));
}
#define VLOAD_SOME(p, n) _mm256_maskload_ps(p, NAME(first)(n))
#define VSTORE_SOME(p, v, n) _mm256_maskstore_ps(p, NAME(first)(n), v)
#define VZIP_LOW(a, b) _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20)
#define VZIP_HIGH(a, b) _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31)
#define VPERMUTE(v, places) _mm256_permutevar8x32_ps(v, _mm256_loadu_si256((const __m256i *)(places)))
#define VPERMUTE_QUARTERS(v, places) _mm256_permutevar_ps(v, _mm256_loadu_si256((const __m256i *)(places)))
#define VZIP_QUARTERS_LOW(a, b) _mm256_unpacklo_ps(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm256_unpackhi_ps(a, b)
#define VPAIR_LOW(a, b) _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
#define VPAIR_HIGH(a, b) _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
#define VLOAD_QUARTERS(p, step) NAME(load_quarters)(p, step)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
#define WIDE __m256d
#define WIDE_LANES 4
#define WIDEN(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define WIDE_LOAD(p) _mm256_loadu_pd(p)
#define WIDE_STORE(p, v) _mm256_storeu_pd(p, v)
#define WIDE_ZERO() _mm256_setzero_pd()
#define WIDE_ADD(a, b) _mm256_add_pd(a, b)
#define WIDE_SUB(a, b) _mm256_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm256_mul_pd(a, b)
#else
#define V __m256d
#define LANES 4
#define VZERO() _mm256_setzero_pd()
#define VLOAD(p) _mm256_loadu_pd(p)
#define VSTORE(p, v) _mm256_storeu_pd(p, v)
#define VSPLAT(s) _mm256_set1_pd(s)
#define VFMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define VADD(a, b) _mm256_add_pd(a, b)
#define VSUB(a, b) _mm256_sub_pd(a, b)
#define VMUL(a, b) _mm256_mul_pd(a, b)
#define VDIV(a, b) _mm256_div_pd(a, b)
#define VMAX(a, b) _mm256_max_pd(a, b)
#define VMIN(a, b) _mm256_min_pd(a, b)
#define VSELECT_NEGATIVE(x, a, b) _mm256_blendv_pd(b, a, _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ))
#define VMAX_NAN(a, b) _mm256_blendv_pd(_mm256_max_pd(a, b), a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q))
#define VBITS(word) _mm256_castsi256_pd(_mm256_set1_epi64x((int64_t)(word)))
#define VAND(a, b) _mm256_and_pd(a, b)
#define VOR(a, b) _mm256_or_pd(a, b)
#define VEXPONENT(x) _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(x), 52))
static inline __m256i NAME(first)(int64_t n) {
    static const int64_t window[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
    return _mm256_loadu_si256((const __m256i *)(window + 4 - n));
}
#define VLOAD_SOME(p, n) _mm256_maskload_pd(p, NAME(first)(n))
#define VSTORE_SOME(p, v, n) _mm256_maskstore_pd(p, NAME(first)(n), v)
#define VZIP_LOW(a, b) _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20)
#define VZIP_HIGH(a, b) _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31)
#define VZIP_QUARTERS_LOW(a, b) _mm256_unpacklo_pd(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm256_unpackhi_pd(a, b)
#define VLOAD_QUARTERS(p, step) NAME(load_quarters)(p, step)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
}
#endif
