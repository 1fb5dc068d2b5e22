/* What the CPU *and the operating system* support. Compiled with baseline flags only, so that the query is safe on every CPU. */
#ifndef CONVLITE_CPU_H
#define CONVLITE_CPU_H

#if defined(__x86_64__) || defined(_M_X64)
#if defined(_MSC_VER)
#include <intrin.h>
static void cpu_id(int leaf, int sub, int r[4]) { __cpuidex(r, leaf, sub); }
static unsigned long long cpu_xcr0(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void cpu_id(int leaf, int sub, int r[4]) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid_count((unsigned)leaf, (unsigned)sub, &a, &b, &c, &d);
    r[0] = (int)a, r[1] = (int)b, r[2] = (int)c, r[3] = (int)d;
}
static unsigned long long cpu_xcr0(void) {
    unsigned a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return ((unsigned long long)d << 32) | a;
}
#endif
#endif

/* The CPU features that an instruction set may need (ISAS in setup.py), as bits. */
enum {
    CPU_ANY = 0,
    CPU_AVX2 = 1,   /* and FMA */
    CPU_AVX512 = 2, /* F, DQ, CD, BW, VL: what /arch:AVX512 implies */
};

/* Bits: Intel SDM, volume 2, CPUID; volume 1, 13.3 for XCR0. */
static int cpu_features(void) {
#if defined(__x86_64__) || defined(_M_X64)
    int leaf1[4] = {0}, leaf7[4] = {0};
    cpu_id(1, 0, leaf1);
    const int osxsave = (leaf1[2] >> 27) & 1, fma = (leaf1[2] >> 12) & 1;
    if (!osxsave || !fma) return CPU_ANY;
    cpu_id(7, 0, leaf7);
    const unsigned long long saved = cpu_xcr0();
    if (!((leaf7[1] >> 5) & 1) || (saved & 0x06) != 0x06) return CPU_ANY;
    const unsigned wanted = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* F, DQ, CD, BW, VL */
    if (((unsigned)leaf7[1] & wanted) != wanted || (saved & 0xe6) != 0xe6) return CPU_AVX2;
    return CPU_AVX2 | CPU_AVX512;
#else
    return CPU_ANY;
#endif
}

/* Bytes of the last cache before memory, and how many CPUs share one; 0: unknown. Intel's leaf 4, AMD's 0x8000001D: one cache at each sub-leaf. AMD's
   older leaf, which glibc's sysconf reads, has the caches of all cores together: 64 MB on a machine with 8 MB for two CPUs. */
static long long cpu_cache(int *sharers) {
    long long most = 0;
#if defined(__x86_64__) || defined(_M_X64)
    static const unsigned leaves[2] = {4, 0x8000001Du};
    for (int i = 0; i < 2 && !most; i++) {
        for (int sub = 0; sub < 8; sub++) {
            int r[4] = {0};
            cpu_id((int)leaves[i], sub, r);
            const unsigned type = (unsigned)r[0] & 31, b = (unsigned)r[1];
            if (type < 1 || type > 3) break;
            const long long line = (long long)(b & 0xfff) + 1, parts = (long long)(b >> 12 & 0x3ff) + 1, ways = (long long)(b >> 22) + 1;
            const long long bytes = line * parts * ways * ((long long)(unsigned)r[2] + 1);
            if (bytes > most) most = bytes, *sharers = ((r[0] >> 14) & 0xfff) + 1;
        }
    }
#else
    (void)sharers;
#endif
    return most;
}
#endif
