/* Winograd's form: the three transforms around the products. Each axis is a filter of its own, F(m, r): n = m + r - 1 inputs give m outputs
   of r taps (plan/along.py); an axis of one tap has n = m = 1, and a transposed one with stride 2 gives m outputs of each phase from the same
   inputs. Other transforms than these of r = 3 are in winograd_points.h. Shown here is F(m x m, 3x3), m = 2, 4, 5 or 6: a tile is n x n
   input pixels that give m x m outputs; position q = i*n + j is one of its n*n products. In matrices (^T: transposed):

       kernel   u[q] = (G g G^T)[i][j]   for each (input channel, output channel), in double, then rounded
       input    v[q] = (B^T d B)[i][j]   for each input channel
       (the micro-kernel sums s[q] = sum over channels k of v[q][k] * u[q][k], a 1-tap tile for each q)
       output   y = A^T s A              for each output channel, then act(y + bias)

   Interpolation points 0, 1, -1, inf (m = 2), 0, 1, -1, 1/2, -2, inf (m = 4: half the error of the usual 0, 1, -1, 2, -2 for
   about as many operations), 0, 1, -1, 1/2, -1/2, 2, inf (m = 5) and 0, 1, -1, 1/2, -1/2, 2, -2, inf (m = 6: of seven sets that
   were tried none errs less). All fractions that round are in G:

       m = 2:  B^T   1  0 -1  0      G   1   0   0       A^T  1  1  1  0
                     0  1  1  0         1/2 1/2 1/2           0  1 -1  1
                     0 -1  1  0         1/2-1/2 1/2
                     0 -1  0  1          0   0   1

       m = 4:  B^T   1 -3/2  -2  3/2  1  0      G     1      0      0      A^T  1  1  1   1   1  0
                     0  -1  1/2  5/2  1  0           1/3    1/3    1/3          0  1 -1  1/2 -2  0
                     0   1 -5/2  1/2  1  0          -1/3    1/3   -1/3          0  1  1  1/4  4  0
                     0  -2   -1    2  1  0         -16/15  -8/15  -4/15         0  1 -1  1/8 -8  1
                     0  1/2  -1 -1/2  1  0           1/15  -2/15   4/15
                     0   1 -3/2   -2 3/2 1            0      0      1

       m = 5:  B^T   1 -1/2   -5  5/2    4  -2  0       G    1      0     0     A^T  1  1  1   1    1   1  0
                     0  1/2  1/4 -9/4   -1   1  0          -2/3   -2/3  -2/3         0  1 -1  1/2 -1/2  2  0
                     0 -1/2  3/4  7/4   -3   1  0          -2/9    2/9  -2/9         0  1  1  1/4  1/4  4  0
                     0   1   3/2   -2 -3/2   1  0          16/9    8/9   4/9         0  1 -1  1/8 -1/8  8  0
                     0  -1   5/2    0 -5/2   1  0         16/15  -8/15  4/15         0  1  1 1/16 1/16 16  1
                     0  1/4   0  -5/4    0   1  0          2/45   4/45  8/45
                     0 -1/2  1/4  5/2 -5/4  -2  1            0      0     1

       m = 6:  B^T   1   0  -21/4   0    21/4   0   -1  0     G    1      0     0     A^T  1  1  1   1    1   1   1  0
                     0   1    1  -17/4  -17/4   1    1  0        -2/9   -2/9  -2/9         0  1 -1  1/2 -1/2  2  -2  0
                     0  -1    1   17/4  -17/4  -1    1  0        -2/9    2/9  -2/9         0  1  1  1/4  1/4  4   4  0
                     0   2    4   -5/2   -5    1/2   1  0        32/45  16/45  8/45        0  1 -1  1/8 -1/8  8  -8  0
                     0  -2    4    5/2   -5   -1/2   1  0        32/45 -16/45  8/45        0  1  1 1/16 1/16 16  16  0
                     0  1/2  1/4  -5/2  -5/4   2     1  0         1/90   1/45  2/45        0  1 -1 1/32-1/32 32 -32  1
                     0 -1/2  1/4   5/2  -5/4  -2     1  0         1/90  -1/45  2/45
                     0  -1    0   21/4   0   -21/4   0  1          0      0     1

   Every lane is one channel, and every value has one fixed sequence of roundings, so the bits do not depend on the vector length. */

#include "winograd_points.h"

