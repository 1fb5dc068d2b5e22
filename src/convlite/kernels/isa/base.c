/* What the platform guarantees: SSE2 on x86-64, NEON on arm64, plain C elsewhere. Compiled without extra flags. */
#define ISA base
#if defined(__SSE2__) || defined(_M_X64)
#define SIMD_SSE2
#elif defined(__aarch64__) || defined(_M_ARM64)
#define SIMD_NEON
#else
#define SIMD_SCALAR
#endif
#define REAL_BITS 32
#include "kernels.h"
#undef REAL_BITS
#define REAL_BITS 64
#include "kernels.h"

const Table *convlite_base(int bits) { return bits == 32 ? &table_base_32 : &table_base_64; }
