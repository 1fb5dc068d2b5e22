/* The intrinsics of isa/simd/avx512.h for a CPU without AVX-512: each vector is two of AVX2. `.ci/emulate avx512` includes this file first.
   What an instruction leaves undefined is NaN here, so that a kernel that uses it is found. What is missing here does not compile. */
#include <immintrin.h>
#include <string.h>

typedef struct { __m256 l, h; } Pair;
typedef struct { __m256d l, h; } PairD;
typedef struct { __m256i l, h; } PairI;
#define __m512 Pair
#define __m512d PairD
#define __m512i PairI
#define FN static inline __attribute__((always_inline))

/* Both halves alike. */
#define OF_TWO(T, name, half) FN T name(T a, T b) { return (T){half(a.l, b.l), half(a.h, b.h)}; }
#define OF_FLOATS(name) OF_TWO(Pair, name##_ps, _mm256_##name##_ps) OF_TWO(PairD, name##_pd, _mm256_##name##_pd)
OF_FLOATS(add) OF_FLOATS(sub) OF_FLOATS(mul) OF_FLOATS(div) OF_FLOATS(max) OF_FLOATS(min) OF_FLOATS(unpacklo) OF_FLOATS(unpackhi)
OF_TWO(PairI, and_bits, _mm256_and_si256)
OF_TWO(PairI, or_bits, _mm256_or_si256)
FN Pair fma_ps(Pair a, Pair b, Pair c) { return (Pair){_mm256_fmadd_ps(a.l, b.l, c.l), _mm256_fmadd_ps(a.h, b.h, c.h)}; }
FN PairD fma_pd(PairD a, PairD b, PairD c) { return (PairD){_mm256_fmadd_pd(a.l, b.l, c.l), _mm256_fmadd_pd(a.h, b.h, c.h)}; }
#define OF_BITS(name, v, n) ({ PairI v_ = (v); (PairI){_mm256_##name(v_.l, n), _mm256_##name(v_.h, n)}; })
#define SPLAT(T, name, of, half) FN T name(of s) { return (T){half(s), half(s)}; }
SPLAT(Pair, splat_ps, float, _mm256_set1_ps)
SPLAT(PairD, splat_pd, double, _mm256_set1_pd)
SPLAT(PairI, splat_32, int, _mm256_set1_epi32)
SPLAT(PairI, splat_64, long long, _mm256_set1_epi64x)

/* Memory, the low half first. */
FN Pair load_ps(const float *p) { return (Pair){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
FN PairD load_pd(const double *p) { return (PairD){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
FN PairI load_bits(const void *p) { return (PairI){_mm256_loadu_si256(p), _mm256_loadu_si256((const __m256i *)p + 1)}; }
FN void save_ps(float *p, Pair v) { _mm256_storeu_ps(p, v.l), _mm256_storeu_ps(p + 8, v.h); }
FN void stream_ps(float *p, Pair v) { _mm256_stream_ps(p, v.l), _mm256_stream_ps(p + 8, v.h); }
FN void save_pd(double *p, PairD v) { _mm256_storeu_pd(p, v.l), _mm256_storeu_pd(p + 4, v.h); }

/* Masks: bit i of a number is lane i. Masked-out bytes are not touched. */
FN PairI lanes_32(unsigned m) {
    const __m256i l = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128), h = _mm256_slli_epi32(l, 8), all = _mm256_set1_epi32((int)m);
    return (PairI){_mm256_cmpeq_epi32(_mm256_and_si256(all, l), l), _mm256_cmpeq_epi32(_mm256_and_si256(all, h), h)};
}
FN PairI lanes_64(unsigned m) {
    const __m256i l = _mm256_setr_epi64x(1, 2, 4, 8), h = _mm256_slli_epi64(l, 4), all = _mm256_set1_epi64x((int)m);
    return (PairI){_mm256_cmpeq_epi64(_mm256_and_si256(all, l), l), _mm256_cmpeq_epi64(_mm256_and_si256(all, h), h)};
}
#define MASKED(T, suffix, element, lanes, half) \
    FN T some_##suffix(unsigned m, const element *p) { \
        const PairI at = lanes(m); \
        return (T){_mm256_maskload_##suffix(p, at.l), _mm256_maskload_##suffix(p + half, at.h)}; \
    } \
    FN void save_some_##suffix(element *p, unsigned m, T v) { \
        const PairI at = lanes(m); \
        _mm256_maskstore_##suffix(p, at.l, v.l), _mm256_maskstore_##suffix(p + half, at.h, v.h); \
    } \
    FN T choose_##suffix(T b, unsigned m, T a) { \
        const PairI at = lanes(m); \
        return (T){_mm256_blendv_##suffix(b.l, a.l, _mm256_castsi256_##suffix(at.l)), \
                   _mm256_blendv_##suffix(b.h, a.h, _mm256_castsi256_##suffix(at.h))}; \
    }
MASKED(Pair, ps, float, lanes_32, 8)
MASKED(PairD, pd, double, lanes_64, 4)
#define COMPARED(T, suffix, half, a, b, how) ({ \
    T a_ = (a), b_ = (b); \
    (unsigned)(_mm256_movemask_##suffix(_mm256_cmp_##suffix(a_.l, b_.l, how)) | \
               _mm256_movemask_##suffix(_mm256_cmp_##suffix(a_.h, b_.h, how)) << half); })

/* Lane by lane. */
#define PERMUTED(T, suffix, element, place, lanes) \
    FN T permuted_##suffix(T a, PairI places, T b) { \
        element from[2 * lanes], to[lanes]; \
        place at[lanes]; \
        memcpy(from, &a, 64), memcpy(from + lanes, &b, 64), memcpy(at, &places, 64); \
        for (int i = 0; i < lanes; i++) to[i] = from[at[i] & (2 * lanes - 1)]; \
        return load_##suffix(to); \
    }
PERMUTED(Pair, ps, float, int, 16)
PERMUTED(PairD, pd, double, long long, 8)
FN Pair with_quarter(Pair v, __m128 quarter, int at) {
    memcpy((char *)&v + 16 * at, &quarter, 16);
    return v;
}

/* The same bits as another type. */
#define CAST(to, name, from) FN to name(from a) { to b; memcpy(&b, &a, 64); return b; }
CAST(Pair, pd_ps, PairD) CAST(PairD, ps_pd, Pair) CAST(PairI, ps_bits, Pair) CAST(PairI, pd_bits, PairD) CAST(Pair, bits_ps, PairI)
CAST(PairD, bits_pd, PairI)
FN Pair from_half(__m256 half) { return (Pair){half, _mm256_set1_ps(__builtin_nanf(""))}; }
FN PairD widened(__m256 v) { return (PairD){_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))}; }