/* y = B^T x; at most 4 roundings deep, and no coefficient is a difference of larger ones */
INLINE void NAME(winograd_bt)(const int n, const V *x, V *y) {
    if (n == 3) {
        NAME(winograd_bt3)(x, y);
    } else if (n == 4) {
        y[0] = VSUB(x[0], x[2]);
        y[1] = VADD(x[1], x[2]);
        y[2] = VSUB(x[2], x[1]);
        y[3] = VSUB(x[3], x[1]);
    } else if (n == 5) {
        NAME(winograd_bt5)(x, y);
    } else if (n == 6) {
        const V three_halves = VSPLAT((REAL)1.5);
        const V even = VSUB(x[4], x[2]), odd = VSUB(x[3], x[1]);
        y[0] = VFMA(three_halves, odd, VADD(x[0], VSUB(even, x[2])));
        y[1] = VFMA(VSPLAT((REAL)2.5), x[3], VFMA(VSPLAT((REAL)0.5), x[2], VSUB(x[4], x[1])));
        y[2] = VFMA(VSPLAT((REAL)-2.5), x[2], VFMA(VSPLAT((REAL)0.5), x[3], VADD(x[4], x[1])));
        y[3] = VFMA(VSPLAT((REAL)2), odd, even);
        y[4] = VFMA(VSPLAT((REAL)-0.5), odd, even);
        y[5] = VFMA(three_halves, even, VSUB(x[5], VADD(x[3], odd)));
    } else if (n == 7) {
        const V quarter = VSPLAT((REAL)0.25), half = VSPLAT((REAL)0.5), minus_half = VSPLAT((REAL)-0.5), far = VSPLAT((REAL)-1.25);
        const V first = VFMA(quarter, x[0], VFMA(far, x[2], x[4])); /* the row of 2, and the same of the inputs on either side */
        const V row2 = VFMA(quarter, x[1], VFMA(far, x[3], x[5]));
        const V last = VFMA(quarter, x[2], VFMA(far, x[4], x[6]));
        const V back = VMUL(VSPLAT((REAL)-2), row2);
        y[0] = VFMA(VSPLAT((REAL)4), first, back);
        y[1] = VFMA(VSPLAT((REAL)-2.25), x[3], VFMA(half, x[1], VFMA(quarter, x[2], VSUB(x[5], x[4]))));
        y[2] = VFMA(VSPLAT((REAL)-3), x[4],
                           VFMA(VSPLAT((REAL)1.75), x[3], VFMA(VSPLAT((REAL)0.75), x[2], VFMA(minus_half, x[1], x[5]))));
        y[3] = VFMA(VSPLAT((REAL)1.5), VSUB(x[2], x[4]), VFMA(VSPLAT((REAL)-2), x[3], VADD(x[1], x[5])));
        y[4] = VFMA(VSPLAT((REAL)2.5), VSUB(x[2], x[4]), VSUB(x[5], x[1]));
        y[5] = row2;
        y[6] = VADD(last, back);
    } else { /* the rows of p and -p: even(p) + odd(p), even(p) - odd(p) */
        const V half = VSPLAT((REAL)0.5), two = VSPLAT((REAL)2), middle = VMUL(VSPLAT((REAL)-2.5), x[3]);
        const V even1 = VFMA(VSPLAT((REAL)-4.25), x[4], VADD(x[2], x[6]));
        const V odd1 = VFMA(VSPLAT((REAL)-4.25), x[3], VADD(x[1], x[5]));
        const V even_half = VFMA(VSPLAT((REAL)4), x[2], VFMA(VSPLAT((REAL)-5), x[4], x[6]));
        const V odd_half = VFMA(two, x[1], VFMA(half, x[5], middle));
        const V even2 = VFMA(VSPLAT((REAL)0.25), x[2], VFMA(VSPLAT((REAL)-1.25), x[4], x[6]));
        const V odd2 = VFMA(half, x[1], VFMA(two, x[5], middle));
        y[0] = VFMA(VSPLAT((REAL)5.25), VSUB(x[4], x[2]), VSUB(x[0], x[6]));
        y[1] = VADD(even1, odd1);
        y[2] = VSUB(even1, odd1);
        y[3] = VADD(even_half, odd_half);
        y[4] = VSUB(even_half, odd_half);
        y[5] = VADD(even2, odd2);
        y[6] = VSUB(even2, odd2);
        y[7] = VFMA(VSPLAT((REAL)5.25), VSUB(x[3], x[5]), VSUB(x[7], x[1]));
    }
}

