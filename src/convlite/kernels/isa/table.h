/* What an instruction set offers to the loop nests: one Table per (instruction set, dtype).

   Every pointer is to elements of the table's dtype; the loop nests (Cython) handle them as bytes, so that they hold no dtype branch.
   Glossary (the same letters in Python, Cython and C):
     mr     pixels of a tile                     nr     vectors of a tile            lanes  elements of a vector
     taps   kernel elements that a phase reads   kc     input channels per tap       panel  packed weights [taps][kc][nr*lanes]
*/
#ifndef CONVLITE_TABLE_H
#define CONVLITE_TABLE_H
#include <stdint.h>

/* Codes of the activations: the order of convlite/activations.py, which a test compares. */
enum {
    ACT_NONE = 0,
    ACT_CLIP = 1,         /* min(max(x, a), b); relu is a = 0, b = inf */
    ACT_LEAKY = 2,        /* x < 0 ? a*x : x */
    ACT_PRELU = 3,        /* x < 0 ? alpha[c]*x : x */
    ACT_HARD_SIGMOID = 4, /* min(max(x + 3, 0), 6) / 6 */
    ACT_HARD_SWISH = 5,   /* x * min(max(x + 3, 0), 6) / 6 */
    ACT_ELU = 6,          /* x > 0 ? x : a*expm1(x) */
    ACT_SIGMOID = 7,      /* 1 / (1 + exp(-x)) */
    ACT_TANH = 8,
    ACT_SILU = 9,         /* x / (1 + exp(-x)) */
    ACT_GELU = 10,        /* x/2 * (1 + erf(x / sqrt 2)) */
    ACT_GELU_TANH = 11,   /* x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */
    ACT_SOFTPLUS = 12,    /* log(1 + exp(x)) */
    ACT_LOG_SIGMOID = 13, /* -log(1 + exp(-x)) */
    ACT_SELU = 14,        /* x > 0 ? a*x : b*expm1(x) */
    ACT_CELU = 15,        /* x > 0 ? x : a*expm1(x / a) */
    ACT_MISH = 16,        /* x * tanh(log(1 + exp(x))) */
    ACT_SOFTSIGN = 17,    /* x / (1 + |x|) */
    ACT_EXPONENTIAL = 18, /* exp(x) */
    ACT_TANH_SHRINK = 19, /* x - tanh(x) */
    ACT_SOFT_SHRINK = 20, /* x - min(max(x, a), b) */
    ACT_HARD_SHRINK = 21, /* |x| > a ? x : 0 */
};

typedef struct {
    int code;
    double a, b;
} Activation;

/* What happens to a sum: y = last(act(sum + bias) + residual). Each kernel applies it as epilogue.h says: what its registers hold gets bias and
   clipping there, rows that it has just stored the rest. */
typedef struct {
    const void *bias, *alpha; /* of the first channel that the kernel computes, in whole vectors where its contract says so; NULL: none */
    Activation act;           /* alpha: the slopes of ACT_PRELU */
    int64_t residual;         /* bytes from an output to what is added to it; 0: nothing */
    Activation last;
} Epilogue;

/* Winograd's transforms of one tile: see winograd.h. Steps of pixels are in bytes, the others in elements. */
typedef struct {
    const void *x;                    /* where the tile's first pixel is, or would be; only what is inside is read */
    int64_t row_step, column_step;
    int row_low, row_high;            /* the tile's rows and columns that are inside the image: low <= i < high */
    int column_low, column_high;
    const void *zeros;                /* [channels]: any other pixel */
    void *v;                          /* [n*n][v_step] */
    int64_t v_step, channels;
} WinogradInput;

typedef struct {
    const void *s; /* [n*n][s_step] */
    int64_t s_step;
    void *out; /* the first output, lanes channels each */
    int64_t row_step, column_step, lanes;
    int rows, columns; /* how many of the m x m outputs exist */
    Epilogue end;      /* whole vectors */
} WinogradOutput;

