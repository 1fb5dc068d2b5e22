/* All kernels of one (instruction set, element kind) and their Table. In: ISA, and what kinds/KIND.h defines. Out: NAME(table). */

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define NAME(x) PASTE(x, ISA, KIND)
#define CODE_(kind) KIND_##kind
#define CODE(kind) CODE_(kind)
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

/* Hides the value of a pointer from the compiler, so that it keeps addressing pixels from two pointers instead of making fourteen pointers that do
   not fit its registers. */
#if defined(__GNUC__) || defined(__clang__) /* clang-cl defines only the second */
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define KEEP(a) __asm__("" : "+r"(a))
#define KEEP_BASES(a, b) __asm__("" : "+r"(a), "+r"(b))
#define OFTEN(condition) __builtin_expect(!!(condition), 1)
#define PREFETCH_L1(p) __builtin_prefetch(p, 0, 3)
#define PREFETCH_L2(p) __builtin_prefetch(p, 0, 2)
#define PREFETCH(p) __builtin_prefetch(p)
#else
#define INLINE static __forceinline
#define NOINLINE static __declspec(noinline)
#define KEEP(a) ((void)0)
#define KEEP_BASES(a, b) ((void)0)
#define OFTEN(condition) (condition)
#define PREFETCH_L1(p) ((void)(p))
#define PREFETCH_L2(p) ((void)(p))
#define PREFETCH(p) ((void)(p))
#endif

#include "simd.h"

/* c += a*b in the register of c, with b in a register or `at` an address: a compiler's own choice of registers moved two of 28 sums to the
   stack and back at each turn, and three of 10 in AVX2's tiles of five pixels (3x3 on 256 channels of 14x14 took 1.17 times as long, Zen 3). AVX-512's tiles
   of one vector must not use it: their multiply-adds splat from memory, and took 1.4 times as long. */
#if defined(FMA_INSTRUCTION) && (defined(__GNUC__) || defined(__clang__))
#define JOINS_ENDS 1
#define FMA_TO(c, a, b) __asm__(FMA_INSTRUCTION " %2, %1, %0" : "+v"(c) : "v"(a), "v"(b))
#define FMA_AT(c, a, at) __asm__(FMA_INSTRUCTION " %2, %1, %0" : "+v"(c) : "v"(a), "m"(*(const V *)(at)))
#else
#define JOINS_ENDS 0
#define FMA_TO(c, a, b) ((c) = VFMA(a, b, c))
#define FMA_AT(c, a, at) ((c) = VFMA(a, VLOAD(at), c))
#endif

/* X(arg, m) for each size m of a tile */
#if TILE_MR == 14
#define EACH_MR(X, arg) X(arg, 1) X(arg, 2) X(arg, 3) X(arg, 4) X(arg, 5) X(arg, 6) X(arg, 7) X(arg, 8) X(arg, 9) X(arg, 10) X(arg, 11) \
    X(arg, 12) X(arg, 13) X(arg, 14)
#elif TILE_MR == 12
#define EACH_MR(X, arg) X(arg, 1) X(arg, 2) X(arg, 3) X(arg, 4) X(arg, 5) X(arg, 6) X(arg, 7) X(arg, 8) X(arg, 9) X(arg, 10) X(arg, 11) \
    X(arg, 12)
#elif TILE_MR == 6
#define EACH_MR(X, arg) X(arg, 1) X(arg, 2) X(arg, 3) X(arg, 4) X(arg, 5) X(arg, 6)
#elif TILE_MR == 4
#define EACH_MR(X, arg) X(arg, 1) X(arg, 2) X(arg, 3) X(arg, 4)
#else
#error "EACH_MR knows no tile of TILE_MR pixels"
#endif

/* Strided tiles of one vector have up to TALL_MR pixels. With 16 registers six sums of one vector would wait for each other: llvm-mca counts
   1.2 FMAs a cycle in 6x1 and 1.5 in 12x1 for a Zen 2, 1.2 and 1.7 for a Haswell, 1.5 and 1.7 for a Skylake. (A Zen 1, which has half as
   many FMAs, gains 0 to 7% by fewer calls.) Tiles of a line are then joined by twos (strided.pxi). */
#if TILE_MR == 6 && HAS_FMA && REAL_BITS == 32
#define TALL_MR 12
#define EACH_TALL_MR(X, arg) X(arg, 7) X(arg, 8) X(arg, 9) X(arg, 10) X(arg, 11) X(arg, 12)
#else
#define TALL_MR TILE_MR
#define EACH_TALL_MR(X, arg)
#endif

