# cython: language_level=3, boundscheck=False, initializedcheck=False, freethreading_compatible=True
"""The compiled core: loop nests over the micro-kernels of the chosen instruction set.

There is one extension module, so that Cython's own code is compiled once; the loop nests are in the included files. Arrays come
in through the buffer protocol as raw pointers. The callers in Python have checked everything about them, and here their sizes in
bytes are checked again. No code here knows what "same" or "transposed" means, and no line depends on the element kind: the Table
does.
"""

cimport cython
from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset


cdef extern from "isa/table.h" nogil:
    enum:
        KIND_f32, KIND_f64, KIND_COUNT
        MAX_MR, MAX_NR, MAX_DEPTHWISE_MR, LINE_PIXELS
        ACT_NONE, ACT_CLIP, ACT_ELU, ACT_SIGMOID, ACT_TANH, ACT_COUNT
    ctypedef struct Activation:
        int code
        double a, b
    ctypedef struct Epilogue:
        const void *bias
        const void *alpha
        Activation act
        int64_t residual
        Activation last
        int64_t fewer, more_pixel, out_pixel
        const void *out
    ctypedef struct WinogradAxis:
        int n, m, phases
    ctypedef struct WinogradInput:
        const WinogradAxis *rows
        const WinogradAxis *columns
        const void *x
        int64_t row_step, column_step
        int row_low, row_high, column_low, column_high
        void *v
        int64_t v_step, channels
    ctypedef struct WinogradOutput:
        const WinogradAxis *rows
        const WinogradAxis *columns
        const void *s
        int64_t s_step
        void *out
        int64_t row_step, column_step, channels
        int row_low, row_high, column_low, column_high
        Epilogue end
    ctypedef struct WinogradKernel:
        const void *kernel
        int64_t row_step, column_step, k_step, l_step, cin, cout
        int rows, columns, row_slots, column_slots, row_parts, column_parts
        const double *row_factors
        const double *column_factors
        void *panels
    ctypedef struct Tile:
        const void *const *taps_at
        const void *panel
        void *const *out
        int64_t step, out_step
        const void *ahead
        int64_t ahead_step, out_offset, taps, kc, piece_kc, piece_taps, part, period, rest, channels
        Epilogue end
        int accumulate, finish, cut, by_runs, streams
        void *const *total
    ctypedef struct DepthwiseTile:
        const void *const *taps_at
        const void *weights
        int64_t weights_step
        void *const *out
        int64_t taps, channels, multiplier
        Epilogue end
        int accumulate, finish
        void *const *total
    ctypedef struct DepthwiseRow:
        const void *x
        const void *weights[2]
        int64_t cut
    ctypedef struct DepthwiseLine:
        const DepthwiseRow *rows
        int64_t count, offset, step, first, last, kw, cuts, weights_step
        void *out[2]
        int64_t lines, out_step, channels, pixels, shift, head
        int64_t parts[2]
        Epilogue end
    ctypedef void (*DepthwiseLineKernel)(const DepthwiseLine *) noexcept nogil
    ctypedef struct LanewiseLine:
        const void *const *x
        const void *weights
        int64_t weights_step
        const int64_t *shifts
        int64_t rows, taps, vectors, patterns, piece, section, inside, behind
        void *out
        int64_t out_step, used, last
        Epilogue end
    ctypedef struct LanewiseCopy:
        const void *source "from"
        int64_t source_step "from_step"
        int64_t pixels
        const int32_t *places
        int64_t places_step, kc, per, span
        void *to
        int64_t to_step
        int in_order
    ctypedef struct FewRowsCall:
        const void *const *x
        const void *w
        int64_t w_step
        void *const *to
        int64_t rows, kc, columns
        int add
    enum:
        PIXEL_PANELS
    ctypedef struct PixelCall:
        const void *const *taps_at
        int64_t taps, first, kc
        const void *panel[4]
        void *sums
    ctypedef void (*TileKernel)(const Tile *) noexcept nogil
    ctypedef void (*DepthwiseKernel)(const DepthwiseTile *, int) noexcept nogil
    ctypedef struct PixelVectorsPass:
        const void *x
        const int64_t *shifts
        const void *weights
        const int64_t *tap_weights
        int64_t x_step, w_step, taps, kc, vectors
        void *acc[14]
        const void *ahead
        int64_t fetch
    ctypedef struct PixelVectorsLine:
        void *acc
        int64_t acc_step, phases, cout, pixel
        const int64_t *counts
        void *out
        Epilogue end
    ctypedef void (*PixelVectorsKernel)(PixelVectorsPass *) noexcept nogil
    ctypedef struct TallSkinnyCall:
        const void *x
        const void *weights
        void *out
        int64_t x_step, out_step, out_row, first, last, width, rows, sums, cin, cout, piece, together
        Epilogue end
    ctypedef struct Window:
        const void *x
        void *out
        int64_t rows, columns, row_step, column_step, channels, ahead
        double divisor
        int largest, wide
    enum:
        UNARY_SQRT, UNARY_RECIPROCAL, UNARY_ABS, UNARY_NEGATIVE, UNARY_LOG
        PASS_ADD, PASS_SUB, PASS_MUL, PASS_DIV, PASS_MAX, PASS_MIN, PASS_PRELU, PASS_FIRST, PASS_AFFINE, PASS_SCALE
        PASS_A, PASS_B, PASS_FACTOR, PASS_OFFSET, PASS_SLOPES, PASS_OUT, PASS_OPERANDS
    ctypedef struct Pass:
        void *at[6]
        int64_t step[6]
        int64_t rows, columns
        int op, b_is_scalar, scale_is_scalar
        Activation act
    ctypedef struct Columns:
        const void *x
        int64_t rows, columns, step
        const double *centre
        void *sums
        int more
    ctypedef struct LayerNorm:
        const void *x
        void *out
        int64_t rows, columns, x_step, out_step
        const void *scale
        const void *offset
        double epsilon
        Activation act
    ctypedef struct ResampleLine:
        const void *x
        const void *below
        const void *across
        void *out
        int64_t outputs, inner, taps, out_step
        const int64_t *index
        const void *weights
    ctypedef struct PoolLine:
        const void *x
        void *out
        void *sums
        int64_t outputs, taps, channels, step, out_step
        const int64_t *offsets
        double divisor
        int largest
    ctypedef struct StepKernels:
        void (*run_pass "pass")(const Pass *) noexcept nogil
        void (*sum)(const Columns *) noexcept nogil
        void (*largest)(const Columns *) noexcept nogil
        void (*layer_norm)(const LayerNorm *) noexcept nogil
        void (*transpose)(const void *, int64_t, int64_t, int64_t, void *, int64_t) noexcept nogil
        void (*resample_line)(const ResampleLine *) noexcept nogil
        void (*pool_line)(const PoolLine *) noexcept nogil
        void (*unary)(int, const void *, void *, int64_t) noexcept nogil
    ctypedef struct Table:
        int kind, itemsize, lanes, mr, tall_mr, nr, depthwise_mr, line_rows, skinny_sums, fma, streams
        double vector_nanoseconds
        void (*winograd_input)(const WinogradInput *) noexcept nogil
        void (*winograd_output)(const WinogradOutput *) noexcept nogil
        void (*winograd_kernel)(const WinogradKernel *) noexcept nogil
        TileKernel gathered[3][15]
        TileKernel strided[5][15]
        void (*one_pixel)(const PixelCall *) noexcept nogil
        DepthwiseKernel depthwise
        PixelVectorsKernel pixels[15]
        void (*pixel_transpose)(const void *, int64_t, int64_t, int64_t, void *, int64_t) noexcept nogil
        void (*pixel_line)(const PixelVectorsLine *) noexcept nogil
        void (*move_sums)(void *, void *, int64_t) noexcept nogil
        void (*add_low)(void *, void *, const void *, int64_t, int, int) noexcept nogil
        DepthwiseLineKernel depthwise_line[3][8]
        DepthwiseLineKernel depthwise_wide
        void (*lanewise)(const LanewiseLine *) noexcept nogil
        void (*lanewise_copy)(const LanewiseCopy *) noexcept nogil
        void (*lanewise_point)(const LanewiseLine *, const LanewiseCopy *) noexcept nogil
        int64_t add_rows
        void (*few_rows)(const FewRowsCall *) noexcept nogil
        void (*few_rows_end)(const Epilogue *, const void *, void *, int64_t) noexcept nogil
        int (*all_finite)(const void *, int64_t) noexcept nogil
        void (*take_panel)(const void *, int64_t, int64_t, int64_t, void *, int64_t) noexcept nogil
        void (*tall_skinny)(const TallSkinnyCall *) noexcept nogil
        void (*activate)(const void *, void *, int64_t, int64_t, const void *, Activation) noexcept nogil
        void (*softmax)(const void *, void *, int64_t, int64_t, int) noexcept nogil
        void (*pool)(const Window *) noexcept nogil
        StepKernels steps
        double (*peak)(int64_t) noexcept nogil