typedef struct {
    const void *kernel; /* the element that meets a tile's first pixel, for input and output channel 0; steps may be negative */
    int64_t row_step, column_step, k_step, l_step, cin, cout; /* steps in elements */
    void *panels; /* [panel][n*n][cin][nr*LANES] */
} WinogradKernel;

typedef struct {
    void (*input)(const WinogradInput *);
    void (*output)(const WinogradOutput *);
    void (*kernel)(const WinogradKernel *);
} WinogradTransforms;

/* One tile: out[i][0:lanes] = act(bias + sum over taps t, channels k of rows[t][i][k] * panel[t][k][0:lanes]).

   Without `finish` the raw sum is stored; with `accumulate` the sum continues from what is stored there, which is exact, as storing and
   reloading a float is. With `total` it is a piece of a longer sum, added to those before. */
typedef struct {
    const void *const *rows; /* gathered: [taps][mr], where each pixel of the tile finds its kc channels; strided: [taps][2], see below */
    const void *panel;       /* [taps][kc][nr*LANES], 64-byte aligned, zero-padded; depthwise: see depthwise.h */
    void *const *out;        /* gathered: [mr]; strided: [2] */
    int64_t step, out_step;  /* strided: bytes from one pixel to the next */
    const void *ahead;       /* strided: what to prefetch into L2 meanwhile, 128 bytes every 4 channels; any address */
    int64_t out_offset;      /* elements added to each out[i] */
    int64_t taps, kc;
    int64_t lanes;           /* valid ones, 1 .. nr*LANES */
    Epilogue end;            /* [nr*LANES] */
    int accumulate, finish;
    void *const *total;      /* NULL, or what is added: bases like those of `out`, for whole pixels of [nr*LANES] */
} Tile;

/* A strided tile is two runs of neighbouring pixels: the first (mr + 1)/2 start at rows[t][0] and out[0], the others at rows[t][1] and out[1].
   Addresses are then a base and multiples of `step`: no pointer is loaded for a pixel. */

typedef void (*TileKernel)(const Tile *);

/* Depthwise tile: channel c of the input gives channels c*multiplier + m of the output. */
typedef struct {
    const void *const *rows; /* [taps][mr] */
    const void *weights;     /* [multiplier][all taps][channels], unpadded */
    int64_t weights_step;    /* elements from one m to the next: all taps * channels */
    void *const *out;        /* [mr] */
    int64_t taps, channels, multiplier;
    Epilogue end;            /* [channels*multiplier] */
    int accumulate, finish;
    void *const *total;      /* [mr], or NULL */
} DepthwiseTile;

typedef void (*DepthwiseKernel)(const DepthwiseTile *, int mr);

/* Pixel vectors (pixels.h): n sums over a stretch of pixels meet one input row. Offsets and steps are in elements. */
typedef struct {
    const void *x;              /* a transposed input row: pixel p of channel k and tap t is x[shifts[t] + k*x_step + p] */
    const int64_t *shifts;      /* [taps] */
    const void *weights;        /* of sum i: weights[tap_weights[t] + k*w_step + i] */
    const int64_t *tap_weights; /* [taps] */
    int64_t x_step, w_step;
    int64_t taps, kc, vectors;
    void *acc[14];              /* [n] */
    const void *ahead;          /* prefetched, `fetch` bytes further at each step of the sum; where it got to is left here */
    int64_t fetch;
} PixelPass;

typedef void (*PixelKernel)(PixelPass *);

/* A finished line of outputs: phase c, channel l, pixel p are in acc[(c*cout + l)*acc_step + p], and go to out[(p*phases + c)*pixel + l]. */
typedef struct {
    void *acc;
    int64_t acc_step, phases, cout, pixel; /* pixel: elements from one to the next */
    const int64_t *counts; /* [phases]: pixels of each phase; a later phase has as many as an earlier one, or one less */
    void *out;
    Epilogue end; /* [cout]; no residual */
} PixelLine;

