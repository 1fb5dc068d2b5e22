/* NEON, the floor of arm64: FMA, 32 registers. */
#include <arm_neon.h>
#define HAS_FMA 1
#define TILE_MR 12 /* 12x2: 24 sums + 2 weights + splats fit 32 registers */
#define VECTOR_NANOSECONDS 0.28 /* not measured: the value of AVX2 */
#if REAL_BITS == 32
#define V float32x4_t
#define LANES 4
#define VZERO() vdupq_n_f32(0.0f)
#define VLOAD(p) vld1q_f32(p)
#define VSTORE(p, v) vst1q_f32(p, v)
#define VSPLAT(s) vdupq_n_f32(s)
#define VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VADD(a, b) vaddq_f32(a, b)
#define VSUB(a, b) vsubq_f32(a, b)
#define VMUL(a, b) vmulq_f32(a, b)
#define VDIV(a, b) vdivq_f32(a, b)
#define VMAX(a, b) vbslq_f32(vcgtq_f32(a, b), a, b) /* as on x86: -0 and NaN come from b */
#define VMIN(a, b) vbslq_f32(vcltq_f32(a, b), a, b)
#define VSELECT_NEGATIVE(x, a, b) vbslq_f32(vcltq_f32(x, vdupq_n_f32(0.0f)), a, b)
#define VMAX_NAN(a, b) vbslq_f32(vceqq_f32(a, a), VMAX(a, b), a) /* vmaxq_f32 would take +0 of two zeros, x86 takes b */
#define VBITS(word) vreinterpretq_f32_u32(vdupq_n_u32(word))
#define VAND(a, b) vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define VOR(a, b) vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)))
#define VEXPONENT(x) vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(x), 23))
#define VZIP_LOW(a, b) vzip1q_f32(a, b)
#define VZIP_HIGH(a, b) vzip2q_f32(a, b)
#define WIDE float64x2_t
#define WIDE_LANES 2
#define WIDEN(p) vcvt_f64_f32(vld1_f32(p))
#define WIDE_LOAD(p) vld1q_f64(p)
#define WIDE_STORE(p, v) vst1q_f64(p, v)
#define WIDE_ZERO() vdupq_n_f64(0.0)
#define WIDE_ADD(a, b) vaddq_f64(a, b)
#define WIDE_SUB(a, b) vsubq_f64(a, b)
#define WIDE_MUL(a, b) vmulq_f64(a, b)
#else
#define V float64x2_t
#define LANES 2
#define VZERO() vdupq_n_f64(0.0)
#define VLOAD(p) vld1q_f64(p)
#define VSTORE(p, v) vst1q_f64(p, v)
#define VSPLAT(s) vdupq_n_f64(s)
#define VFMA(a, b, c) vfmaq_f64(c, a, b)
#define VADD(a, b) vaddq_f64(a, b)
#define VSUB(a, b) vsubq_f64(a, b)
#define VMUL(a, b) vmulq_f64(a, b)
#define VDIV(a, b) vdivq_f64(a, b)
#define VMAX(a, b) vbslq_f64(vcgtq_f64(a, b), a, b) /* as on x86: -0 and NaN come from b */
#define VMIN(a, b) vbslq_f64(vcltq_f64(a, b), a, b)
#define VSELECT_NEGATIVE(x, a, b) vbslq_f64(vcltq_f64(x, vdupq_n_f64(0.0)), a, b)
#define VMAX_NAN(a, b) vbslq_f64(vceqq_f64(a, a), VMAX(a, b), a)
#define VBITS(word) vreinterpretq_f64_u64(vdupq_n_u64(word))
#define VAND(a, b) vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define VOR(a, b) vreinterpretq_f64_u64(vorrq_u64(vreinterpretq_u64_f64(a), vreinterpretq_u64_f64(b)))
#define VEXPONENT(x) vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(x), 52))
#define VZIP_LOW(a, b) vzip1q_f64(a, b)
#define VZIP_HIGH(a, b) vzip2q_f64(a, b)
#endif
