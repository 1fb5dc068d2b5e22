/* Philox 4x32-10, and what makes float32 values in [0, 1) of its words: blocks first .. last of a stream, four values each, to out[4 * block].

   With SSE2, which every x86-64 has, two blocks at a time, a word in each half of a vector: its multiplication reads the lower 32 bits of each half,
   and what stands above them does not matter until the end. */
#ifndef CONVLITE_PHILOX_H
#define CONVLITE_PHILOX_H
#include <stdint.h>
#include <string.h>

enum { PHILOX_ROUNDS = 10 };
static const uint32_t PHILOX_M0 = 0xD2511F53, PHILOX_M1 = 0xCD9E8D57, PHILOX_K0 = 0x9E3779B9, PHILOX_K1 = 0xBB67AE85;

/* 23 bits of a word are the fraction of a float in [1, 2), from which 1 is taken. */
static inline void philox_values(const uint32_t *words, float *out) {
    for (int i = 0; i < 4; i++) {
        const uint32_t bits = (words[i] & 0x7FFFFF) | 0x3F800000;
        float value;
        memcpy(&value, &bits, sizeof(value));
        out[i] = value - 1;
    }
}

static inline void philox_block(uint64_t block, uint64_t upper, uint32_t k0, uint32_t k1, float *out) {
    uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)upper, (uint32_t)(upper >> 32)};
    for (int round = 0; round < PHILOX_ROUNDS; round++, k0 += PHILOX_K0, k1 += PHILOX_K1) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c[0], p1 = (uint64_t)PHILOX_M1 * c[2];
        c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, c[1] = (uint32_t)p1;
        c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1, c[3] = (uint32_t)p0;
    }
    philox_values(c, out);
}

#ifdef __SSE2__
#include <emmintrin.h>

static inline void philox_blocks(uint64_t first, uint64_t last, uint64_t upper, uint32_t key0, uint32_t key1, float *out) {
    const __m128i m0 = _mm_set1_epi64x(PHILOX_M0), m1 = _mm_set1_epi64x(PHILOX_M1), low = _mm_set1_epi64x(UINT32_MAX);
    const __m128i fraction = _mm_set1_epi32(0x7FFFFF), exponent = _mm_set1_epi32(0x3F800000);
    const __m128 one = _mm_set1_ps(1);
    enum { PAIRS = 3 }; /* independent chains */
    for (; first + 2 * PAIRS <= last; first += 2 * PAIRS) {
        __m128i c0[PAIRS], c1[PAIRS], c2[PAIRS], c3[PAIRS];
        uint32_t k0 = key0, k1 = key1;
        for (int i = 0; i < PAIRS; i++) {
            const uint64_t block = first + 2 * (uint64_t)i;
            c0[i] = _mm_set_epi64x((int64_t)(block + 1), (int64_t)block);
            c1[i] = _mm_srli_epi64(c0[i], 32);
            c2[i] = _mm_set1_epi64x((int64_t)upper);
            c3[i] = _mm_set1_epi64x((int64_t)(upper >> 32));
        }
        for (int round = 0; round < PHILOX_ROUNDS; round++, k0 += PHILOX_K0, k1 += PHILOX_K1) {
            const __m128i a = _mm_set1_epi64x(k0), b = _mm_set1_epi64x(k1);
            for (int i = 0; i < PAIRS; i++) {
                const __m128i p0 = _mm_mul_epu32(m0, c0[i]), p1 = _mm_mul_epu32(m1, c2[i]);
                c0[i] = _mm_xor_si128(_mm_xor_si128(_mm_srli_epi64(p1, 32), c1[i]), a), c1[i] = p1;
                c2[i] = _mm_xor_si128(_mm_xor_si128(_mm_srli_epi64(p0, 32), c3[i]), b), c3[i] = p0;
            }
        }
        for (int i = 0; i < PAIRS; i++) { /* words 0 and 1, and 2 and 3, of both blocks; then block by block */
            const __m128i w01 = _mm_or_si128(_mm_and_si128(c0[i], low), _mm_slli_epi64(c1[i], 32));
            const __m128i w23 = _mm_or_si128(_mm_and_si128(c2[i], low), _mm_slli_epi64(c3[i], 32));
            const __m128i blocks[2] = {_mm_unpacklo_epi64(w01, w23), _mm_unpackhi_epi64(w01, w23)};
            for (int j = 0; j < 2; j++) {
                const __m128i bits = _mm_or_si128(_mm_and_si128(blocks[j], fraction), exponent);
                _mm_storeu_ps(out + 4 * (first + 2 * (uint64_t)i + (uint64_t)j), _mm_sub_ps(_mm_castsi128_ps(bits), one));
            }
        }
    }
    for (; first < last; first++) philox_block(first, upper, key0, key1, out + 4 * first);
}
#else
static inline void philox_blocks(uint64_t first, uint64_t last, uint64_t upper, uint32_t k0, uint32_t k1, float *out) {
    for (; first < last; first++) philox_block(first, upper, k0, k1, out + 4 * first);
}
#endif
#endif
