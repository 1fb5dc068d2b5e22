/* All kernels of one (instruction set, dtype) and their Table. In: ISA, REAL_BITS, one SIMD_* macro. Out: NAME(table).
   Everything is static, so code of one instruction set can never be linked into another's path. */
#include <math.h>
#include <string.h>
#include "table.h"

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define NAME(x) PASTE(x, ISA, REAL_BITS)
#define QUOTE_(x) #x
#define QUOTE(x) QUOTE_(x)
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 32")
#define ROLLED _Pragma("GCC unroll 1")
#else
#define UNROLL
#define ROLLED
#endif

/* Tells the compiler nothing that is true of two pointers, so that it keeps addressing pixels from them instead of
   making fourteen pointers that do not fit its registers. */
#if defined(__GNUC__) || defined(__clang__) /* clang-cl defines only the second */
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define KEEP(a) __asm__("" : "+r"(a))
#define KEEP_BASES(a, b) __asm__("" : "+r"(a), "+r"(b))
#define PREFETCH_L1(p) __builtin_prefetch(p, 0, 3)
#define PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define INLINE static __forceinline
#define NOINLINE static __declspec(noinline)
#define KEEP(a) ((void)0)
#define KEEP_BASES(a, b) ((void)0)
#define PREFETCH_L1(p) ((void)(p))
#define PREFETCH_L2(p) ((void)(p))
#define PREFETCH(p) ((void)(p))
#endif

#include "simd.h"
#include "exponential.h"
#include "epilogue.h"
#include "sections.h"
#include "microkernel.h"
/* Forms for shapes that fill few lanes, and lines of depthwise kernels, are not worth their code for doubles (200 KB over all instruction
   sets). Where a table has none, the planner takes the general form. */
#define SPECIAL (REAL_BITS == 32)
#include "depthwise.h"
#if LANES > 1 && SPECIAL
#include "lanewise.h"
#endif
#include "pixel_vectors.h"
#include "few_channels.h"
#include "tall_skinny.h"
#include "wide.h"
#include "pooling.h"
#include "softmax.h"
#include "winograd.h"
#include "few_rows.h"
#include "pass.h"
#include "reduce.h"
#include "norm.h"
#include "resample.h"

/* So many independent chains hide the latency of FMA, 4 or 5 cycles, twice a cycle; of 24, Clang 16 spilled 8 (118 -> 81 to 91 GFLOP/s).
   Different start values keep the compiler from merging them; 1 stays 1, and Clang left its chain out. */
static double NAME(peak)(int64_t rounds) {
    enum { CHAINS = TILE_MR >= 12 ? 12 : 10 };
    V acc[CHAINS], a = VSPLAT((REAL)0.999), b = VSPLAT((REAL)1e-3);
    UNROLL for (int i = 0; i < CHAINS; i++) acc[i] = VSPLAT((REAL)(i + 2));
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

/* the instances of one nr, from mr = 1 */
#if TILE_MR == 14
#define ROW(f) 0, NAME(f##_1), NAME(f##_2), NAME(f##_3), NAME(f##_4), NAME(f##_5), NAME(f##_6), NAME(f##_7), NAME(f##_8), \
    NAME(f##_9), NAME(f##_10), NAME(f##_11), NAME(f##_12), NAME(f##_13), NAME(f##_14)
#elif TILE_MR == 12
#define ROW(f) 0, NAME(f##_1), NAME(f##_2), NAME(f##_3), NAME(f##_4), NAME(f##_5), NAME(f##_6), NAME(f##_7), NAME(f##_8), \
    NAME(f##_9), NAME(f##_10), NAME(f##_11), NAME(f##_12)
#elif TILE_MR == 6
#define ROW(f) 0, NAME(f##_1), NAME(f##_2), NAME(f##_3), NAME(f##_4), NAME(f##_5), NAME(f##_6)
#else
#define ROW(f) 0, NAME(f##_1), NAME(f##_2), NAME(f##_3), NAME(f##_4)
#endif

static const Table NAME(table) = {
    .isa = QUOTE(ISA),
    .itemsize = REAL_BITS / 8,
    .lanes = LANES,
    .mr = TILE_MR,
    .nr = MAX_NR,
    .depthwise_mr = MAX_DEPTHWISE_MR,
    .line_rows = LINE_ROWS,
    .fma = HAS_FMA,
    .winograd_input = NAME(winograd_input),
    .winograd_output = NAME(winograd_output),
    .winograd_kernel = NAME(winograd_kernel),
    .gathered = {[1] = {ROW(gathered_1)}, [2] = {ROW(gathered_2)}},
#if HAS_HALF
    .strided = {[1] = {ROW(narrow_1)}, [2] = {ROW(strided_1)}, [3] = {ROW(narrow_2)}, [4] = {ROW(strided_2)}},
#else
    .strided = {[1] = {ROW(strided_1)}, [2] = {ROW(strided_1)}, [3] = {ROW(strided_2)}, [4] = {ROW(strided_2)}},
#endif
    .depthwise = NAME(depthwise),
    .move_sums = NAME(move_sums),
    .add_low = NAME(add_low),
#if SPECIAL
    .pixels = {ROW(pixels)},
    .pixel_transpose = NAME(pixel_transpose),
    .pixel_line = NAME(pixel_line),
    .depthwise_line = {[1] = {[3] = NAME(line_1_3), [5] = NAME(line_1_5)}, [2] = {[3] = NAME(line_2_3), [5] = NAME(line_2_5)}},
#endif
#if LANES > 1 && SPECIAL
    .lanewise = NAME(lanewise),
    .lanewise_copy = NAME(lanewise_copy),
#ifdef VPERMUTE
    .lanewise_point = NAME(lanewise_point),
#endif
#endif
    .few_rows = NAME(few_rows),
    .few_rows_end = NAME(few_rows_end),
    .all_finite = NAME(all_finite),
    .take_panel = NAME(take_panel),
    .skinny_sums = SKINNY_SUMS,
#if SKINNY_SUMS
    .tall_skinny = NAME(tall_skinny),
#endif
    .activate = NAME(activate),
    .softmax = NAME(softmax),
    .pool = NAME(pool),
    .steps = {NAME(pass), NAME(sum), NAME(largest), NAME(layer_norm), NAME(transpose), NAME(resample_line)},
    .peak = NAME(peak),
};

#undef NAME
#undef PASTE
#undef PASTE_
#undef QUOTE
#undef QUOTE_
#undef UNROLL
#undef ROLLED
#undef KEEP
#undef KEEP_BASES
#undef INLINE
#undef NOINLINE
#undef PREFETCH_L2
#undef ROW
#undef SKINNY_SUMS
#undef SPECIAL
