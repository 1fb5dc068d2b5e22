/* Written by tests/golden/make_winograd.py: the transforms along one axis, from their points. y = B^T x and y = A^T x. */

/* 0, 1, inf */
INLINE void NAME(winograd_bt3)(const V *x, V *y) {
    y[0] = VSUB(x[0], x[1]);
    y[1] = x[1];
    y[2] = VSUB(x[2], x[1]);
}

/* 0, 1, -1, 0.5, inf */
INLINE void NAME(winograd_bt5)(const V *x, V *y) {
    V u0, u1;
    y[0] = VFMA(VSPLAT((REAL)2), x[3], VFMA(VSPLAT((REAL)-2), x[1], VSUB(x[0], x[2])));
    y[3] = VSUB(x[3], x[1]);
    u0 = VFMA(VSPLAT((REAL)-0.5), x[1], x[2]);
    u1 = VFMA(VSPLAT((REAL)-0.5), x[2], x[3]);
    y[1] = VADD(u1, u0);
    y[2] = VSUB(u1, u0);
    y[4] = VFMA(VSPLAT((REAL)-0.5), x[3], VFMA(VSPLAT((REAL)0.5), x[1], VSUB(x[4], x[2])));
}

/* 0, 1, -1, 0.5, -0.5, 2, -2, 1.25, -1.25, inf */
INLINE void NAME(winograd_bt10)(const V *x, V *y) {
    V u0, u1;
    y[0] = VFMA(VSPLAT((REAL)-6.8125), x[6], VFMA(VSPLAT((REAL)13.453125), x[4], VFMA(VSPLAT((REAL)-9.203125), x[2], VFMA(VSPLAT((REAL)1.5625), x[0], x[8]))));
    u0 = VFMA(VSPLAT((REAL)-5.8125), x[5], VFMA(VSPLAT((REAL)7.640625), x[3], VFMA(VSPLAT((REAL)-1.5625), x[1], x[7])));
    u1 = VFMA(VSPLAT((REAL)-5.8125), x[6], VFMA(VSPLAT((REAL)7.640625), x[4], VFMA(VSPLAT((REAL)-1.5625), x[2], x[8])));
    y[1] = VADD(u1, u0);
    y[2] = VSUB(u1, u0);
    u0 = VFMA(VSPLAT((REAL)-6.5625), x[5], VFMA(VSPLAT((REAL)11.8125), x[3], VFMA(VSPLAT((REAL)-6.25), x[1], x[7])));
    u1 = VFMA(VSPLAT((REAL)-6.5625), x[6], VFMA(VSPLAT((REAL)11.8125), x[4], VFMA(VSPLAT((REAL)-6.25), x[2], x[8])));
    y[3] = VFMA(VSPLAT((REAL)0.5), u0, u1);
    y[4] = VFMA(VSPLAT((REAL)-0.5), u0, u1);
    u0 = VFMA(VSPLAT((REAL)-2.8125), x[5], VFMA(VSPLAT((REAL)2.203125), x[3], VFMA(VSPLAT((REAL)-0.390625), x[1], x[7])));
    u1 = VFMA(VSPLAT((REAL)-2.8125), x[6], VFMA(VSPLAT((REAL)2.203125), x[4], VFMA(VSPLAT((REAL)-0.390625), x[2], x[8])));
    y[5] = VFMA(VSPLAT((REAL)2), u0, u1);
    y[6] = VFMA(VSPLAT((REAL)-2), u0, u1);
    u0 = VFMA(VSPLAT((REAL)-5.25), x[5], VFMA(VSPLAT((REAL)5.25), x[3], VSUB(x[7], x[1])));
    u1 = VFMA(VSPLAT((REAL)-5.25), x[6], VFMA(VSPLAT((REAL)5.25), x[4], VSUB(x[8], x[2])));
    y[7] = VFMA(VSPLAT((REAL)1.25), u0, u1);
    y[8] = VFMA(VSPLAT((REAL)-1.25), u0, u1);
    y[9] = VFMA(VSPLAT((REAL)-6.8125), x[7], VFMA(VSPLAT((REAL)13.453125), x[5], VFMA(VSPLAT((REAL)-9.203125), x[3], VFMA(VSPLAT((REAL)1.5625), x[1], x[9]))));
}

INLINE void NAME(winograd_at3_2)(const V *x, V *y) {
    y[0] = VADD(x[0], x[1]);
    y[1] = VADD(x[1], x[2]);
}

INLINE void NAME(winograd_at4_3)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    y[0] = VADD(x[0], sum0);
    y[1] = difference0;
    y[2] = VADD(sum0, x[3]);
}

INLINE void NAME(winograd_at5_3)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    y[0] = VADD(VADD(x[0], x[3]), sum0);
    y[1] = VFMA(VSPLAT((REAL)0.5), x[3], difference0);
    y[2] = VFMA(VSPLAT((REAL)0.25), x[3], VADD(sum0, x[4]));
}

INLINE void NAME(winograd_at5_4)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    y[0] = VADD(VADD(x[0], x[3]), sum0);
    y[1] = VFMA(VSPLAT((REAL)0.5), x[3], difference0);
    y[2] = VFMA(VSPLAT((REAL)0.25), x[3], sum0);
    y[3] = VFMA(VSPLAT((REAL)0.125), x[3], VADD(difference0, x[4]));
}

INLINE void NAME(winograd_at6_2)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    y[0] = VADD(VADD(VADD(x[0], x[3]), x[4]), sum0);
    y[1] = VFMA(VSPLAT((REAL)-2), x[4], VFMA(VSPLAT((REAL)0.5), x[3], VADD(difference0, x[5])));
}

INLINE void NAME(winograd_at8_4)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    const V sum1 = VADD(x[3], x[4]), difference1 = VSUB(x[3], x[4]);
    const V sum2 = VADD(x[5], x[6]), difference2 = VSUB(x[5], x[6]);
    y[0] = VADD(VADD(VADD(x[0], sum0), sum1), sum2);
    y[1] = VFMA(VSPLAT((REAL)2), difference2, VFMA(VSPLAT((REAL)0.5), difference1, difference0));
    y[2] = VFMA(VSPLAT((REAL)4), sum2, VFMA(VSPLAT((REAL)0.25), sum1, sum0));
    y[3] = VFMA(VSPLAT((REAL)8), difference2, VFMA(VSPLAT((REAL)0.125), difference1, VADD(difference0, x[7])));
}

INLINE void NAME(winograd_at10_4)(const V *x, V *y) {
    const V sum0 = VADD(x[1], x[2]), difference0 = VSUB(x[1], x[2]);
    const V sum1 = VADD(x[3], x[4]), difference1 = VSUB(x[3], x[4]);
    const V sum2 = VADD(x[5], x[6]), difference2 = VSUB(x[5], x[6]);
    const V sum3 = VADD(x[7], x[8]), difference3 = VSUB(x[7], x[8]);
    y[0] = VADD(VADD(VADD(VADD(x[0], sum0), sum1), sum2), sum3);
    y[1] = VFMA(VSPLAT((REAL)1.25), difference3, VFMA(VSPLAT((REAL)2), difference2, VFMA(VSPLAT((REAL)0.5), difference1, difference0)));
    y[2] = VFMA(VSPLAT((REAL)1.5625), sum3, VFMA(VSPLAT((REAL)4), sum2, VFMA(VSPLAT((REAL)0.25), sum1, sum0)));
    y[3] = VFMA(VSPLAT((REAL)1.953125), difference3, VFMA(VSPLAT((REAL)8), difference2, VFMA(VSPLAT((REAL)0.125), difference1, VADD(difference0, x[9]))));
}