/* Few sums for each pixel (skinny.h): a pixel of the input gives `rows` output lines of sums/rows numbers each. */
typedef struct {
    const void *x, *weights; /* [pixels][cin], [cin][sums] */
    void *out;               /* [pixels / width][rows][width * kw][cout], kw*cout = sums / rows */
    int64_t x_step, out_step, out_row; /* elements: from pixel to pixel, from line to line */
    int64_t first, last;     /* pixels that this call computes: a vector of them, or more */
    int64_t width, rows, sums, cin, cout;
    int64_t piece; /* of so many products each: sums.py */
    Epilogue end;  /* [cout]: sum i is of output channel i % cout; no residual */
} Skinny;

/* An input row of depthwise lines: its weights [kw][weights_step] for either output row, NULL where it does not reach it. */
typedef struct {
    const void *x;
    const void *weights[2];
} DepthwiseRow;

/* Depthwise along lines: up to LINE_ROWS (depthwise.h) rows of up to LINE_PIXELS neighbouring outputs, kernel rows of kw neighbouring taps, stride 1 or 2. */
typedef struct {
    const DepthwiseRow *rows;   /* [count] inside the image, ascending */
    int64_t count;
    int64_t offset, step;       /* bytes: from row->x to the tile's first input column, and from one to the next */
    int64_t first, last;        /* columns inside the image */
    int64_t weights_step;       /* elements */
    void *out[2];
    int64_t lines, out_step;    /* rows of outputs; bytes */
    int64_t channels, pixels;
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
    int64_t inside, behind; /* of a row: where pixels begin and end; all else is zeros */
    void *out;
    int64_t out_step, lanes, last;
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

/* A few rows times a matrix that was not packed. */
typedef struct {
    const void *x, *w;
    void *out;
    int64_t x_step, w_step, out_step; /* elements from one row to the next */
    int64_t rows, columns, kc;
    int64_t piece, section; /* of so many products each: sums.py */
    void *sums;             /* [3][rows][columns] where there is more than a piece: the piece, the section, its low */
    Epilogue end;           /* [columns]; no residual */
} Rows;

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
    const char *isa;
    int itemsize, lanes, mr, nr, depthwise_mr, line_rows, skinny_sums, fma;
    WinogradTransforms winograd[7]; /* of F(m x m, 3x3) by m: 2, 4, 5, 6 */
    TileKernel gathered[MAX_NR + 1][MAX_MR + 1];    /* [nr][mr]; index 0 is unused */
    TileKernel strided[2 * MAX_NR + 1][MAX_MR + 1]; /* [half vectors in use][mr] */
    DepthwiseKernel depthwise;
    PixelKernel pixels[MAX_MR + 1]; /* [n] */
    void (*pixel_transpose)(const void *from, int64_t from_step, int64_t pixels, int64_t kc, void *to, int64_t to_step);
    void (*pixel_line)(const PixelLine *);
    void (*move_sums)(void *from, void *to, int64_t n); /* to += from, from = 0: whole vectors */
    void (*add_low)(void *high, void *low, const void *sum, int64_t n, int first, int last); /* see sections.h */
    DepthwiseLineKernel depthwise_line[3][8]; /* [stride][kw]: strides 1 and 2, kw 3 and 5; the others are NULL */
    void (*lanewise)(const LanewiseLine *); /* NULL where there is no such form, as is lanewise_copy */
    void (*lanewise_copy)(const LanewiseCopy *);
    void (*lanewise_point)(const LanewiseLine *, const LanewiseCopy *); /* NULL where lanes are not moved by an instruction */
    void (*rows)(const Rows *);
    void (*skinny)(const Skinny *); /* up to skinny_sums sums; NULL where that is 0 */
    /* out[r][c] = act(x[r][c]) for rows x columns; alpha[columns] for ACT_PRELU; out may be x */
    void (*activate)(const void *x, void *out, int64_t rows, int64_t columns, const void *alpha, Activation act);
    void (*softmax)(const void *x, void *out, int64_t rows, int64_t columns);
    void (*pool)(const Window *);
    StepKernels steps;
    /* multiply-adds on registers only, `rounds` times: the machine's own peak, for the benchmarks; returns how many operations */
    double (*peak)(int64_t rounds);
} Table;

#endif