cdef extern from "isa/isas.h" nogil:
    enum:
        ISA_COUNT
    ctypedef struct InstructionSet:
        const char *name
        int needs
        const Table *(*table)(int kind) noexcept nogil
    const InstructionSet instruction_sets[]
    int cpu_features()
    int64_t cpu_cache(int *sharers)

cdef extern from *:
    """
    #define THE_NAME(name) #name,
    static const char *const kind_names[] = {KINDS(THE_NAME)};
    #define ACT_NAME(code, name) #name,
    static const char *const activation_names[] = {"none", ACTIVATIONS(ACT_NAME)};
    """
    const char *const kind_names[]
    const char *const activation_names[]

cdef extern from "openmp.h" nogil:
    int openmp_version()
    int openmp_in_parallel()
    int openmp_pause()

cdef extern from "float_mode.h" nogil:
    uint64_t float_mode_get()
    enum:
        KEEP, FLUSH
    uint64_t float_mode_enter(int subnormals)
    void float_mode_leave(uint64_t)


include "integers.pxi"
include "buffers.pxi"
include "script.pxi"
include "runner.pxi"
include "direct.pxi"
include "depthwise_lines.pxi"
include "lanewise.pxi"
include "pixel_vectors.pxi"
include "tall_skinny.pxi"
include "winograd.pxi"
include "philox.pxi"
include "few_rows.pxi"
include "elementwise.pxi"
include "pooling.pxi"
include "steps.pxi"
include "passes.pxi"
include "chains.pxi"
include "copies.pxi"
include "reductions.pxi"
include "norms.pxi"
include "resampling.pxi"
include "recurrent.pxi"
include "elements.pxi"
include "calls.pxi"


