/* The few OpenMP calls that the package makes, and what they mean in a build without OpenMP. */
#ifndef CONVLITE_OPENMP_H
#define CONVLITE_OPENMP_H
#ifdef _OPENMP
#include <omp.h>
static int openmp_version(void) { return _OPENMP; }
static int openmp_in_parallel(void) { return omp_in_parallel(); }
/* Frees the calling thread's pool, so that a forked child can start its own; 0 on success. OpenMP 5.0; GCC has had it since 9.
   LLVM's runtime handles a fork itself, and after a pause it crashes when a thread that had used it ends. */
static int openmp_pause(void) {
#if defined(KMP_VERSION_MAJOR)
    return 0;
#elif _OPENMP >= 201811 || (defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 9)
    return omp_pause_resource_all(omp_pause_hard);
#else
    return -1;
#endif
}
#else
static int openmp_version(void) { return 0; }
static int openmp_in_parallel(void) { return 0; }
static int openmp_pause(void) { return 0; }
#endif
#endif