#include "exponential.h"
#include "logarithm.h"
#include "epilogue.h"
#include "sections.h"
#include "microkernel.h"
#include "depthwise.h"
#if SPECIAL_FORMS
#include "one_pixel.h"
#endif
#if LANES > 1 && SPECIAL_FORMS
#include "lanewise.h"
#if HAS_FMA
#include "wide_lines.h"
#endif
#endif
#include "pixel_vectors.h"
#include "few_channels.h"
#include "tall_skinny.h"
#include "pooling.h"
#include "turned.h"
#include "softmax.h"
#include "winograd.h"
#include "few_rows.h"
#include "pass.h"
#include "reduce.h"
#include "norm.h"
#include "resample.h"
#include "unary.h"

/* This many independent chains hide the latency of FMA, 4 or 5 cycles, with two FMAs per cycle; with 24, Clang 16 spilled 8 (118 -> 81 to 91
   GFLOP/s). Different start values keep the compiler from merging chains; a chain that starts at 1 stays 1, and Clang removed it. */
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

#define ENTRY(f, m) [m] = NAME(f##_##m),
#define ROW(f) EACH_MR(ENTRY, f)
#define TALL_ROW(f) EACH_TALL_MR(ENTRY, f)
static const Table NAME(table) = {
    .kind = CODE(KIND),
    .itemsize = sizeof(REAL),
    .lanes = LANES,
    .mr = TILE_MR,
    .tall_mr = TALL_MR,
    .nr = MAX_NR,
    .depthwise_mr = MAX_DEPTHWISE_MR,
    .line_rows = LINE_ROWS,
    .fma = HAS_FMA,
    .streams = JOINS_ENDS && HAS_STREAM,
    .vector_nanoseconds = VECTOR_NANOSECONDS,
    .winograd_input = NAME(winograd_input),
    .winograd_output = NAME(winograd_output),
    .winograd_kernel = NAME(winograd_kernel),
    .gathered = {[1] = {ROW(gathered_1)}, [2] = {ROW(gathered_2)}},
#if HAS_HALF
    .strided = {[1] = {ROW(narrow_1)}, [2] = {ROW(strided_1)}, [3] = {ROW(narrow_2)}, [4] = {ROW(strided_2)}},
#elif REAL_BITS == 32
    .strided = {[1] = {ROW(strided_1) TALL_ROW(strided_1)}, [2] = {ROW(strided_1) TALL_ROW(strided_1)}, [3] = {ROW(strided_2)}, [4] = {ROW(strided_2)}},
#else /* see by_runs */
    .strided = {[1] = {ROW(gathered_1)}, [2] = {ROW(gathered_1)}, [3] = {ROW(gathered_2)}, [4] = {ROW(gathered_2)}},
#endif
    .depthwise = NAME(depthwise),
    .move_sums = NAME(move_sums),
    .add_low = NAME(add_low),
#if SPECIAL_FORMS
    .one_pixel = NAME(one_pixel),
    .pixels = {ROW(pixels)},
    .pixel_transpose = NAME(pixel_transpose),
    .pixel_line = NAME(pixel_line),
    .depthwise_line = {[1] = {[3] = NAME(line_1_3), [5] = NAME(line_1_5)}, [2] = {[3] = NAME(line_2_3), [5] = NAME(line_2_5)}},
#endif
#if LANES > 1 && SPECIAL_FORMS
#if HAS_FMA
    .depthwise_wide = NAME(wide),
#endif
    .lanewise = NAME(lanewise),
    .lanewise_copy = NAME(lanewise_copy),
#ifdef VPERMUTE
    .lanewise_point = NAME(lanewise_point),
#endif
#endif
    .add_rows = ADD_ROWS,
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
    .steps = {NAME(pass), NAME(sum), NAME(largest), NAME(layer_norm), NAME(transpose), NAME(resample_line), NAME(pool_line), NAME(unary)},
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
#undef OFTEN
#undef JOINS_ENDS
#undef FMA_TO
#undef FMA_AT
#undef PREFETCH_L2
#undef EACH_MR
#undef EACH_TALL_MR
#undef TALL_MR
#undef TALL_ROW
#undef ENTRY
#undef ROW
#undef SKINNY_SUMS
#undef KIND
#undef CODE
#undef CODE_
#undef REAL
#undef WORD
#undef REAL_BITS
#undef SPECIAL_FORMS
