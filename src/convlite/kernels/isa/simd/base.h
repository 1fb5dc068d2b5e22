/* What the platform guarantees. */
#if defined(__SSE2__) || defined(_M_X64)
#include "sse2.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "neon.h"
#else
#include "scalar.h"
#endif
