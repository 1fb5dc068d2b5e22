/* What an instruction set offers to the loop nests: one Table per (instruction set, element kind).

   Every pointer is to elements of the table's kind; the loop nests (Cython) handle them as bytes, so that they hold no branch over kinds.
   Glossary (the same letters in Python, Cython and C):
     mr     pixels of a tile                     nr     vectors of a tile            lanes  elements of a vector
     taps   kernel elements that a phase reads   kc     input channels per tap       panel  packed weights [taps][kc][nr*lanes]
*/
#ifndef CONVLITE_TABLE_H
#define CONVLITE_TABLE_H
#include <stdint.h>

/* The element kinds, each with a header in kinds/. */
#define KINDS(X) X(f32) X(f64)
#define KIND_CODE(kind) KIND_##kind,
enum { KINDS(KIND_CODE) KIND_COUNT };
#undef KIND_CODE

/* The activations in the order of their codes, from 1 on: the codes of convlite/activations.py. A test compares them. */
#define ACTIVATIONS(X) \
    X(CLIP, clip)                 /* min(max(x, a), b); relu is a = 0, b = inf */ \
    X(LEAKY, leaky)               /* x < 0 ? a*x : x */ \
    X(PRELU, prelu)               /* x < 0 ? alpha[c]*x : x */ \
    X(HARD_SIGMOID, hard_sigmoid) /* min(max(x + 3, 0), 6) / 6 */ \
    X(HARD_SWISH, hard_swish)     /* x * min(max(x + 3, 0), 6) / 6 */ \
    X(ELU, elu)                   /* x > 0 ? x : a*expm1(x) */ \
    X(SIGMOID, sigmoid)           /* 1 / (1 + exp(-x)) */ \
    X(TANH, tanh) \
    X(SILU, silu)                 /* x / (1 + exp(-x)) */ \
    X(GELU, gelu)                 /* x/2 * (1 + erf(x / sqrt 2)) */ \
    X(GELU_TANH, gelu_tanh)       /* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */ \
    X(SOFTPLUS, softplus)         /* log(1 + exp(x)) */ \
    X(LOG_SIGMOID, log_sigmoid)   /* -log(1 + exp(-x)) */ \
    X(SELU, selu)                 /* x > 0 ? a*x : b*expm1(x) */ \
    X(CELU, celu)                 /* x > 0 ? x : a*expm1(x / a) */ \
    X(MISH, mish)                 /* x * tanh(log(1 + exp(x))) */ \
    X(SOFTSIGN, softsign)         /* x / (1 + |x|) */ \
    X(EXPONENTIAL, exponential)   /* exp(x) */ \
    X(TANH_SHRINK, tanh_shrink)   /* x - tanh(x) */ \
    X(SOFT_SHRINK, soft_shrink)   /* x - min(max(x, a), b) */ \
    X(HARD_SHRINK, hard_shrink)   /* |x| > a ? x : 0 */
#define ACT_CODE(code, name) ACT_##code,
enum { ACT_NONE, ACTIVATIONS(ACT_CODE) ACT_COUNT };
#undef ACT_CODE

typedef struct {
    int code;
    double a, b;
} Activation;

/* The end of a sum: y = last(act(sum + bias) + residual). Each kernel applies it as epilogue.h says: bias and clipping to sums in registers, the
   rest to rows that it has just stored. */
typedef struct {
    const void *bias, *alpha; /* of the first channel that the kernel computes, in whole vectors where its contract says so; NULL: none */
    Activation act;           /* alpha: the slopes of ACT_PRELU */
    int64_t residual;         /* bytes from an output to what is added to it; 0: nothing */
    Activation last;          /* its slopes are `alpha`, too: only one of the two activations has slopes */
    /* A residual of fewer channels has `fewer` bytes for a pixel, and its pixels are more_pixel apart; the outputs' are out_pixel apart, from
       `out` on. Zeros are added to the other channels. 0: it has as many channels, and the layout of the outputs. */
    int64_t fewer, more_pixel, out_pixel;
    const void *out;
} Epilogue;

/* Winograd's transforms of one tile: see winograd.h. Steps of pixels are in bytes, the others in elements. */
#define WINOGRAD_MOST 12 /* products or outputs of a tile along an axis */

typedef struct {
    int n, m;   /* F(m, r): pixels that are read, and of each phase as many products, and m outputs; n = 1: the axis is not transformed */
    int phases; /* output i of phase p is output i * phases + p of the tile */
} WinogradAxis;

