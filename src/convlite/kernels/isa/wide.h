/* Doubles for sums of floats: a wide vector holds WIDE_LANES doubles, WIDEN(p) makes one of so many elements of the table's dtype. Of double it
   is the vector itself. */

#undef WIDE
#undef WIDE_LANES
#undef WIDEN
#undef WIDE_LOAD
#undef WIDE_STORE
#undef WIDE_ZERO
#undef WIDE_ADD
#undef WIDE_SUB
#undef WIDE_MUL

#if REAL_BITS == 64
#define WIDE V
#define WIDE_LANES LANES
#define WIDEN(p) VLOAD(p)
#define WIDE_LOAD(p) VLOAD(p)
#define WIDE_STORE(p, v) VSTORE(p, v)
#define WIDE_ZERO() VZERO()
#define WIDE_ADD(a, b) VADD(a, b)
#define WIDE_SUB(a, b) VSUB(a, b)
#define WIDE_MUL(a, b) VMUL(a, b)
#elif defined(SIMD_AVX512)
#define WIDE __m512d
#define WIDE_LANES 8
#define WIDEN(p) _mm512_cvtps_pd(_mm256_loadu_ps(p))
#define WIDE_LOAD(p) _mm512_loadu_pd(p)
#define WIDE_STORE(p, v) _mm512_storeu_pd(p, v)
#define WIDE_ZERO() _mm512_setzero_pd()
#define WIDE_ADD(a, b) _mm512_add_pd(a, b)
#define WIDE_SUB(a, b) _mm512_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm512_mul_pd(a, b)
#elif defined(SIMD_AVX2)
#define WIDE __m256d
#define WIDE_LANES 4
#define WIDEN(p) _mm256_cvtps_pd(_mm_loadu_ps(p))
#define WIDE_LOAD(p) _mm256_loadu_pd(p)
#define WIDE_STORE(p, v) _mm256_storeu_pd(p, v)
#define WIDE_ZERO() _mm256_setzero_pd()
#define WIDE_ADD(a, b) _mm256_add_pd(a, b)
#define WIDE_SUB(a, b) _mm256_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm256_mul_pd(a, b)
#elif defined(SIMD_SSE2)
#define WIDE __m128d
#define WIDE_LANES 2
#define WIDEN(p) _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(p))))
#define WIDE_LOAD(p) _mm_loadu_pd(p)
#define WIDE_STORE(p, v) _mm_storeu_pd(p, v)
#define WIDE_ZERO() _mm_setzero_pd()
#define WIDE_ADD(a, b) _mm_add_pd(a, b)
#define WIDE_SUB(a, b) _mm_sub_pd(a, b)
#define WIDE_MUL(a, b) _mm_mul_pd(a, b)
#elif defined(SIMD_NEON)
#define WIDE float64x2_t
#define WIDE_LANES 2
#define WIDEN(p) vcvt_f64_f32(vld1_f32(p))
#define WIDE_LOAD(p) vld1q_f64(p)
#define WIDE_STORE(p, v) vst1q_f64(p, v)
#define WIDE_ZERO() vdupq_n_f64(0.0)
#define WIDE_ADD(a, b) vaddq_f64(a, b)
#define WIDE_SUB(a, b) vsubq_f64(a, b)
#define WIDE_MUL(a, b) vmulq_f64(a, b)
#else
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
