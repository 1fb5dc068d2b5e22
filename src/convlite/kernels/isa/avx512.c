/* AVX-512F; VL for half vectors in all 32 registers. Compiled with its own flags: see ISA_FLAGS in setup.py. */
#define ISA avx512
#define SIMD_AVX512
#define REAL_BITS 32
#include "kernels.h"
#undef REAL_BITS
#define REAL_BITS 64
#include "kernels.h"

const Table *convlite_avx512(int bits) { return bits == 32 ? &table_avx512_32 : &table_avx512_64; }