typedef struct {
    const WinogradAxis *rows, *columns;
    const void *x;                    /* where the window's first pixel is, or would be; only what is inside is read */
    int64_t row_step, column_step;
    int row_low, row_high;            /* the window's rows and columns that are inside the image: low <= i < high */
    int column_low, column_high;
    void *v;                          /* [n of rows][n of columns][v_step] */
    int64_t v_step, channels;
} WinogradInput;

typedef struct {
    const WinogradAxis *rows, *columns;
    const void *s; /* [phases and n of rows][phases and n of columns][s_step] */
    int64_t s_step;
    void *out; /* where the first output is, or would be */
    int64_t row_step, column_step, channels;
    int row_low, row_high, column_low, column_high; /* the outputs that exist: low <= i < high */
    Epilogue end;                                   /* whole vectors */
} WinogradOutput;

typedef struct {
    const void *kernel; /* the element that meets a window's first pixel, for input and output channel 0; steps may be negative */
    int64_t row_step, column_step, k_step, l_step, cin, cout; /* steps in elements */
    int rows, columns, row_slots, column_slots;               /* taps, and transformed weights */
    int row_parts, column_parts;                              /* weights of a position along an axis; the last one may have fewer */
    const double *row_factors, *column_factors;               /* G: [slots][taps] */
    void *panels;                                             /* [panel][row_slots * column_slots][cin][nr*LANES], those of a position together */
} WinogradKernel;

/* One tile: out[i][l] = act(bias[l] + sum over taps t, channels k of taps_at[t][i][k] * panel[t][k][l]), l < channels.

   Without `finish` the raw sum is stored; with `accumulate` the sum continues from what is stored there, which is exact, as storing and
   reloading a float is. A long sum is cut into pieces, each a chain from zero, which are added in their order (sums.py). With `total` the first
   one is added to those before. */
typedef struct {
    const void *const *taps_at; /* gathered: [taps][mr], where each pixel of the tile finds its kc channels; strided: [taps][2], see below */
    const void *panel;       /* [taps][kc][nr*LANES], 64-byte aligned, zero-padded; depthwise: see depthwise.h */
    void *const *out;        /* gathered: [mr]; strided: [2] */
    int64_t step, out_step;  /* strided: bytes from one pixel to the next */
    /* Strided: prefetched into L2 meanwhile, 128 bytes every 4 channels. Any address is allowed, but each prefetch of one where there is no memory
       searches the page tables anew, which took 80 ns (Zen 1, a virtual machine): when the last panel's tiles fetched what lies behind all
       weights, 3x3 on 128 channels of 7x7 took 2.8 times as long wherever that was nothing. */
    const void *ahead;
    int64_t ahead_step;      /* bytes from one of these to the next; large tiles of wide panels fetch 128 more half a step on */
    int64_t out_offset;      /* elements added to each out[i] */
    int64_t taps, kc;
    int64_t piece_kc, piece_taps; /* of the first piece: kc and taps, or less if the sum is cut (sums.py) */
    int64_t part;            /* cut: other pieces have so many taps, or what is left of a period; 1 if a tap has several pieces */
    int64_t period, rest;    /* cut: of a period, and of the first one: taps, or channels of a tap if piece_kc < kc */
    int64_t channels;        /* of the output: 1 .. nr*LANES */
    Epilogue end;            /* [nr*LANES] */
    int accumulate, finish;
    int cut;                 /* whether the sum has several pieces */
    int by_runs;             /* doubles have no strided kernels: their gathered ones read this as a strided tile */
    int streams;             /* strided: the call finishes, out begins on cache lines, and whole large tiles may write past the caches */
    void *const *total;      /* NULL, or what is added: [2], for pixels of [nr*LANES], one behind the other, of the first (mr + 1)/2 and the others */
} Tile;

/* A strided tile is two runs of neighbouring pixels: the first (mr + 1)/2 start at taps_at[t][0] and out[0], the others at taps_at[t][1] and out[1].
   Addresses are then a base and multiples of `step`: no pointer is loaded for a pixel. */

enum { STORE, STREAM, ASK }; /* how join_end_by of microkernel.h stores */

typedef void (*TileKernel)(const Tile *);

/* Depthwise tile: channel c of the input gives channels c*multiplier + m of the output. */
typedef struct {
    const void *const *taps_at; /* [taps][mr] */
    const void *weights;     /* [multiplier][all taps][channels], unpadded */
    int64_t weights_step;    /* elements from one m to the next: all taps * channels */
    void *const *out;        /* [mr] */
    int64_t taps, channels, multiplier;
    Epilogue end;            /* [channels*multiplier] */
    int accumulate, finish;
    void *const *total;      /* [mr], or NULL */
} DepthwiseTile;

