/* AVX2 + FMA. Compiled with its own flags: see ISA_FLAGS in setup.py. */
#define ISA avx2
#define SIMD_AVX2
#define REAL_BITS 32
#include "kernels.h"
#undef REAL_BITS
#define REAL_BITS 64
#include "kernels.h"

const Table *convlite_avx2(int bits) { return bits == 32 ? &table_avx2_32 : &table_avx2_64; }
