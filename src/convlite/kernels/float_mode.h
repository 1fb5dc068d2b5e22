/* The floating-point mode that kernels compute in, whatever the calling thread or a worker of OpenMP has set: round to nearest,
   no traps, and subnormal numbers are zeros, as inputs and as results. Why: an operation on a subnormal number may cost a
   hundred cycles (Intel; 1.2 to 2.7 times as slow activations on a Zen 4), and a worker that inherited another mode would give
   other bits. Every thread sets the mode of its own task and puts back what it found:

       saved = float_mode_enter(FLUSH); ...arithmetic...; float_mode_leave(saved);

   KEEP in place of FLUSH keeps subnormal numbers: for kernels that select numbers and do not compute them (max pools).

   CONVLITE_KEEP_SUBNORMALS does not change the mode, as on machines without such a mode, so that x86-64 can give their bits. */
#ifndef CONVLITE_FLOAT_MODE_H
#define CONVLITE_FLOAT_MODE_H
#include <stdint.h>

#if defined(CONVLITE_KEEP_SUBNORMALS) || !(defined(__x86_64__) || defined(_M_X64) || defined(__aarch64__))
/* Subnormal numbers are handled as the platform does. */
static inline uint64_t float_mode_get(void) { return 0; }
static inline void float_mode_leave(uint64_t mode) { (void)mode; }
enum { FLOAT_MODE = 0,
       FLOAT_MODE_FLUSH = 0 };
#elif defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
static inline uint64_t float_mode_get(void) { return _mm_getcsr(); }
static inline void float_mode_leave(uint64_t mode) { _mm_setcsr((unsigned int)mode); }
enum { FLOAT_MODE = 0x1f80,
       FLOAT_MODE_FLUSH = 0x9fc0 }; /* exceptions masked; flush to zero (15), denormals are zeros (6) */
#else
/* FZ (bit 24) does both. Arm calls a result tiny before it is rounded, x86 after: they differ in results that lie within half a
   unit below the smallest normal number. */
static inline uint64_t float_mode_get(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void float_mode_leave(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory"); }
enum { FLOAT_MODE = 0,
       FLOAT_MODE_FLUSH = 1 << 24 };
#endif

enum { KEEP,
       FLUSH };

static inline uint64_t float_mode_enter(int subnormals) {
    const uint64_t saved = float_mode_get();
    float_mode_leave(subnormals == FLUSH ? FLOAT_MODE_FLUSH : FLOAT_MODE);
    return saved;
}
#endif