typedef void (*DepthwiseKernel)(const DepthwiseTile *, int mr);

/* Pixel vectors (pixel_vectors.h): one input row is added to n sums over a stretch of pixels. Offsets and steps are in elements. */
typedef struct {
    const void *x;              /* a transposed input row: pixel p of channel k and tap t is x[shifts[t] + k*x_step + p] */
    const int64_t *shifts;      /* [taps] */
    const void *weights;        /* of sum i: weights[tap_weights[t] + k*w_step + i] */
    const int64_t *tap_weights; /* [taps] */
    int64_t x_step, w_step;
    int64_t taps, kc, vectors;
    void *acc[14];              /* [n] */
    const void *ahead;          /* prefetched, `fetch` bytes further at each step of the sum; the address it reached is stored here */
    int64_t fetch;
} PixelVectorsPass;

typedef void (*PixelVectorsKernel)(PixelVectorsPass *);

/* A finished line of outputs: phase c, channel l, pixel p are in acc[(c*cout + l)*acc_step + p], and go to out[(p*phases + c)*pixel + l]. */
typedef struct {
    void *acc;
    int64_t acc_step, phases, cout, pixel; /* pixel: elements from one to the next */
    const int64_t *counts; /* [phases]: pixels of each phase; a later phase has as many as an earlier one, or one less */
    void *out;
    Epilogue end; /* [cout]; no residual */
} PixelVectorsLine;

/* Few sums for each pixel (tall_skinny.h): a pixel of the input gives `rows` output lines of sums/rows numbers each. */
typedef struct {
    const void *x, *weights; /* [pixels][cin], [cin][sums] */
    void *out;               /* [pixels / width][rows][width * kw][cout], kw*cout = sums / rows */
    int64_t x_step, out_step, out_row; /* elements: from pixel to pixel, from line to line */
    int64_t first, last;     /* pixels that this call computes: a vector of them, or more */
    int64_t width, rows, sums, cin, cout;
    int64_t piece; /* how many products a piece has: sums.py */
    int64_t together; /* pixels side by side in a vector: see few_channels.h; 0: the lanes are pixels */
    Epilogue end;  /* [cout]: sum i is of output channel i % cout; no residual */
} TallSkinnyCall;

/* An input row of depthwise lines: its weights [kw][weights_step] for either output row, NULL where it does not reach it. */
typedef struct {
    const void *x;
    const void *weights[2];
    int64_t cut;                /* wide lines, bit o: a piece of the sums of output row o ends before this row, bit 2 + o: a section */
} DepthwiseRow;

/* Depthwise along lines: up to LINE_ROWS (depthwise.h) rows of up to LINE_PIXELS neighbouring outputs, kernel rows of kw neighbouring taps, stride 1 or 2. */
typedef struct {
    const DepthwiseRow *rows;   /* [count] inside the image, ascending */
    int64_t count;
    int64_t offset, step;       /* bytes: from row->x to the tile's first input column, and from one to the next */
    int64_t first, last;        /* columns inside the image */
    int64_t kw, cuts;           /* wide lines: taps of a kernel row; 1 where sums are cut into pieces, 2 into sections, too */
    int64_t weights_step;       /* elements */
    void *out[2];
    int64_t lines, out_step;    /* rows of outputs; bytes */
    int64_t channels, pixels;
    int64_t parts[2], shift;    /* wide lines: pixels of either row; where both are of one line, how many pixels the second is behind the first */
    int64_t head;               /* the first vector's channels where it is not whole: the others are aligned then */
    Epilogue end;               /* [channels] */
} DepthwiseLine;

typedef void (*DepthwiseLineKernel)(const DepthwiseLine *);

enum { LINE_PIXELS = 7 };

/* Products lane by lane along a line of outputs, and the copying of an input row for them: see lanewise.h. Steps are in elements. */
typedef struct {
    const void *const *x; /* [rows], NULL outside the image */
    const void *weights;  /* [rows][taps][patterns][LANES] */
    int64_t weights_step; /* from one row to the next */
    const int64_t *shifts; /* [taps] */
    int64_t rows, taps, vectors, patterns;
    int64_t piece, section; /* rows of a piece of the sum, and of a section: whole pieces */
    int64_t inside, behind; /* of a row: where pixels begin and end; the rest is zeros */
    void *out;
    int64_t out_step, used, last; /* lanes in use: of each vector, of the last */
    Epilogue end;         /* [patterns][LANES]; act: ACT_CLIP or none; no residual */
} LanewiseLine;

