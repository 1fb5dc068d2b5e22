# Arrays copied into others that have other strides: a block into its place in a larger array (concat), or out of one (slice),
# axes in another order, an axis of step 0 repeated (nearest upsampling). Numbers are moved, not computed: any dtype works.
#
#     rows        neighbours in both: memcpy
#     transpose   neighbours in x along one axis, in out along another: blocks of both (isa/resample.h)
#     elements    anything else
#
# Padding is a copy of rows, each with its margins.

cdef enum:
    X = 0
    OUT = 1
    COPY_ROWS = 0
    COPY_TRANSPOSE = 1
    COPY_ELEMENTS = 2
    TRANSPOSE_PIXELS = 256     # a block: 256 x 32 numbers
    TRANSPOSE_CHANNELS = 32

cdef struct CopyJob:
    const Table *table
    Walk walk                  # operands X, OUT
    int kind
    int64_t size, rows, columns, row_piece, column_piece, row_pieces, column_pieces, blocks, group, tasks, nanoseconds


cdef void fill_copy(CopyJob *job) noexcept nogil:
    cdef Walk *walk = &job.walk
    cdef int64_t size = job.size, most = TASK_BYTES // size
    cdef int last, i
    simplify(walk, OUT, size)
    last = walk.axes - 1
    job.kind = COPY_ELEMENTS
    if walk.steps[X][last] == size and walk.steps[OUT][last] == size:
        job.kind = COPY_ROWS
    elif walk.steps[OUT][last] == size and (size == 4 or size == 8):
        for i in range(last):
            if walk.steps[X][i] == size and may_transpose(walk, i, size):
                for i in range(i, last - 1):
                    swap_axes(walk, i, i + 1)
                job.kind = COPY_TRANSPOSE
                break
    job.columns = walk.sizes[last]
    job.rows = walk.sizes[last - 1] if last > 0 else 1
    if job.kind == COPY_TRANSPOSE:
        job.row_piece, job.column_piece = smaller(TRANSPOSE_CHANNELS, job.rows), smaller(TRANSPOSE_PIXELS, job.columns)
        if job.columns <= 4 and walk.steps[OUT][last - 1] == job.columns * size:  # lines become pixels: planes, a shuffle
            job.row_piece = smaller(most // job.columns, job.rows)
    else:
        job.column_piece = most if job.columns > most + most // 2 else job.columns
        job.row_piece = smaller(ceil_div(most, job.column_piece), job.rows)
    job.row_pieces, job.column_pieces = ceil_div(job.rows, job.row_piece), ceil_div(job.columns, job.column_piece)
    job.blocks = job.row_pieces * job.column_pieces
    for i in range(last - 1):
        job.blocks *= walk.sizes[i]
    job.group = max(1, most // (job.row_piece * job.column_piece))  # small blocks of neighbours are one task
    job.tasks = ceil_div(job.blocks, job.group)
    job.nanoseconds = walk.size * size // 16


cdef bint may_transpose(const Walk *walk, int i, int64_t size) noexcept nogil:
    """Whether steps are whole numbers of elements, and the axis is long enough for a block."""
    cdef int last = walk.axes - 1
    with cython.cdivision(True):
        return walk.steps[X][last] % size == 0 and walk.steps[OUT][i] % size == 0 and walk.sizes[last] > 1


cdef void copy_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const CopyJob *job = <const CopyJob *> of
    cdef const Walk *walk = &job.walk
    cdef int64_t block, size = job.size
    if job.kind == COPY_TRANSPOSE and walk.axes == 3 and job.blocks == walk.sizes[0]:  # small blocks, which only take a step
        with cython.cdivision(True):
            for block in range(task * job.group, smaller((task + 1) * job.group, job.blocks)):
                job.table.steps.transpose(walk.at[X] + block * walk.steps[X][0], walk.steps[X][2] // size, job.columns, job.rows,
                                          walk.at[OUT] + block * walk.steps[OUT][0], walk.steps[OUT][1] // size)
        return
    for block in range(task * job.group, smaller((task + 1) * job.group, job.blocks)):
        copy_block(job, block)


@cython.cdivision(True)
cdef void copy_block(const CopyJob *job, int64_t block) noexcept nogil:
    cdef const Walk *walk = &job.walk
    cdef int64_t offsets[WALK_OPERANDS]
    cdef int64_t row, column, rows, columns, x_step = 0, out_step = 0, size = job.size, r
    cdef int last = walk.axes - 1
    cdef const char *x
    cdef char *out
    row = column = 0
    if job.column_pieces > 1 or job.row_pieces > 1:  # divisions would take longer than a small block
        column, block = block % job.column_pieces * job.column_piece, block // job.column_pieces
        row, block = block % job.row_pieces * job.row_piece, block // job.row_pieces
    place(walk, last - 1, block, offsets)
    rows, columns = smaller(job.row_piece, job.rows - row), smaller(job.column_piece, job.columns - column)
    if last > 0:
        x_step, out_step = walk.steps[X][last - 1], walk.steps[OUT][last - 1]
    x = walk.at[X] + offsets[X] + row * x_step + column * walk.steps[X][last]
    out = walk.at[OUT] + offsets[OUT] + row * out_step + column * walk.steps[OUT][last]
    if job.kind == COPY_TRANSPOSE:
        job.table.steps.transpose(x, walk.steps[X][last] // size, columns, rows, out, out_step // size)
    elif job.kind == COPY_ROWS:
        for r in range(rows):
            memcpy(out + r * out_step, x + r * x_step, <size_t> (columns * size))
    else:
        for r in range(rows):
            copy_elements(x + r * x_step, walk.steps[X][last], out + r * out_step, walk.steps[OUT][last], columns, size)


def copy(str isa, x, out, int threads=1, Script into=None):
    """out[...] = x: arrays of any dtype and strides (also 0 or negative), x broadcast to the shape of out, no overlap."""
    cdef CopyJob job
    cdef View views[2]
    cdef int i
    memset(views, 0, sizeof(views))
    try:
        walk_out(&job.walk, OUT, out, &views[0])
        walk_in(&job.walk, X, x, &views[1], views[0].itemsize, "x")
        job.size = views[0].itemsize
        job.table = table_of(isa, kind_of_floats(job.size))
        if job.walk.size and job.size:
            fill_copy(&job)
            deal(into, copy_task, &job, sizeof(job), job.tasks, threads, 0, job.walk.size * job.size < SHORT_BYTES // 2, KEEP,
                 job.nanoseconds, &job.walk.at[X], &job.walk.at[OUT])
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])


# ---- padding -----------------------------------------------------------------------------------------------------------------

cdef enum:
    PAD_CONSTANT = 0
    PAD_REFLECT = 1
    PAD_EDGE = 2
    PAD_SYMMETRIC = 3
    PAD_WRAP = 4

cdef struct PadJob:
    const char *x
    char *out
    int64_t x_image, x_row, x_pixel, out_image, out_row, out_pixel  # steps in bytes
    int64_t height, width, out_height, out_width, top, left, pixel_bytes, size, tasks, nanoseconds
    int mode
    char value[16]             # an element


@cython.cdivision(True)
cdef int64_t pad_source(int64_t i, int64_t n, int mode) noexcept nogil:
    """The index, among n elements, of the one that place i gets; -1: none."""
    cdef int64_t period
    if 0 <= i < n:
        return i
    if mode == PAD_CONSTANT or n == 0:
        return -1
    if mode == PAD_EDGE or (n == 1 and mode == PAD_REFLECT):
        return 0 if i < 0 else n - 1
    period = n if mode == PAD_WRAP else 2 * n if mode == PAD_SYMMETRIC else 2 * n - 2
    i = (i % period + period) % period
    if i < n:
        return i
    return (2 * n - 1 if mode == PAD_SYMMETRIC else 2 * n - 2) - i


cdef void pad_pixel(const PadJob *job, const char *row, int64_t column, char *out) noexcept nogil:
    cdef int64_t from_column = pad_source(column, job.width, job.mode) if row != NULL else -1
    if from_column >= 0:
        memcpy(out, row + from_column * job.x_pixel, <size_t> job.pixel_bytes)
    else:
        copy_elements(job.value, 0, out, job.size, job.pixel_bytes // job.size, job.size)


@cython.cdivision(True)
cdef void pad_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """A row of the output."""
    cdef const PadJob *job = <const PadJob *> of
    cdef int64_t image = task // job.out_height, i = task % job.out_height, j, right
    cdef int64_t from_row = pad_source(i - job.top, job.height, job.mode)
    cdef const char *row = job.x + image * job.x_image + from_row * job.x_row if from_row >= 0 else NULL
    cdef char *out = job.out + image * job.out_image + i * job.out_row
    right = smaller(job.left + job.width, job.out_width) if row != NULL else job.left
    for j in range(job.left):
        pad_pixel(job, row, j - job.left, out + j * job.out_pixel)
    if right > job.left and row != out + job.left * job.out_pixel:  # they may lie there already
        if job.x_pixel == job.pixel_bytes and job.out_pixel == job.pixel_bytes:
            memcpy(out + job.left * job.out_pixel, row, <size_t> ((right - job.left) * job.pixel_bytes))
        else:
            for j in range(job.left, right):
                memcpy(out + j * job.out_pixel, row + (j - job.left) * job.x_pixel, <size_t> job.pixel_bytes)
    for j in range(right, job.out_width):
        pad_pixel(job, row, j - job.left, out + j * job.out_pixel)


def pad(x, out, int64_t top, int64_t left, int mode, double value=0, int threads=1, Script into=None):
    """Pad images (N,H,W,C) to the size of out: `top` rows and `left` columns in front, the rest behind; all at least 0.

    mode is a number of `pad_modes`; value, for constant, is of float32 or float64 arrays. A pixel's channels are neighbours. x
    may be the middle of out: then only the margins are written.
    """
    cdef PadJob job
    cdef View views[2]
    cdef Py_ssize_t *shape
    cdef float small
    cdef int i
    memset(views, 0, sizeof(views))
    try:
        PyObject_GetBuffer(x, &views[0], PyBUF_STRIDES)
        PyObject_GetBuffer(out, &views[1], PyBUF_STRIDES | PyBUF_WRITABLE)
        job.size, shape = views[1].itemsize, views[1].shape
        if views[0].ndim != 4 or views[1].ndim != 4 or views[0].itemsize != job.size or shape[0] != views[0].shape[0] \
                or shape[3] != views[0].shape[3] or top < 0 or left < 0 or shape[1] < top + views[0].shape[1] \
                or shape[2] < left + views[0].shape[2] or (job.size != 4 and job.size != 8) \
                or not PAD_CONSTANT <= mode <= PAD_WRAP \
                or (shape[3] > 1 and (views[0].strides[3] != job.size or views[1].strides[3] != job.size)):
            raise ValueError("internal error: the arrays do not fit the padding")
        small = <float> value
        memcpy(job.value, &small if job.size == 4 else <const void *> &value, <size_t> job.size)
        job.x, job.out, job.mode = <const char *> views[0].buf, <char *> views[1].buf, mode
        job.x_image, job.x_row, job.x_pixel = views[0].strides[0], views[0].strides[1], views[0].strides[2]
        job.out_image, job.out_row, job.out_pixel = views[1].strides[0], views[1].strides[1], views[1].strides[2]
        job.height, job.width, job.out_height, job.out_width = views[0].shape[1], views[0].shape[2], shape[1], shape[2]
        job.top, job.left, job.pixel_bytes = top, left, shape[3] * job.size
        job.tasks = shape[0] * shape[1]
        job.nanoseconds = views[1].len // 16
        if job.x == job.out + top * job.out_row + left * job.out_pixel:
            job.nanoseconds = (views[1].len - views[0].len) // 8
        if views[1].len:
            deal(into, pad_task, &job, sizeof(job), job.tasks, threads, 0, views[1].len < SHORT_BYTES // 2, KEEP, job.nanoseconds,
                 &job.x, &job.out)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])


def pad_modes():
    """The modes of `pad` by name, NumPy's."""
    return {
        "constant": PAD_CONSTANT, "reflect": PAD_REFLECT, "edge": PAD_EDGE, "symmetric": PAD_SYMMETRIC, "wrap": PAD_WRAP,
    }