/* y = A^T s of 3 taps; at most 4 roundings deep */
INLINE void NAME(winograd_at)(const int m, const V *s, V *y) {
    const V sum = VADD(s[1], s[2]), difference = VSUB(s[1], s[2]);
    if (m == 2) {
        y[0] = VADD(s[0], sum);
        y[1] = VADD(difference, s[3]);
    } else if (m == 4) {
        y[0] = VADD(VADD(s[0], sum), VADD(s[3], s[4]));
        y[1] = VFMA(VSPLAT((REAL)-2), s[4], VFMA(VSPLAT((REAL)0.5), s[3], difference));
        y[2] = VFMA(VSPLAT((REAL)4), s[4], VFMA(VSPLAT((REAL)0.25), s[3], sum));
        y[3] = VFMA(VSPLAT((REAL)-8), s[4], VFMA(VSPLAT((REAL)0.125), s[3], VADD(difference, s[5])));
    } else if (m == 5) {
        const V sum_half = VADD(s[3], s[4]), difference_half = VSUB(s[3], s[4]);
        y[0] = VADD(VADD(s[0], sum), VADD(sum_half, s[5]));
        y[1] = VFMA(VSPLAT((REAL)2), s[5], VFMA(VSPLAT((REAL)0.5), difference_half, difference));
        y[2] = VFMA(VSPLAT((REAL)4), s[5], VFMA(VSPLAT((REAL)0.25), sum_half, sum));
        y[3] = VFMA(VSPLAT((REAL)8), s[5], VFMA(VSPLAT((REAL)0.125), difference_half, difference));
        y[4] = VFMA(VSPLAT((REAL)16), s[5], VFMA(VSPLAT((REAL)0.0625), sum_half, VADD(sum, s[6])));
    } else {
        const V sum_half = VADD(s[3], s[4]), difference_half = VSUB(s[3], s[4]);
        const V sum2 = VADD(s[5], s[6]), difference2 = VSUB(s[5], s[6]);
        y[0] = VADD(VADD(s[0], sum), VADD(sum_half, sum2));
        y[1] = VFMA(VSPLAT((REAL)2), difference2, VFMA(VSPLAT((REAL)0.5), difference_half, difference));
        y[2] = VFMA(VSPLAT((REAL)4), sum2, VFMA(VSPLAT((REAL)0.25), sum_half, sum));
        y[3] = VFMA(VSPLAT((REAL)8), difference2, VFMA(VSPLAT((REAL)0.125), difference_half, difference));
        y[4] = VFMA(VSPLAT((REAL)16), sum2, VFMA(VSPLAT((REAL)0.0625), sum_half, sum));
        y[5] = VFMA(VSPLAT((REAL)32), difference2, VFMA(VSPLAT((REAL)0.03125), difference_half, VADD(difference, s[7])));
    }
}

