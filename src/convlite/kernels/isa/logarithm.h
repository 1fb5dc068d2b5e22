/* log t of a double t > 0 that is not subnormal, in parts: t = m 2^n with m from 1/sqrt 2 to sqrt 2, s = (m - 1) / (m + 1), and

       log t = n log 2 + 2 atanh s = n log 2 + 2 s + rest,  rest by the series of atanh.

   `bias` is what the exponent's bits have too much, and 2^52: LOG_BIAS, more where t was raised. No multiply-add is fused, and all numbers take the same
   steps on 64 bits, so that compilers can vectorise loops around it, and every instruction set gives the same bits. */
#undef LOG_BIAS
#define LOG_BIAS (4503599627370496.0 + 1023)

INLINE void NAME(log_parts)(double t, double bias, double *n, double *s, double *rest) {
    uint64_t bits, power;
    double m;
    memcpy(&bits, &t, 8);
    bits += 0x95f619980c433ULL; /* 2 - sqrt 2 in the significand's bits: from sqrt 2 on it carries */
    power = bits >> 52 | 0x4330000000000000ULL; /* as a double 2^52 + the exponent with its bias */
    bits = (bits & 0xfffffffffffffULL) + 0x3fe6a09e667f3bcdULL;
    memcpy(&m, &bits, 8);
    memcpy(n, &power, 8);
    *n -= bias;
    *s = (m - 1) / (m + 1);
    const double z = *s * *s;
    double p = 2.0 / 21;
    p = p * z + 2.0 / 19;
    p = p * z + 2.0 / 17;
    p = p * z + 2.0 / 15;
    p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11;
    p = p * z + 2.0 / 9;
    p = p * z + 2.0 / 7;
    p = p * z + 2.0 / 5;
    p = p * z + 2.0 / 3;
    *rest = *s * (z * p);
}