#undef _mm512_cmp_ps_mask
#undef _mm512_cmp_pd_mask
#undef _mm512_insertf32x4
#undef _mm512_setr_epi32
#undef _mm512_setr_epi64
#undef _mm512_slli_epi32
#undef _mm512_slli_epi64
#define _mm512_add_ps add_ps
#define _mm512_add_pd add_pd
#define _mm512_sub_ps sub_ps
#define _mm512_sub_pd sub_pd
#define _mm512_mul_ps mul_ps
#define _mm512_mul_pd mul_pd
#define _mm512_div_ps div_ps
#define _mm512_div_pd div_pd
#define _mm512_max_ps max_ps
#define _mm512_max_pd max_pd
#define _mm512_min_ps min_ps
#define _mm512_min_pd min_pd
#define _mm512_unpacklo_ps unpacklo_ps
#define _mm512_unpacklo_pd unpacklo_pd
#define _mm512_unpackhi_ps unpackhi_ps
#define _mm512_unpackhi_pd unpackhi_pd
#define _mm512_fmadd_ps fma_ps
#define _mm512_fmadd_pd fma_pd
#define _mm512_and_epi32 and_bits
#define _mm512_and_epi64 and_bits
#define _mm512_or_epi32 or_bits
#define _mm512_or_epi64 or_bits
#define _mm512_slli_epi32(v, n) OF_BITS(slli_epi32, v, n)
#define _mm512_slli_epi64(v, n) OF_BITS(slli_epi64, v, n)
#define _mm512_setzero_ps() splat_ps(0)
#define _mm512_setzero_pd() splat_pd(0)
#define _mm512_set1_ps splat_ps
#define _mm512_set1_pd splat_pd
#define _mm512_set1_epi32 splat_32
#define _mm512_set1_epi64 splat_64
#define _mm512_setr_epi32(...) load_bits((const int[16]){__VA_ARGS__})
#define _mm512_setr_epi64(...) load_bits((const long long[8]){__VA_ARGS__})
#define _mm512_loadu_ps load_ps
#define _mm512_loadu_pd load_pd
#define _mm512_loadu_si512 load_bits
#define _mm512_storeu_ps save_ps
#define _mm512_stream_ps stream_ps
#define _mm512_storeu_pd save_pd
#define _mm512_maskz_loadu_ps some_ps
#define _mm512_maskz_loadu_pd some_pd
#define _mm512_mask_storeu_ps save_some_ps
#define _mm512_mask_storeu_pd save_some_pd
#define _mm512_mask_mov_ps choose_ps
#define _mm512_mask_mov_pd choose_pd
#define _mm512_cmp_ps_mask(a, b, how) COMPARED(Pair, ps, 8, a, b, how)
#define _mm512_cmp_pd_mask(a, b, how) COMPARED(PairD, pd, 4, a, b, how)
#define _mm512_permutex2var_ps permuted_ps
#define _mm512_permutex2var_pd permuted_pd
#define _mm512_permutexvar_ps(places, v) permuted_ps(v, places, v)
#define _mm512_insertf32x4 with_quarter
#define _mm512_castps256_ps512 from_half
#define _mm512_castps512_ps256(v) ((v).l)
#define _mm512_castps128_ps512(q) with_quarter(splat_ps(__builtin_nanf("")), q, 0)
#define _mm512_castpd128_pd512(q) ps_pd(_mm512_castps128_ps512(_mm_castpd_ps(q)))
#define _mm512_castpd_ps pd_ps
#define _mm512_castps_pd ps_pd
#define _mm512_castps_si512 ps_bits
#define _mm512_castpd_si512 pd_bits
#define _mm512_castsi512_ps bits_ps
#define _mm512_castsi512_pd bits_pd
#define _mm512_cvtps_pd widened
