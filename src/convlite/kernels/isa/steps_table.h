/* The steps between the convolutions of a network: kernels of passes, sums, transposes and tables of weights, for table.h. Steps from row to row
   are in elements. */
#ifndef CONVLITE_STEPS_TABLE_H
#define CONVLITE_STEPS_TABLE_H

enum {
    PASS_ADD,
    PASS_SUB,
    PASS_MUL,
    PASS_DIV,
    PASS_MAX,
    PASS_MIN,
    PASS_PRELU,  /* a < 0 ? b*a : a */
    PASS_FIRST,  /* a */
    PASS_AFFINE, /* (a - b)*factor + offset */
    PASS_SCALE,  /* (a - b)*factor */
};

/* The operands of a pass, in this order wherever they are listed. */
enum {
    PASS_A,
    PASS_B,
    PASS_FACTOR,
    PASS_OFFSET,
    PASS_SLOPES,
    PASS_OUT,
    PASS_OPERANDS,
};

/* out[r][c] = act(op(a[r][c], b[r][c], ..)): see pass.h. */
typedef struct {
    void *at[PASS_OPERANDS]; /* NULL: the operation does not need it */
    int64_t step[PASS_OPERANDS]; /* from one row to the next */
    int64_t rows, columns;
    int op, b_is_scalar, scale_is_scalar; /* one number for each row: b; factor and offset */
    Activation act;
} Pass;

/* One operation on each number: see unary.h. */
enum {
    UNARY_SQRT,
    UNARY_RECIPROCAL,
    UNARY_ABS,
    UNARY_NEGATIVE,
    UNARY_LOG,
};

/* Sums, or largest numbers, of columns: see reduce.h. */
typedef struct {
    const void *x;
    int64_t rows, columns, step;
    const double *centre; /* [columns]: sum (x - centre)^2; NULL: sum x */
    void *sums;           /* [columns] doubles; largest numbers are of the kind of x */
    int more;             /* continue from the sums that are there */
} Columns;

/* Layer norm over rows: see norm.h. */
typedef struct {
    const void *x;
    void *out;
    int64_t rows, columns, x_step, out_step;
    const void *scale, *offset; /* [columns] or NULL */
    double epsilon;
    Activation act;
} LayerNorm;

/* A line of outputs, each of `taps` inputs along the line: see resample.h. */
typedef struct {
    const void *x;
    const void *below, *across; /* two taps: another line, and the weights of both lines; NULL: there is only one */
    void *out;
    int64_t outputs, inner, taps, out_step; /* elements from one output to the next */
    const int64_t *index; /* [outputs][taps]: places along the line */
    const void *weights;  /* [outputs][taps] */
} ResampleLine;

/* Outputs of a pool along a row: every element of the row is pooled, then those of the outputs are picked: see pooling.h. */
typedef struct {
    const void *x;
    void *out, *sums; /* [(outputs - 1)*step + channels] elements, if outputs or their pixels lie apart */
    int64_t outputs, taps, channels, step, out_step; /* elements from one output to the next: of x, of out */
    const int64_t *offsets; /* [taps], in elements */
    double divisor;
    int largest;
} PoolLine;

typedef struct {
    void (*pass)(const Pass *);
    void (*sum)(const Columns *);
    void (*largest)(const Columns *);
    void (*layer_norm)(const LayerNorm *);
    /* to[k*to_step + p] = from[p*from_step + k] for p < pixels, k < kc, and nothing beyond */
    void (*transpose)(const void *from, int64_t from_step, int64_t pixels, int64_t kc, void *to, int64_t to_step);
    void (*resample_line)(const ResampleLine *);
    void (*pool_line)(const PoolLine *);
    void (*unary)(int op, const void *x, void *out, int64_t n);
} StepKernels;

#endif
