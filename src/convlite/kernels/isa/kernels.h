/* All kernels of one (instruction set, dtype) and their Table. In: ISA, REAL_BITS, one SIMD_* macro. Out: NAME(table).
   Everything is static, so code of one instruction set can never be linked into another's path. */
#include <math.h>
#include "table.h"

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define NAME(x) PASTE(x, ISA, REAL_BITS)
#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 32")
#else
#define UNROLL
#endif

#include "simd.h"
#include "epilogue.h"
#include "microkernel.h"
#include "depthwise.h"

/* 24 independent chains (10 where there are 16 registers) hide the latency of FMA; different start values keep the compiler from merging them. */
static double NAME(peak)(int64_t rounds) {
    enum { CHAINS = TILE_MR >= 12 ? 24 : 10 };
    V acc[CHAINS], a = VSPLAT((REAL)0.999), b = VSPLAT((REAL)1e-3);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = VSPLAT((REAL)i);
    for (int64_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = VFMA(acc[i], a, b);
    }
    REAL lane[LANES];
    double sum = 0;
    UNROLL for (int i = 0; i < CHAINS; i++) {
        VSTORE(lane, acc[i]);
        sum += (double)lane[0];
    }
    return sum == sum ? 2.0 * LANES * CHAINS * (double)rounds : 0;
}

static const Table NAME(table) = {
    .isa = QUOTE(ISA),
    .itemsize = REAL_BITS / 8,
    .lanes = LANES,
    .mr = TILE_MR,
    .nr = MAX_NR,
    .depthwise_mr = MAX_DEPTHWISE_MR,
    .fma = HAS_FMA,
    .tile = {[1] = {[1] = NAME(tile_1_1), [2] = NAME(tile_1_2), [3] = NAME(tile_1_3), [4] = NAME(tile_1_4),
#if TILE_MR >= 6
                    [5] = NAME(tile_1_5), [6] = NAME(tile_1_6),
#endif
#if TILE_MR >= 12
                    [7] = NAME(tile_1_7), [8] = NAME(tile_1_8), [9] = NAME(tile_1_9), [10] = NAME(tile_1_10),
                    [11] = NAME(tile_1_11), [12] = NAME(tile_1_12),
#endif
#if TILE_MR >= 14
                    [13] = NAME(tile_1_13), [14] = NAME(tile_1_14),
#endif
             },
             [2] = {[1] = NAME(tile_2_1), [2] = NAME(tile_2_2), [3] = NAME(tile_2_3), [4] = NAME(tile_2_4),
#if TILE_MR >= 6
                    [5] = NAME(tile_2_5), [6] = NAME(tile_2_6),
#endif
#if TILE_MR >= 12
                    [7] = NAME(tile_2_7), [8] = NAME(tile_2_8), [9] = NAME(tile_2_9), [10] = NAME(tile_2_10),
                    [11] = NAME(tile_2_11), [12] = NAME(tile_2_12),
#endif
#if TILE_MR >= 14
                    [13] = NAME(tile_2_13), [14] = NAME(tile_2_14),
#endif
             }},
    .depthwise = NAME(depthwise),
    .activate = NAME(activate),
    .peak = NAME(peak),
};

#undef NAME
#undef PASTE
#undef PASTE_
#undef QUOTE
#undef QUOTE_
#undef UNROLL
