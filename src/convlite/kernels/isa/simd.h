/* The vocabulary: what the kernels say about vectors, one block per instruction set, included once for float and once for double.

   In:  REAL_BITS (32 or 64) and one of SIMD_AVX512, SIMD_AVX2, SIMD_SSE2, SIMD_NEON, SIMD_SCALAR.
   Out: REAL, V, LANES, TILE_MR (pixels of the largest tile), VZERO, VLOAD (aligned or not), VSTORE, VSPLAT(scalar), VFMA(a, b, c) = a*b + c,
        VADD, VSUB, VMUL, VDIV, VMAX(a, b), VMIN(a, b), VSELECT_NEGATIVE(x, a, b) = x < 0 ? a : b; on the bits: VBITS(word) a splat,
        VAND, VOR, VEXPONENT(x) = the bits of x shifted so far left that the lowest ones become the exponent; and as functions
        NAME(load_some), NAME(store_some) for the first n < LANES elements: they touch no byte beyond.
        HAS_MASKS: whether load_some is an instruction, also for 0 and LANES elements.
        HAS_HALF: whether multiply-adds of half vectors cost less. HALF, HALF_LOAD, HALF_SPLAT, HALF_FMA: as above, of LANES/2 elements;
        FIRST_HALF(v), and FROM_HALF(h), whose second half is undefined: neither is an instruction.
   VMAX and VMIN return b when either operand is NaN: put the data second and NaN travels through.
   VMAX_NAN(a, b) returns NaN when either operand is. */

#undef REAL
#undef V
#undef LANES
#undef TILE_MR
#undef VZERO
#undef VLOAD
#undef VSTORE
#undef VSPLAT
#undef VFMA
#undef VADD
#undef VSUB
#undef VMUL
#undef VDIV
#undef VMAX
#undef VMIN
#undef VSELECT_NEGATIVE
#undef VMAX_NAN
#undef VBITS
#undef VAND
#undef VOR
#undef VEXPONENT
#undef WORD
#undef HAS_FMA
#undef HAS_HALF
#undef HAS_MASKS
#undef HALF
#undef HALF_LOAD
#undef HALF_SPLAT
#undef HALF_FMA
#undef FIRST_HALF
#undef FROM_HALF

#if REAL_BITS == 32
#define REAL float
#define WORD uint32_t
#else
#define REAL double
#define WORD uint64_t
#endif