typedef struct {
    const void *from;
    int64_t from_step, pixels;
    const int32_t *places; /* [kc][per], places_step apart */
    int64_t places_step, kc, per, span;
    void *to;
    int64_t to_step;
    int in_order;
} LanewiseCopy;

/* Rows times a matrix that was not packed: see few_rows.h. */
typedef struct {
    const void *const *x; /* [rows], of kc elements */
    const void *w;        /* [kc][columns] */
    int64_t w_step;       /* elements from one row to the next */
    void *const *to;      /* [rows]: sums, which are continued */
    int64_t rows, kc, columns;
    int add; /* from zero, then added; needs add_rows of the table, or more */
} FewRowsCall;

/* One pixel times some panels: see one_pixel.h. */
enum { PIXEL_PANELS = 4 };

typedef struct {
    const void *const *taps_at; /* [taps] */
    int64_t taps, first, kc;
    const void *panel[PIXEL_PANELS];
    void *sums;
} PixelCall;

enum {
    MAX_MR = 14,
    MAX_NR = 2,
    MAX_DEPTHWISE_MR = 6,
};

/* One output pixel of a pool: see pooling.h. */
typedef struct {
    const void *x; /* the first tap inside the image */
    void *out;
    int64_t rows, columns; /* taps inside the image */
    int64_t row_step, column_step, channels, ahead;
    double divisor;
    int largest, wide; /* wide: a mean is summed in double */
} Window;

#include "steps_table.h"

typedef struct {
    int kind, itemsize, lanes, mr, tall_mr, nr, depthwise_mr, line_rows, skinny_sums, fma, streams;
    double vector_nanoseconds; /* a multiply-add of a vector: plan/choice.py */
    void (*winograd_input)(const WinogradInput *);
    void (*winograd_output)(const WinogradOutput *);
    void (*winograd_kernel)(const WinogradKernel *);
    TileKernel gathered[MAX_NR + 1][MAX_MR + 1];    /* [nr][mr]; index 0 is unused */
    TileKernel strided[2 * MAX_NR + 1][MAX_MR + 1]; /* [half vectors in use][mr] */
    void (*one_pixel)(const PixelCall *); /* NULL: tiles do it */
    DepthwiseKernel depthwise;
    PixelVectorsKernel pixels[MAX_MR + 1]; /* [n] */
    void (*pixel_transpose)(const void *from, int64_t from_step, int64_t pixels, int64_t kc, void *to, int64_t to_step);
    void (*pixel_line)(const PixelVectorsLine *);
    void (*move_sums)(void *from, void *to, int64_t n); /* to += from, from = 0: whole vectors */
    void (*add_low)(void *high, void *low, const void *sum, int64_t n, int first, int last); /* see sections.h */
    DepthwiseLineKernel depthwise_line[3][8]; /* [stride][kw]: strides 1 and 2, kw 3 and 5; the others are NULL */
    DepthwiseLineKernel depthwise_wide; /* kernel rows of any width; NULL where there is none */
    void (*lanewise)(const LanewiseLine *); /* NULL where there is no such form, as is lanewise_copy */
    void (*lanewise_copy)(const LanewiseCopy *);
    void (*lanewise_point)(const LanewiseLine *, const LanewiseCopy *); /* NULL where lanes are not moved by an instruction */
    int64_t add_rows; /* from how many rows on few_rows can add */
    void (*few_rows)(const FewRowsCall *);
    void (*few_rows_end)(const Epilogue *, const void *sums, void *out, int64_t columns);
    int (*all_finite)(const void *numbers, int64_t n);
    void (*take_panel)(const void *w, int64_t w_step, int64_t rows, int64_t n, void *to, int64_t whole);
    void (*tall_skinny)(const TallSkinnyCall *); /* up to skinny_sums sums; NULL where that is 0 */
    /* out[r][c] = act(x[r][c]) for rows x columns; alpha[columns] for ACT_PRELU; out may be x */
    void (*activate)(const void *x, void *out, int64_t rows, int64_t columns, const void *alpha, Activation act);
    void (*softmax)(const void *x, void *out, int64_t rows, int64_t columns, int logarithm);
    void (*pool)(const Window *);
    StepKernels steps;
    /* multiply-adds on registers only, `rounds` times: the peak of the machine, for the benchmarks; returns how many operations */
    double (*peak)(int64_t rounds);
} Table;

#endif
