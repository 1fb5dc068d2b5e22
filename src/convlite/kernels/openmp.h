/* The few OpenMP calls that the package makes, and what they mean in a build without OpenMP. */
#ifndef CONVLITE_OPENMP_H
#define CONVLITE_OPENMP_H
#ifdef _OPENMP
#include <omp.h>
static int openmp_version(void) { return _OPENMP; }
static int openmp_in_parallel(void) { return omp_in_parallel(); }
/* Before fork: frees the calling thread's pool, so that the child can start its own; 0 on success. OpenMP 5.0; GCC has had it
   since 9. LLVM's runtime sees to its forks itself, and a pause there concerns the threads of all callers, who may be computing. */
static int openmp_pause(void) {
#if defined(__clang__)
    return 0;
#elif _OPENMP >= 201811 || (defined(__GNUC__) && __GNUC__ >= 9)
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