#if defined(SIMD_AVX512) /* ------------------------------------------------------------- AVX-512F and VL, 32 registers */
#include <immintrin.h>
#define HAS_FMA 1
#define TILE_MR 14 /* 14x2: 28 sums + 2 weights + 1 splat fit 32 registers */
#if REAL_BITS == 32
#define V __m512
#define LANES 16
#define VZERO() _mm512_setzero_ps()
#define VLOAD(p) _mm512_loadu_ps(p)
#define VSTORE(p, v) _mm512_storeu_ps(p, v)
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
static inline V NAME(load_some)(const REAL *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
static inline void NAME(store_some)(REAL *p, V v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
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
/* No HALF: narrow tiles of doubles took 58 KB. */
static inline V NAME(load_some)(const REAL *p, int64_t n) { return _mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
static inline void NAME(store_some)(REAL *p, V v, int64_t n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), v); }
#endif

#elif defined(SIMD_AVX2) /* ------------------------------------------------------------- AVX2 + FMA, 16 registers */
#include <immintrin.h>
#define HAS_FMA 1
#define TILE_MR 6 /* 6x2: 12 sums + 2 weights + 1 splat of 16 registers */
#if REAL_BITS == 32
#define V __m256
#define LANES 8
#define VZERO() _mm256_setzero_ps()
#define VLOAD(p) _mm256_loadu_ps(p)
#define VSTORE(p, v) _mm256_storeu_ps(p, v)
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
static inline V NAME(load_some)(const REAL *p, int64_t n) { return _mm256_maskload_ps(p, NAME(first)(n)); }
static inline void NAME(store_some)(REAL *p, V v, int64_t n) { _mm256_maskstore_ps(p, NAME(first)(n), v); }
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
static inline V NAME(load_some)(const REAL *p, int64_t n) { return _mm256_maskload_pd(p, NAME(first)(n)); }
static inline void NAME(store_some)(REAL *p, V v, int64_t n) { _mm256_maskstore_pd(p, NAME(first)(n), v); }
#endif

#elif defined(SIMD_SSE2) /* ------------------------------------------- SSE2, the floor of x86-64: no FMA, two roundings */
#include <emmintrin.h>
#define HAS_FMA 0
#define TILE_MR 6
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
#endif
#define VSELECT_NEGATIVE(x, a, b) NAME(select_negative)(x, a, b)

#elif defined(SIMD_NEON) /* ------------------------------------------------ NEON, the floor of arm64: FMA, 32 registers */
#include <arm_neon.h>
#define HAS_FMA 1
#define TILE_MR 12 /* 12x2: 24 sums + 2 weights + splats of 32 registers */
#if REAL_BITS == 32
#define V float32x4_t
#define LANES 4
#define VZERO() vdupq_n_f32(0.0f)
#define VLOAD(p) vld1q_f32(p)
#define VSTORE(p, v) vst1q_f32(p, v)
#define VSPLAT(s) vdupq_n_f32(s)
#define VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VADD(a, b) vaddq_f32(a, b)
#define VSUB(a, b) vsubq_f32(a, b)
#define VMUL(a, b) vmulq_f32(a, b)
#define VDIV(a, b) vdivq_f32(a, b)
#define VMAX(a, b) vbslq_f32(vcgtq_f32(a, b), a, b) /* as on x86: -0 and NaN come from b */
#define VMIN(a, b) vbslq_f32(vcltq_f32(a, b), a, b)
#define VSELECT_NEGATIVE(x, a, b) vbslq_f32(vcltq_f32(x, vdupq_n_f32(0.0f)), a, b)
#define VMAX_NAN(a, b) vbslq_f32(vceqq_f32(a, a), VMAX(a, b), a) /* vmaxq_f32 would take +0 of two zeros, x86 takes b */
#define VBITS(word) vreinterpretq_f32_u32(vdupq_n_u32(word))
#define VAND(a, b) vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define VOR(a, b) vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define VEXPONENT(x) vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(x), 23))
#else
#define V float64x2_t
#define LANES 2
#define VZERO() vdupq_n_f64(0.0)
#define VLOAD(p) vld1q_f64(p)
#define VSTORE(p, v) vst1q_f64(p, v)
#define VSPLAT(s) vdupq_n_f64(s)
#define VFMA(a, b, c) vfmaq_f64(c, a, b)
#define VADD(a, b) vaddq_f64(a, b)
#define VSUB(a, b) vsubq_f64(a, b)
#define VMUL(a, b) vmulq_f64(a, b)
#define VDIV(a, b) vdivq_f64(a, b)
#define VMAX(a, b) vbslq_f64(vcgtq_f64(a, b), a, b) /* as on x86: -0 and NaN come from b */
#define VMIN(a, b) vbslq_f64(vcltq_f64(a, b), a, b)
#define VSELECT_NEGATIVE(x, a, b) vbslq_f64(vcltq_f64(x, vdupq_n_f64(0.0)), a, b)
#define VMAX_NAN(a, b) vbslq_f64(vceqq_f64(a, a), VMAX(a, b), a)
#define VBITS(word) vreinterpretq_f64_u64(vdupq_n_u64(word))
#define VAND(a, b) vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define VOR(a, b) vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define VEXPONENT(x) vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(x), 52))
#endif

#else /* ------------------------------------------------------------------- any other platform: one element at a time */
#define HAS_FMA 0
#define TILE_MR 4
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
#endif

#if defined(SIMD_AVX512) || defined(SIMD_AVX2)
#define HAS_MASKS 1
#else
#define HAS_MASKS 0
#endif

/* Elsewhere whole vectors stand in, so that the code compiles: AVX2's multiply-adds of 16 bytes take as long as those of 32. */
#ifdef HALF
#define HAS_HALF 1
#else
#define HAS_HALF 0
#define HALF V
#define HALF_LOAD(p) VLOAD(p)
#define HALF_SPLAT(s) VSPLAT(s)
#define HALF_FMA(a, b, c) VFMA(a, b, c)
#define FIRST_HALF(v) (v)
#define FROM_HALF(h) (h)
#endif

/* VZIP_LOW(a, b) = a0 b0 a1 b1 ..., VZIP_HIGH its second half. */
#undef VZIP_LOW
#undef VZIP_HIGH
#if defined(SIMD_AVX512) && REAL_BITS == 32
#define VZIP_LOW(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b)
#define VZIP_HIGH(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b)
#elif defined(SIMD_AVX512)
#define VZIP_LOW(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b)
#define VZIP_HIGH(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b)
#elif defined(SIMD_AVX2) && REAL_BITS == 32
#define VZIP_LOW(a, b) _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20)
#define VZIP_HIGH(a, b) _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31)
#elif defined(SIMD_AVX2)
#define VZIP_LOW(a, b) _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20)
#define VZIP_HIGH(a, b) _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31)
#elif defined(SIMD_SSE2) && REAL_BITS == 32
#define VZIP_LOW(a, b) _mm_unpacklo_ps(a, b)
#define VZIP_HIGH(a, b) _mm_unpackhi_ps(a, b)
#elif defined(SIMD_SSE2)
#define VZIP_LOW(a, b) _mm_unpacklo_pd(a, b)
#define VZIP_HIGH(a, b) _mm_unpackhi_pd(a, b)
#elif defined(SIMD_NEON) && REAL_BITS == 32
#define VZIP_LOW(a, b) vzip1q_f32(a, b)
#define VZIP_HIGH(a, b) vzip2q_f32(a, b)
#elif defined(SIMD_NEON)
#define VZIP_LOW(a, b) vzip1q_f64(a, b)
#define VZIP_HIGH(a, b) vzip2q_f64(a, b)
#else
#define VZIP_LOW(a, b) (a)
#define VZIP_HIGH(a, b) (b)
#endif

/* VPERMUTE(v, places) = v[places[0]], v[places[1]], ...: of float, where an instruction does it. */
#undef VPERMUTE
#if defined(SIMD_AVX512) && REAL_BITS == 32
#define VPERMUTE(v, places) _mm512_permutexvar_ps(_mm512_loadu_si512(places), v)
#elif defined(SIMD_AVX2) && REAL_BITS == 32
#define VPERMUTE(v, places) _mm256_permutevar8x32_ps(v, _mm256_loadu_si256((const __m256i *)(places)))
#endif

/* Vectors as quarters of 16 bytes, QUARTER elements each: zips within each quarter, which are cheaper than whole ones, and load_quarters: one
   quarter from each of p, p + step, ... Of float in AVX2 and AVX-512 also VPAIR_*, zips of pairs. */
#undef QUARTER
#undef VZIP_QUARTERS_LOW
#undef VZIP_QUARTERS_HIGH
#undef VPAIR_LOW
#undef VPAIR_HIGH
#define QUARTER (128 / REAL_BITS)
#if defined(SIMD_AVX512) && REAL_BITS == 32
#define VZIP_QUARTERS_LOW(a, b) _mm512_unpacklo_ps(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm512_unpackhi_ps(a, b)
#define VPAIR_LOW(a, b) _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
#define VPAIR_HIGH(a, b) _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    V v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
}
#elif defined(SIMD_AVX512)
#define VZIP_QUARTERS_LOW(a, b) _mm512_unpacklo_pd(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm512_unpackhi_pd(a, b)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) { /* inserts of two doubles are AVX512DQ */
    __m512 v = _mm512_castpd_ps(_mm512_castpd128_pd512(_mm_loadu_pd(p)));
    v = _mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + step)), 1);
    v = _mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + 2 * step)), 2);
    return _mm512_castps_pd(_mm512_insertf32x4(v, _mm_castpd_ps(_mm_loadu_pd(p + 3 * step)), 3));
}
#elif defined(SIMD_AVX2) && REAL_BITS == 32
#define VZIP_QUARTERS_LOW(a, b) _mm256_unpacklo_ps(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm256_unpackhi_ps(a, b)
#define VPAIR_LOW(a, b) _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
#define VPAIR_HIGH(a, b) _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
#elif defined(SIMD_AVX2)
#define VZIP_QUARTERS_LOW(a, b) _mm256_unpacklo_pd(a, b)
#define VZIP_QUARTERS_HIGH(a, b) _mm256_unpackhi_pd(a, b)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p)), _mm_loadu_pd(p + step), 1);
}
#elif LANES > 1 /* a vector is one quarter */
#define VZIP_QUARTERS_LOW(a, b) VZIP_LOW(a, b)
#define VZIP_QUARTERS_HIGH(a, b) VZIP_HIGH(a, b)
static inline V NAME(load_quarters)(const REAL *p, int64_t step) {
    (void)step;
    return VLOAD(p);
}
#endif

#if !defined(SIMD_AVX512) && !defined(SIMD_AVX2)
static inline V NAME(load_some)(const REAL *p, int64_t n) {
    REAL lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++) lane[i] = p[i];
    return VLOAD(lane);
}
static inline void NAME(store_some)(REAL *p, V v, int64_t n) {
    REAL lane[LANES];
    VSTORE(lane, v);
    for (int64_t i = 0; i < n; i++) p[i] = lane[i];
}
#endif
