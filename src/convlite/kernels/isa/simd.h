/* The vector operations that the kernels use. Each instruction set has a header simd/ISA.h that defines these names; it is included here once for
   each element kind. The names that a header may leave out are made from the others below; any other missing name is an error at the end.

   In:  ISA, and REAL, WORD and REAL_BITS (32 or 64) of the kind.
   Out: V, LANES, TILE_MR (pixels of the largest tile), HAS_FMA, VECTOR_NANOSECONDS (a multiply-add of a vector in a tile: plan/choice.py), VZERO,
        VLOAD (aligned or not), VSTORE, VSPLAT(scalar), VFMA(a, b, c) = a*b + c, VADD, VSUB, VMUL, VDIV, VMAX(a, b), VMIN(a, b),
        VSELECT_NEGATIVE(x, a, b) = x < 0 ? a : b; on the bits: VBITS(word) a splat, VAND, VOR, VEXPONENT(x) = the bits of x shifted so far
        left that the lowest ones become the exponent.
        VMAX and VMIN return b when either operand is NaN: put the data second and NaN travels through. VMAX_NAN(a, b) returns NaN when
        either operand is.

   With more than one lane:
        VZIP_LOW(a, b) = a0 b0 a1 b1 ..., VZIP_HIGH its second half.
        QUARTER: the elements per 16 bytes. A vector has one or more such quarters: VZIP_QUARTERS_LOW and _HIGH zip within each quarter, which
        is cheaper than whole ones; VLOAD_QUARTERS(p, step) has one quarter from each of p, p + step, ...; VPAIR_LOW and _HIGH, where they
        are, zip pairs within each quarter.

   Doubles for sums of floats; for doubles, the vectors: WIDE, a vector of WIDE_LANES doubles; WIDEN(p), one of so many elements; WIDE_LOAD,
        WIDE_STORE, WIDE_ZERO, WIDE_ADD, WIDE_SUB, WIDE_MUL.

   Only if an instruction does it:
        VLOAD_SOME(p, n), VSTORE_SOME(p, v, n): of the first n <= LANES elements; they touch no byte beyond. Kernels call load_some and store_some.
             HAS_MASKS says whether they are instructions.
        FMA_INSTRUCTION: the name of x86's a*b + c into c, for assembler; strided tiles of floats use it (kernels.h).
        VSTREAM(p, v): a store past the caches, to an address that a whole vector's size divides. HAS_STREAM says whether it is one.
        VPERMUTE(v, places) = v[places[0]], v[places[1]], ...: of float. VPERMUTE_QUARTERS, the same where each place is in the quarter of its
             lane, if that takes less time.
        HALF, HALF_LOAD, HALF_SPLAT, HALF_FMA: as above, of LANES/2 elements, if their multiply-adds cost less; FIRST_HALF(v), and
        FROM_HALF(h), whose second half is undefined: neither is an instruction. HALF also switches narrow tiles on: HAS_HALF. */

#undef V
#undef LANES
#undef TILE_MR
#undef HAS_FMA
#undef VECTOR_NANOSECONDS
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
#undef VMAX_NAN
#undef VSELECT_NEGATIVE
#undef VBITS
#undef VAND
#undef VOR
#undef VEXPONENT
#undef VZIP_LOW
#undef VZIP_HIGH
#undef QUARTER
#undef VZIP_QUARTERS_LOW
#undef VZIP_QUARTERS_HIGH
#undef VLOAD_QUARTERS
#undef VPAIR_LOW
#undef VPAIR_HIGH
#undef WIDE
#undef WIDE_LANES
#undef WIDEN
#undef WIDE_LOAD
#undef WIDE_STORE
#undef WIDE_ZERO
#undef WIDE_ADD
#undef WIDE_SUB
#undef WIDE_MUL
#undef VLOAD_SOME
#undef VSTORE_SOME
#undef VSTREAM
#undef HAS_STREAM
#undef VPERMUTE
#undef VPERMUTE_QUARTERS
#undef HAS_HALF
#undef HAS_MASKS
#undef FMA_INSTRUCTION
#undef HALF
#undef HALF_LOAD
#undef HALF_SPLAT
#undef HALF_FMA
#undef FIRST_HALF
#undef FROM_HALF

#define SIMD_HEADER QUOTE(simd/ISA.h)
#include SIMD_HEADER
#undef SIMD_HEADER

/* ---- what follows from the others -------------------------------------------------------------------------------------------------------- */