/* under the names of those in winograd_points.h */
#define WINOGRAD_NAMED(n, m) \
    INLINE void NAME(winograd_at##n##_##m)(const V *s, V *y) { NAME(winograd_at)(m, s, y); }
WINOGRAD_NAMED(4, 2)
WINOGRAD_NAMED(6, 4)
WINOGRAD_NAMED(7, 5)
WINOGRAD_NAMED(8, 6)
#undef WINOGRAD_NAMED

/* Transforms of many lines, the next one `line` bytes on. Between the rows' and the columns' a tile lies in an array of V with
   WINOGRAD_MOST in each row: its steps are constants, so that a line's addresses need few registers. The rows' read vectors `step` bytes
   apart and write one below the other; the columns' read neighbours and write `step` bytes apart, or, of the sums, neighbours again.
   */
typedef void (*NAME(WinogradInputLines))(const char *x, int64_t x_line, char *y, int64_t y_line, int64_t step, int64_t lines);
typedef void (*NAME(WinogradOutputLines))(const char *x, int64_t x_line, V *y, int64_t step, int64_t lines);

#define WINOGRAD_EACH(count, x, step) UNROLL for (int i = 0; i < count; i++) a[i] = VLOAD((const REAL *)((x) + i * (step)))
#define WINOGRAD_INPUT(n, transform) \
    static void NAME(winograd_rows##n)(const char *x, int64_t x_line, char *y, int64_t y_line, int64_t step, int64_t lines) { \
        for (; lines > 0; lines--, x += x_line, y += y_line) { \
            V a[n], b[n]; \
            WINOGRAD_EACH(n, x, step); \
            transform; \
            UNROLL for (int i = 0; i < n; i++) VSTORE((REAL *)((V *)y + i * WINOGRAD_MOST), b[i]); \
        } \
    } \
    static void NAME(winograd_columns##n)(const char *x, int64_t x_line, char *y, int64_t y_line, int64_t step, int64_t lines) { \
        for (; lines > 0; lines--, x += x_line, y += y_line) { \
            V a[n], b[n]; \
            WINOGRAD_EACH(n, x, (int64_t)sizeof(V)); \
            transform; \
            UNROLL for (int i = 0; i < n; i++) VSTORE((REAL *)(y + i * step), b[i]); \
        } \
    }
#define WINOGRAD_STORE(m, at) \
    UNROLL for (int i = 0; i < m; i++) VSTORE((REAL *)(y + i * (at)), b[i])
#define WINOGRAD_OUTPUT(n, m) \
    static void NAME(winograd_rows##n##_##m)(const char *x, int64_t x_line, V *y, int64_t step, int64_t lines) { \
        for (; lines > 0; lines--, x += x_line, y++) { \
            V a[n], b[m]; \
            WINOGRAD_EACH(n, x, step); \
            NAME(winograd_at##n##_##m)(a, b); \
            WINOGRAD_STORE(m, WINOGRAD_MOST); \
        } \
    } \
    static void NAME(winograd_columns##n##_##m)(const char *x, int64_t x_line, V *y, int64_t step, int64_t lines) { \
        (void)x_line, (void)step; \
        for (; lines > 0; lines--, x += WINOGRAD_MOST * sizeof(V), y += WINOGRAD_MOST) { \
            V a[n], b[m]; \
            WINOGRAD_EACH(n, x, (int64_t)sizeof(V)); \
            NAME(winograd_at##n##_##m)(a, b); \
            WINOGRAD_STORE(m, 1); \
        } \
    }
WINOGRAD_INPUT(3, NAME(winograd_bt)(3, a, b))
WINOGRAD_INPUT(4, NAME(winograd_bt)(4, a, b))
WINOGRAD_INPUT(5, NAME(winograd_bt)(5, a, b))
WINOGRAD_INPUT(6, NAME(winograd_bt)(6, a, b))
WINOGRAD_INPUT(7, NAME(winograd_bt)(7, a, b))
WINOGRAD_INPUT(8, NAME(winograd_bt)(8, a, b))
WINOGRAD_INPUT(10, NAME(winograd_bt10)(a, b))
WINOGRAD_OUTPUT(3, 2)
WINOGRAD_OUTPUT(4, 2)
WINOGRAD_OUTPUT(4, 3)
WINOGRAD_OUTPUT(5, 3)
WINOGRAD_OUTPUT(5, 4)
WINOGRAD_OUTPUT(6, 2)
WINOGRAD_OUTPUT(6, 4)
WINOGRAD_OUTPUT(7, 5)
WINOGRAD_OUTPUT(8, 4)
WINOGRAD_OUTPUT(8, 6)
WINOGRAD_OUTPUT(10, 4)
#undef WINOGRAD_EACH
#undef WINOGRAD_STORE
#undef WINOGRAD_INPUT
#undef WINOGRAD_OUTPUT

/* [columns?][n], [columns?][n][m] */
static const NAME(WinogradInputLines) NAME(winograd_inputs)[2][11] = {
    {[3] = NAME(winograd_rows3), [4] = NAME(winograd_rows4), [5] = NAME(winograd_rows5), [6] = NAME(winograd_rows6),
     [7] = NAME(winograd_rows7), [8] = NAME(winograd_rows8), [10] = NAME(winograd_rows10)},
    {[3] = NAME(winograd_columns3), [4] = NAME(winograd_columns4), [5] = NAME(winograd_columns5), [6] = NAME(winograd_columns6),
     [7] = NAME(winograd_columns7), [8] = NAME(winograd_columns8), [10] = NAME(winograd_columns10)}};
#define WINOGRAD_OUTPUTS(along) \
    {[3] = {[2] = NAME(winograd_##along##3_2)}, [4] = {[2] = NAME(winograd_##along##4_2), [3] = NAME(winograd_##along##4_3)}, \
     [5] = {[3] = NAME(winograd_##along##5_3), [4] = NAME(winograd_##along##5_4)}, \
     [6] = {[2] = NAME(winograd_##along##6_2), [4] = NAME(winograd_##along##6_4)}, [7] = {[5] = NAME(winograd_##along##7_5)}, \
     [8] = {[4] = NAME(winograd_##along##8_4), [6] = NAME(winograd_##along##8_6)}, [10] = {[4] = NAME(winograd_##along##10_4)}}
static const NAME(WinogradOutputLines) NAME(winograd_outputs)[2][11][7] = {WINOGRAD_OUTPUTS(rows), WINOGRAD_OUTPUTS(columns)};
#undef WINOGRAD_OUTPUTS

/* Both transforms at once, if rows and columns have the same n and m: saves 2 to 10% of a convolution of 16 to 128 channels. Doubles, and
   instruction sets without fused multiply-adds, use two passes. Up to n = 6 the loops are unrolled; larger tiles are faster without. */
typedef void (*NAME(WinogradSquare))(const char *x, int64_t row_step, int64_t column_step, char *v, int64_t v_step);
typedef struct { V bias, low, high; } NAME(WinogradEnd); /* the end of an output: max(low, min(high, y + bias)) */
typedef void (*NAME(WinogradSquareOutput))(const char *s, int64_t row_step, int64_t s_step, char *y, int64_t y_row, int64_t y_column,
                                           const NAME(WinogradEnd) *end);
/* `once`: a tile after the first of its two transforms. */
#if REAL_BITS == 32 && HAS_FMA
#define WINOGRAD_EACH(n, i, count, statement) \
    if (n > 6) { \
        ROLLED for (int i = 0; i < count; i++) { statement } \
    } else { \
        UNROLL for (int i = 0; i < count; i++) { statement } \
    }
#define WINOGRAD_SQUARE(n, m) \
    INLINE void NAME(winograd_down##n)(const char *x, int64_t step, V *once) { \
        V a[n], b[n]; \
        UNROLL for (int i = 0; i < n; i++) a[i] = VLOAD((const REAL *)(x + i * step)); \
        NAME(winograd_bt)(n, a, b); \
        UNROLL for (int i = 0; i < n; i++) once[i * n] = b[i]; \
    } \
    INLINE void NAME(winograd_across##n)(const V *once, char *v, int64_t step) { \
        V b[n]; \
        NAME(winograd_bt)(n, once, b); \
        UNROLL for (int i = 0; i < n; i++) VSTORE((REAL *)(v + i * step), b[i]); \
    } \
    static void NAME(winograd_square##n)(const char *x, int64_t row_step, int64_t column_step, char *v, int64_t v_step) { \
        V once[n * n]; \
        WINOGRAD_EACH(n, j, n, NAME(winograd_down##n)(x + j * column_step, row_step, once + j);) \
        WINOGRAD_EACH(n, i, n, NAME(winograd_across##n)(once + i * n, v + i * n * v_step, v_step);) \
    } \
    INLINE void NAME(winograd_sums##n)(const char *s, int64_t step, V *once) { \
        V a[n], b[m]; \
        UNROLL for (int i = 0; i < n; i++) a[i] = VLOAD((const REAL *)(s + i * step)); \
        NAME(winograd_at##n##_##m)(a, b); \
        UNROLL for (int i = 0; i < m; i++) once[i * n] = b[i]; \
    } \
    INLINE void NAME(winograd_line##n##_##m)(const V *once, char *y, int64_t step, const NAME(WinogradEnd) *end) { \
        V b[m]; \
        NAME(winograd_at##n##_##m)(once, b); \
        UNROLL for (int i = 0; i < m; i++) \
            VSTORE((REAL *)(y + i * step), VMIN(end->high, VMAX(end->low, VADD(b[i], end->bias)))); \
    } \
    static void NAME(winograd_square##n##_##m)(const char *s, int64_t row_step, int64_t s_step, char *y, int64_t y_row, int64_t y_column, \
                                               const NAME(WinogradEnd) *end) { \
        V once[m * n]; \
        WINOGRAD_EACH(n, j, n, NAME(winograd_sums##n)(s + j * s_step, row_step, once + j);) \
        WINOGRAD_EACH(n, i, m, NAME(winograd_line##n##_##m)(once + i * n, y + i * y_row, y_column, end);) \
    }
WINOGRAD_SQUARE(3, 2)
WINOGRAD_SQUARE(4, 2)
WINOGRAD_SQUARE(5, 4)
WINOGRAD_SQUARE(6, 4)
WINOGRAD_SQUARE(7, 5)
WINOGRAD_SQUARE(8, 6)
#undef WINOGRAD_EACH
#undef WINOGRAD_SQUARE
static const NAME(WinogradSquare) NAME(winograd_square_inputs)[11] = {
    [3] = NAME(winograd_square3), [4] = NAME(winograd_square4), [5] = NAME(winograd_square5),
    [6] = NAME(winograd_square6), [7] = NAME(winograd_square7), [8] = NAME(winograd_square8)};
static const NAME(WinogradSquareOutput) NAME(winograd_square_outputs)[11][7] = {
    [3] = {[2] = NAME(winograd_square3_2)}, [4] = {[2] = NAME(winograd_square4_2)}, [5] = {[4] = NAME(winograd_square5_4)},
    [6] = {[4] = NAME(winograd_square6_4)}, [7] = {[5] = NAME(winograd_square7_5)}, [8] = {[6] = NAME(winograd_square8_6)}};
#else
static const NAME(WinogradSquare) NAME(winograd_square_inputs)[11];
static const NAME(WinogradSquareOutput) NAME(winograd_square_outputs)[11][7];
#endif

/* A tile's pixels, of `some` channels: zeros outside the image. */
NOINLINE void NAME(winograd_window)(const WinogradInput *w, const char *x, const int64_t some, V *to) {
    const int low = w->column_low, high = w->column_high, columns = w->columns->n;
    for (int i = 0; i < w->rows->n; i++, to += columns, x += w->row_step) {
        int j = 0;
        if (i >= w->row_low && i < w->row_high) {
            for (; j < low; j++) to[j] = VZERO();
            const char *pixel = x + j * w->column_step;
            if (some >= LANES) for (; j < high; j++, pixel += w->column_step) to[j] = VLOAD((const REAL *)pixel);
            else for (; j < high; j++, pixel += w->column_step) to[j] = NAME(load_some)((const REAL *)pixel, some);
        }
        for (; j < columns; j++) to[j] = VZERO();
    }
}

/* Contract: `channels` elements of a pixel are readable and no more; v's rows have `v_step` elements, whole vectors. */
static void NAME(winograd_input)(const WinogradInput *w) {
    const int rows = w->rows->n, columns = w->columns->n;
    const int whole = w->row_low <= 0 && w->column_low <= 0 && w->row_high >= rows && w->column_high >= columns;
    const int64_t v_step = w->v_step * (int64_t)sizeof(REAL), pitch = WINOGRAD_MOST * sizeof(V);
    const NAME(WinogradSquare) square = rows == columns ? NAME(winograd_square_inputs)[rows] : 0;
    V pixels[WINOGRAD_MOST * WINOGRAD_MOST], once[WINOGRAD_MOST * WINOGRAD_MOST];
    for (int64_t c = 0; c < w->channels; c += LANES) {
        const int64_t some = w->channels - c;
        const char *x = (const char *)w->x + c * (int64_t)sizeof(REAL);
        char *v = (char *)w->v + c * (int64_t)sizeof(REAL);
        int64_t row_step = w->row_step, column_step = w->column_step;
        if (!whole || some < LANES) {
            NAME(winograd_window)(w, x, some, pixels);
            x = (const char *)pixels;
            column_step = sizeof(V);
            row_step = columns * (int64_t)sizeof(V);
        }
        if (square) {
            square(x, row_step, column_step, v, v_step);
        } else if (rows > 1 && columns > 1) {
            NAME(winograd_inputs)[0][rows](x, column_step, (char *)once, sizeof(V), row_step, columns);
            NAME(winograd_inputs)[1][columns]((const char *)once, pitch, v, columns * v_step, v_step, rows);
        } else { /* one axis only: as one row */
            const int n = rows > 1 ? rows : columns;
            const int64_t step = rows > 1 ? row_step : column_step;
            for (int i = 0; i < n; i++) once[i] = VLOAD((const REAL *)(x + i * step));
            NAME(winograd_inputs)[1][n]((const char *)once, pitch, v, 0, v_step, 1);
        }
    }
}

/* The rows' transform of `lines` columns of sums: each phase's outputs below those of the phase before. */
INLINE void NAME(winograd_output_rows)(const WinogradAxis *axis, const char *s, int64_t step, int64_t line, V *once, int64_t lines) {
    for (int p = 0; p < axis->phases; p++, s += axis->n * step, once += axis->m * WINOGRAD_MOST)
        NAME(winograd_outputs)[0][axis->n][axis->m](s, line, once, step, lines);
}

/* Outputs, with bias and clipping: `some` channels of each are stored. y[i * y_row + j * y_column] is output j of row i, the second phase's
   behind the first's. */
INLINE void NAME(winograd_pixels)(const WinogradOutput *w, const V *y, const int y_row, const int y_column, char *out,
                                  const NAME(WinogradEnd) *end, const int64_t some) {
    const int down = w->rows->phases, right = w->columns->phases;
    const V low = end->low, top = end->high, bias = end->bias;
    for (int i = w->row_low; i < w->row_high; i++) {
        const V *line = y + (i / down + i % down * w->rows->m) * y_row;
        char *o = out + i * w->row_step;
        for (int p = 0; p < right; p++, line += w->columns->m * y_column) {
            int j = w->column_low;
            if (right == 2) j += (j + p) & 1;
            const V *a = line + (right == 2 ? j / 2 : j) * y_column;
            char *to = o + j * w->column_step;
            const int64_t step = right * w->column_step;
            if (some >= LANES)
                for (; j < w->column_high; j += right, a += y_column, to += step) VSTORE((REAL *)to, VMIN(top, VMAX(low, VADD(*a, bias))));
            else
                for (; j < w->column_high; j += right, a += y_column, to += step)
                    NAME(store_some)((REAL *)to, VMIN(top, VMAX(low, VADD(*a, bias))), some);
        }
    }
}

/* Contract: s has a row of `s_step` elements for each product; the epilogue's are whole vectors. Of the outputs those from
   row_low and column_low to below row_high and column_high are stored, `channels` of each. */
static void NAME(winograd_output)(const WinogradOutput *w) {
    const WinogradAxis *rows = w->rows, *columns = w->columns;
    const int64_t s_step = w->s_step * (int64_t)sizeof(REAL), across = columns->n * columns->phases;
    const int same = rows->n == columns->n && rows->phases * columns->phases == 1;
    const NAME(WinogradSquareOutput) square = same ? NAME(winograd_square_outputs)[rows->n][rows->m] : 0;
    const int whole = w->row_low == 0 && w->column_low == 0 && w->row_high == rows->m && w->column_high == columns->m;
    const int clip = w->end.act.code == ACT_CLIP;
    const V lowest = VSPLAT((REAL)-INFINITY), highest = VSPLAT((REAL)INFINITY);
    const NAME(WinogradEnd) open = {VZERO(), lowest, highest};
    NAME(WinogradEnd) end = {VZERO(), clip ? VSPLAT((REAL)w->end.act.a) : lowest, clip ? VSPLAT((REAL)w->end.act.b) : highest};
    V once[WINOGRAD_MOST * WINOGRAD_MOST], y[WINOGRAD_MOST * WINOGRAD_MOST];
    for (int64_t c = 0; c < w->channels; c += LANES) {
        const char *s = (const char *)w->s + c * (int64_t)sizeof(REAL);
        char *out = (char *)w->out + c * (int64_t)sizeof(REAL);
        end.bias = NAME(bias_at)(&w->end, c, LANES);
        if (square && whole && w->channels - c >= LANES) { /* through `y` it took 4 to 6% more of a convolution */
            square(s, across * s_step, s_step, out, w->row_step, w->column_step, &end);
        } else if (square) {
            square(s, across * s_step, s_step, (char *)y, WINOGRAD_MOST * sizeof(V), sizeof(V), &open);
            NAME(winograd_pixels)(w, y, WINOGRAD_MOST, 1, out, &end, w->channels - c);
        } else if (rows->n > 1 && columns->n > 1) {
            NAME(winograd_output_rows)(rows, s, across * s_step, s_step, once, across);
            for (int p = 0; p < columns->phases; p++)
                NAME(winograd_outputs)[1][columns->n][columns->m](
                    (const char *)(once + p * columns->n), 0, y + p * columns->m, 0, rows->m * rows->phases);
            NAME(winograd_pixels)(w, y, WINOGRAD_MOST, 1, out, &end, w->channels - c);
        } else {
            NAME(winograd_output_rows)(rows->n > 1 ? rows : columns, s, s_step, 0, once, 1);
            NAME(winograd_pixels)(w, once, WINOGRAD_MOST, WINOGRAD_MOST, out, &end, w->channels - c);
        }
    }
    if (NAME(ends_later)(&w->end))
        for (int i = w->row_low; i < w->row_high; i++)
            NAME(end_rows)(&w->end, (char *)w->out + i * w->row_step + w->column_low * w->column_step, w->column_step,
                           w->column_high - w->column_low, w->channels);
}

/* to[slot] = sum over the taps of factor * tap, in their order, for vectors of doubles `step` and `to_step` apart */
INLINE void NAME(winograd_factors)(const double *factors, int slots, int taps, const double *x, int64_t step, double *to, int64_t to_step) {
    for (int i = 0; i < slots; i++, to += to_step, factors += taps) {
        double sum[LANES] = {0};
        int found = 0;
        for (int t = 0; t < taps; t++) {
            const double f = factors[t], *tap = x + t * step;
            if (f == 0) continue;
            if (found++) for (int l = 0; l < LANES; l++) sum[l] += f * tap[l];
            else for (int l = 0; l < LANES; l++) sum[l] = f * tap[l];
        }
        for (int l = 0; l < LANES; l++) to[l] = sum[l];
    }
}

/* Panels of output channels, the last one narrower but whole vectors wide: what the micro-kernel reads. Plain C in double, so that
   no instruction set's bits differ; lanes side by side, so that the compiler can use vectors. */
static void NAME(winograd_kernel)(const WinogradKernel *w) {
    enum { TAPS = 7 };
    REAL *panel = (REAL *)w->panels;
    for (int64_t first = 0; first < w->cout; first += MAX_NR * LANES) {
        const int64_t left = w->cout - first < MAX_NR * LANES ? w->cout - first : MAX_NR * LANES;
        const int64_t panel_lanes = (left + LANES - 1) / LANES * LANES;
        for (int64_t k = 0; k < w->cin; k++) for (int64_t c = 0; c < left; c += LANES) {
            double tap[TAPS * TAPS][LANES], once[WINOGRAD_MOST][TAPS][LANES], u[WINOGRAD_MOST][LANES];
            const int64_t some = left - c < LANES ? left - c : LANES;
            const REAL *src = (const REAL *)w->kernel + k * w->k_step + (first + c) * w->l_step;
            for (int a = 0; a < w->rows; a++) for (int b = 0; b < w->columns; b++) {
                const REAL *g = src + a * w->row_step + b * w->column_step;
                double *t = tap[a * w->columns + b];
                if (w->l_step == 1 && some == LANES) for (int l = 0; l < LANES; l++) t[l] = (double)g[l];
                else for (int64_t l = 0; l < LANES; l++) t[l] = l < some ? (double)g[l * w->l_step] : 0;
            }
            for (int b = 0; b < w->columns; b++)
                NAME(winograd_factors)(w->row_factors, w->row_slots, w->rows, tap[b], w->columns * LANES, once[0][b], TAPS * LANES);
            for (int i = 0; i < w->row_slots; i++) {
                const int place = i / w->row_parts * w->row_parts, left_rows = w->row_slots - place;
                const int rows = left_rows < w->row_parts ? left_rows : w->row_parts;
                NAME(winograd_factors)(w->column_factors, w->column_slots, w->columns, once[i][0], LANES, u[0], LANES);
                for (int j = 0; j < w->column_slots; j++) {
                    const int beside = j / w->column_parts * w->column_parts, left_columns = w->column_slots - beside;
                    const int columns = left_columns < w->column_parts ? left_columns : w->column_parts;
                    const int slot = place * w->column_slots + rows * beside + (i - place) * columns + j - beside;
                    REAL *dst = panel + (slot * w->cin + k) * panel_lanes + c;
                    for (int l = 0; l < LANES; l++) dst[l] = (REAL)u[j][l];
                }
            }
        }
        panel += (int64_t)w->row_slots * w->column_slots * w->cin * panel_lanes;
    }
}