cdef int cpu = cpu_features()  # asked once: cpuid costs microseconds on a virtual machine
cdef list isas = [instruction_sets[i].name.decode() for i in range(ISA_COUNT)]
cdef list kinds = [kind_names[i].decode() for i in range(KIND_COUNT)]
cdef int cache_sharers = 1     # CPUs that share a last-level cache
cdef int64_t stream_bytes = (cpu_cache(&cache_sharers) or 64 * 1024 * 1024) // 2  # see Direct._streams
ISAS = tuple(isas)             # what this build has, best first, whether or not the machine has it


cdef const Table *find_table(str isa, int kind) noexcept:
    """NULL where machine or build have no such instruction set, or it has no such kind."""
    cdef int i
    for i in range(ISA_COUNT):
        if isa == isas[i] and cpu & instruction_sets[i].needs == instruction_sets[i].needs:
            return instruction_sets[i].table(kind)
    return NULL


cdef const Table *table_of(str isa, int kind) except NULL:
    cdef const Table *table = find_table(isa, kind)
    if table == NULL:
        raise ValueError(f"no kernels of kind {kinds[kind]} for the instruction set {isa!r} on this machine")
    return table


cdef int kind_of_floats(int64_t itemsize) noexcept nogil:
    """The kind of floating-point numbers of this size in bytes, for callers that have only arrays; plans name their kind."""
    return KIND_f64 if itemsize == 8 else KIND_f32


cdef int kind_code(str kind) except -1:
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}; got {kind!r}")
    return kinds.index(kind)


cdef dict described = {}       # (isa, kind) -> parameters: each new plan reads it


def describe(str isa, str kind):
    """The parameters of a table: a dict, not to be changed; None where machine or build have no such instruction set."""
    cdef const Table *table
    found = described.get((isa, kind))
    if found is not None:
        return found
    table = find_table(isa, kind_code(kind))
    if table == NULL:
        return None
    found = described[isa, kind] = {
        "isa": isa, "itemsize": table.itemsize, "lanes": table.lanes, "mr": table.mr, "tall_mr": table.tall_mr, "nr": table.nr,
        "depthwise_mr": table.depthwise_mr, "line_mr": LINE_PIXELS, "skinny_sums": table.skinny_sums,
        "pixels": table.pixels[1] != NULL, "line_rows": table.line_rows, "wide": table.depthwise_wide != NULL,
        "lines": {(i, j) for i in range(3) for j in range(8) if table.depthwise_line[i][j] != NULL},
        "lanewise": table.lanewise != NULL, "moves": table.lanewise_point != NULL, "fma": bool(table.fma),
        "streams": bool(table.streams), "vector_nanoseconds": table.vector_nanoseconds,
    }
    return found


def activation_codes():
    """The codes of isa/table.h by name, for the test that compares them with activations.py."""
    cdef int code
    return {activation_names[code].decode(): code for code in range(ACT_COUNT)}


def peak_flops(str isa, str kind, int64_t rounds, int threads=1):
    """Run multiply-adds on registers only and return how many floating-point operations they were: time it to get the peak."""
    cdef const Table *table = table_of(isa, kind_code(kind))
    cdef double flops = 0
    cdef int _turn
    for _turn in prange(threads, nogil=True, num_threads=threads, schedule="static", chunksize=1):
        flops += table.peak(rounds)
    return flops


def float_mode(mode=None):
    """The calling thread's MXCSR or FPCR, set to `mode` if it is given: for the tests. Kernels have their own mode."""
    cdef uint64_t found = float_mode_get()
    if mode is not None:
        float_mode_leave(mode)
    return found


def stream_from(nbytes=None):
    """From how many bytes on outputs are written past the caches, set to `nbytes` if it is given: for the tests."""
    global stream_bytes
    found = stream_bytes
    if nbytes is not None:
        stream_bytes = nbytes
    return found


def openmp():
    """The OpenMP version that the core was built with as yyyymm, or 0 for a serial build."""
    return openmp_version()


def in_parallel():
    """Whether the caller is inside an OpenMP region of another library."""
    return bool(openmp_in_parallel())


def pause_openmp():
    """Free the calling thread's OpenMP pool (before fork); True when a forked child may use threads."""
    return openmp_pause() == 0
