/* AVX-512F with 32 registers, and VL for half vectors in all of them. */
#include <immintrin.h>
#define HAS_FMA 1
#define TILE_MR 14 /* 14x2: 28 sums + 2 weights + 1 splat fit 32 registers; for doubles 6x2 took 58 KB less code, and 1.02 to 1.3 times the time */
#define VECTOR_NANOSECONDS 0.22
#if REAL_BITS == 32
#define V __m512
#define LANES 16
#define FMA_INSTRUCTION "vfmadd231ps"
#define VZERO() _mm512_setzero_ps()
#define VLOAD(p) _mm512_loadu_ps(p)
#define VSTORE(p, v) _mm512_storeu_ps(p, v)
#define VSTREAM(p, v) _mm512_stream_ps(p, v)
#define VSPLAT(s) _mm512_set1_ps(s)
#define VFMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VADD(a, b) _mm512_add_ps(a, b)
#define VSUB(a, b) _mm512_sub_ps(a, b)
#define VMUL(a, b) _mm512_mul_ps(a, b)
#define VDIV(a, b) _mm512_div_ps(a, b)
#define VMAX(a, b) _mm512_max_ps(a, b)
#define VMIN(a, b) _mm512_min_ps(a, b)
#define VSELECT_NEGATIVE(x, a, b) _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), a)
#define VMAX_NAN(a, b) _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a)
#define VBITS(word) _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)(word)))
#define VAND(a, b) _mm512_castsi512_ps(_mm512_and_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)))
#define VOR(a, b) _mm512_castsi512_ps(_mm512_or_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)))
#define VEXPONENT(x) _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(x), 23))
#define HALF __m256
#define HALF_LOAD(p) _mm256_loadu_ps(p)
#define HALF_SPLAT(s) _mm256_set1_ps(s)
#define HALF_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define FIRST_HALF(v) _mm512_castps512_ps256(v)
#define FROM_HALF(h) _mm512_castps256_ps512(h)
#define VLOAD_SOME(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define VSTORE_SOME(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), v)
#define VZIP_LOW(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b)
#define VZIP_HIGH(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b)
#define VPERMUTE(v, places) _mm512_permutexvar_ps(_mm512_loadu_si512(places), v)
#define VZIP_QUARTERS_LOW(a, b) _mm512_unpacklo_ps(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm512_unpackhi_ps(a, b)
#define VPAIR_LOW(a, b) _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define VPAIR_HIGH(a, b) _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define VLOAD_QUARTERS(p, step) NAME(load_quarters)(p, step)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    V v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
}
#define WIDE __m512d
#define WIDE_LANES 8
#define WIDEN(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define WIDE_LOAD(p) _mm512_loadu_pd(p)
#define WIDE_STORE(p, v) _mm512_storeu_pd(p, v)
#define WIDE_ZERO() _mm512_setzero_pd()
#define WIDE_ADD(a, b) _mm512_add_pd(a, b)
#define WIDE_SUB(a, b) _mm512_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm512_mul_pd(a, b)
#else
#define V __m512d
#define LANES 8
#define VZERO() _mm512_setzero_pd()
#define VLOAD(p) _mm512_loadu_pd(p)
#define VSTORE(p, v) _mm512_storeu_pd(p, v)
#define VSPLAT(s) _mm512_set1_pd(s)
#define VFMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define VADD(a, b) _mm512_add_pd(a, b)
#define VSUB(a, b) _mm512_sub_pd(a, b)
#define VMUL(a, b) _mm512_mul_pd(a, b)
#define VDIV(a, b) _mm512_div_pd(a, b)
#define VMAX(a, b) _mm512_max_pd(a, b)
#define VMIN(a, b) _mm512_min_pd(a, b)
#define VSELECT_NEGATIVE(x, a, b) _mm512_mask_mov_pd(b, _mm512_cmp_pd_mask(x, _mm512_setzero_pd(), _CMP_LT_OQ), a)
#define VMAX_NAN(a, b) _mm512_mask_mov_pd(_mm512_max_pd(a, b), _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q), a)
#define VBITS(word) _mm512_castsi512_pd(_mm512_set1_epi64((int64_t)(word)))
#define VAND(a, b) _mm512_castsi512_pd(_mm512_and_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)))
#define VOR(a, b) _mm512_castsi512_pd(_mm512_or_epi64(_mm512_castpd_si512(a), _mm512_castpd_si512(b)))
#define VEXPONENT(x) _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(x), 52))
/* No HALF: narrow tiles of doubles took 58 KB of code. */
#define VLOAD_SOME(p, n) _mm512_maskz_loadu_pd((__mmask8)((1u << (n)) - 1), p)
#define VSTORE_SOME(p, v, n) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (n)) - 1), v)
#define VZIP_LOW(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b)
#define VZIP_HIGH(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b)
#define VZIP_QUARTERS_LOW(a, b) _mm512_unpacklo_pd(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm512_unpackhi_pd(a, b)
#define VLOAD_QUARTERS(p, step) NAME(load_quarters)(p, step)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) { /* inserts of two doubles are AVX512DQ */
    __m512 v = _mm512_castpd_ps(_mm512_castpd128_pd512(_mm_loadu_pd(p)));
    v = _mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + step)), 1);
    v = _mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + 2 * step)), 2);
    return _mm512_castps_pd(_mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + 3 * step)), 3));
}
#endif