#define QUARTER (128 / REAL_BITS)
#if LANES == 1
#define VZIP_LOW(a, b) (a)
#define VZIP_HIGH(a, b) (b)
#elif LANES == QUARTER
#define VZIP_QUARTERS_LOW(a, b) VZIP_LOW(a, b)
#define VZIP_QUARTERS_HIGH(a, b) VZIP_HIGH(a, b)
#define VLOAD_QUARTERS(p, step) VLOAD(p)
#endif

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
#endif

#ifdef VLOAD_SOME
#define HAS_MASKS 1
#else
#define HAS_MASKS 0
#endif

#ifdef VSTREAM
#define HAS_STREAM 1
#else
#define HAS_STREAM 0
#define VSTREAM(p, v) VSTORE(p, v)
#endif

/* Whole vectors are used instead, so that the code compiles: AVX2's multiply-adds of 16 bytes take as long as those of 32. */
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

/* The first n < LANES elements; the others are zero. No byte beyond is touched. */
static inline V NAME(load_some)(const REAL *p, int64_t n) {
#ifdef VLOAD_SOME
    return VLOAD_SOME(p, n);
#else
    REAL lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++) lane[i] = p[i];
    return VLOAD(lane);
#endif
}

static inline void NAME(store_some)(REAL *p, V v, int64_t n) {
#ifdef VSTORE_SOME
    VSTORE_SOME(p, v, n);
#else
    REAL lane[LANES];
    VSTORE(lane, v);
    for (int64_t i = 0; i < n; i++) p[i] = lane[i];
#endif
}

/* ---- what must be there ------------------------------------------------------------------------------------------------------------------ */

#if !defined(V) || !defined(LANES) || !defined(TILE_MR) || !defined(HAS_FMA) || !defined(VECTOR_NANOSECONDS)
#error "simd/ISA.h lacks one of V, LANES, TILE_MR, HAS_FMA, VECTOR_NANOSECONDS"
#elif LANES < 1 || LANES > 16 || (LANES & (LANES - 1)) || (LANES > 1 && LANES % QUARTER)
#error "simd/ISA.h: LANES must be 1, or a power of two up to 16 and at least 16 bytes"
#elif !defined(VZERO) || !defined(VLOAD) || !defined(VSTORE) || !defined(VSPLAT)
#error "simd/ISA.h lacks one of VZERO, VLOAD, VSTORE, VSPLAT"
#elif !defined(VFMA) || !defined(VADD) || !defined(VSUB) || !defined(VMUL) || !defined(VDIV) || !defined(VMAX) || !defined(VMIN) || \
    !defined(VMAX_NAN) || !defined(VSELECT_NEGATIVE)
#error "simd/ISA.h lacks one of VFMA, VADD, VSUB, VMUL, VDIV, VMAX, VMIN, VMAX_NAN, VSELECT_NEGATIVE"
#elif !defined(VBITS) || !defined(VAND) || !defined(VOR) || !defined(VEXPONENT)
#error "simd/ISA.h lacks one of VBITS, VAND, VOR, VEXPONENT"
#elif !defined(VZIP_LOW) || !defined(VZIP_HIGH)
#error "simd/ISA.h lacks VZIP_LOW or VZIP_HIGH"
#elif LANES > 1 && (!defined(VZIP_QUARTERS_LOW) || !defined(VZIP_QUARTERS_HIGH) || !defined(VLOAD_QUARTERS))
#error "simd/ISA.h lacks one of VZIP_QUARTERS_LOW, VZIP_QUARTERS_HIGH, VLOAD_QUARTERS, which vectors of more than 16 bytes need"
#elif defined(VPAIR_LOW) != defined(VPAIR_HIGH) || defined(VLOAD_SOME) != defined(VSTORE_SOME)
#error "simd/ISA.h has one of VPAIR_LOW and VPAIR_HIGH, or of VLOAD_SOME and VSTORE_SOME, without the other"
#elif !defined(WIDE) || !defined(WIDE_LANES) || !defined(WIDEN) || !defined(WIDE_LOAD) || !defined(WIDE_STORE) || !defined(WIDE_ZERO) || \
    !defined(WIDE_ADD) || !defined(WIDE_SUB) || !defined(WIDE_MUL)
#error "simd/ISA.h lacks one of WIDE, WIDE_LANES, WIDEN, WIDE_LOAD, WIDE_STORE, WIDE_ZERO, WIDE_ADD, WIDE_SUB, WIDE_MUL"
#elif !defined(HALF_LOAD) || !defined(HALF_SPLAT) || !defined(HALF_FMA) || !defined(FIRST_HALF) || !defined(FROM_HALF)
#error "simd/ISA.h has HALF, but lacks one of HALF_LOAD, HALF_SPLAT, HALF_FMA, FIRST_HALF, FROM_HALF"
#endif
