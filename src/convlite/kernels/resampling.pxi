# Resampling by tables (isa/resample.h): each output place along an axis is a weighted sum of a few input places. In two
# dimensions the rows come first: for each of its output rows a task combines input rows in scratch, and then resamples the
# columns.

cdef struct ResampleJob:
    const Table *table
    const char *x
    char *out
    int64_t in_size, out_size, inner, taps, piece, pieces, tasks, nanoseconds
    const int64_t *index
    const char *weights


@cython.cdivision(True)
cdef void resample_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const ResampleJob *job = <const ResampleJob *> of
    cdef int64_t outer = task // job.pieces, first = task % job.pieces * job.piece, size = job.table.itemsize
    cdef ResampleLine line
    line.below = line.across = NULL
    line.x = job.x + outer * job.in_size * job.inner * size
    line.out = job.out + (outer * job.out_size + first) * job.inner * size
    line.outputs, line.inner, line.taps = smaller(job.piece, job.out_size - first), job.inner, job.taps
    line.out_step = job.inner
    line.index, line.weights = job.index + first * job.taps, job.weights + first * job.taps * size
    job.table.steps.resample_line(&line)


cdef int check_index(const int64_t *index, int64_t count, int64_t limit) except -1:
    cdef int64_t i
    for i in range(count):
        if not 0 <= index[i] < limit:
            raise ValueError(f"internal error: index {index[i]} in a table for {limit} places")
    return 0


def resample(str isa, int itemsize, x, out, index, weights, int64_t outer, int64_t in_size, int64_t out_size, int64_t inner,
             int64_t taps, int threads=1):
    """out[n, o, i] = sum over t of weights[o, t] * x[n, index[o, t], i]: taps in order, multiply-adds from the second on.

    x (outer, in_size, inner) and out (outer, out_size, inner) contiguous, no overlap; index (out_size, taps) int64 and weights of
    x's dtype, contiguous; taps > 0.
    """
    cdef ResampleJob job
    cdef View views[4]
    cdef int64_t count = outer * out_size * inner
    cdef int i
    memset(views, 0, sizeof(views))
    job.table = table_of(isa, kind_of_floats(itemsize))
    job.in_size, job.out_size, job.inner, job.taps = in_size, out_size, inner, taps
    try:
        job.x = <const char *> borrow(x, &views[0], outer * in_size * inner * itemsize, False, "x")
        job.out = <char *> borrow(out, &views[1], count * itemsize, True, "out")
        job.index = <const int64_t *> borrow(index, &views[2], out_size * taps * 8, False, "index")
        job.weights = <const char *> borrow(weights, &views[3], out_size * taps * itemsize, False, "weights")
        check_index(job.index, out_size * taps, in_size)
        if count and taps > 0:
            job.piece = smaller(ceil_div(TASK_BYTES // itemsize, inner), out_size)
            job.pieces = ceil_div(out_size, job.piece)
            job.tasks, job.nanoseconds = outer * job.pieces, count * itemsize * taps // 32
            run_step(resample_task, &job, job.tasks, threads, NULL, 0, count * taps < 5 * SHORT_NANOSECONDS, FLUSH)
    finally:
        for i in range(4):
            PyBuffer_Release(&views[i])


# ---- rows and columns in one pass --------------------------------------------------------------------------------------------

cdef struct ResizeJob:
    ResampleJob rows, columns  # inner: a row of the input; channels
    Image out
    int64_t height, piece, pieces, tasks, lane_bytes, nanoseconds
    bint copied                # a row of the input is one of the outputs' rows
    bint crossed               # both at once: no number of a row's combination is needed twice


@cython.cdivision(True)
cdef void resize_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const ResizeJob *job = <const ResizeJob *> of
    cdef const Table *table = job.rows.table
    cdef int64_t image = task // job.pieces, first = task % job.pieces * job.piece, size = table.itemsize, i
    cdef ResampleLine row, line
    row.below = row.across = line.below = line.across = NULL
    row.x, row.out = job.rows.x + image * job.rows.in_size * job.rows.inner * size, scratch
    row.outputs, row.inner, row.taps = 1, job.rows.inner, job.rows.taps
    row.out_step, line.out_step = row.inner, job.out.pixel // size
    line.x, line.outputs, line.inner, line.taps = scratch, job.columns.out_size, job.columns.inner, job.columns.taps
    line.index, line.weights = job.columns.index, job.columns.weights
    for i in range(first, smaller(first + job.piece, job.rows.out_size)):
        row.index, row.weights = job.rows.index + i * row.taps, job.rows.weights + i * row.taps * size
        line.out = job.out.at + image * job.out.image + i * job.out.row
        if job.copied:
            line.x = <const char *> row.x + row.index[0] * row.inner * size
        elif job.crossed:
            line.x = <const char *> row.x + row.index[0] * row.inner * size
            line.below = <const char *> row.x + row.index[1] * row.inner * size
            line.across = row.weights
        else:
            table.steps.resample_line(&row)
        table.steps.resample_line(&line)


def resize(str isa, int itemsize, x, out, sizes, row_index, row_weights, column_index, column_weights, int threads=1,
           Script into=None):
    """Resample rows, then columns, with the bits of `resample` along one axis after the other.

    sizes: (N, H, W, C, Ho, Wo); x (N,H,W,C) contiguous; out (N,Ho,Wo,C), maybe some of a larger array; no overlap; tables
    (Ho, taps) and (Wo, taps), as for `resample`, whose lengths give the numbers of taps.
    """
    cdef ResizeJob job
    cdef View views[6]
    cdef Extent extent_of_out
    cdef int64_t images, height, width, channels, out_height, out_width, count
    cdef int i
    images, height, width, channels, out_height, out_width = sizes
    count = images * out_height * out_width * channels
    if count == 0:
        return
    memset(views, 0, sizeof(views))
    job.rows.table = job.columns.table = table_of(isa, kind_of_floats(itemsize))
    job.rows.in_size, job.rows.out_size, job.rows.inner = height, out_height, width * channels
    job.columns.in_size, job.columns.out_size, job.columns.inner = width, out_width, channels
    try:
        job.rows.x = <const char *> borrow(x, &views[0], images * height * width * channels * itemsize, False, "x")
        extent_of_out = extent(images, out_height, out_width, channels)
        borrow_image(out, &views[1], &extent_of_out, itemsize, True, &job.out, "out")
        for i in range(2):
            fill_tables(&job.columns if i else &job.rows, column_index if i else row_index, column_weights if i else row_weights,
                        &views[2 + 2 * i], itemsize)
        job.piece = smaller(ceil_div(TASK_BYTES // itemsize, out_width * channels), out_height)
        job.pieces = ceil_div(out_height, job.piece)
        job.crossed = job.rows.taps == 2 and job.columns.taps == 2 and out_width <= width and channels > 2
        job.copied = job.rows.taps == 1 and all_ones(job.rows.weights, out_height, itemsize)
        job.tasks, job.lane_bytes = images * job.pieces, ceil_div(width * channels * itemsize, 64) * 64
        job.nanoseconds = count * itemsize * (job.rows.taps + job.columns.taps) // 32
        deal(into, resize_task, &job, sizeof(job), job.tasks, threads, job.lane_bytes, count < 5 * SHORT_NANOSECONDS, FLUSH,
             job.nanoseconds, &job.rows.x, &job.out.at)
    finally:
        for i in range(6):
            PyBuffer_Release(&views[i])


cdef bint all_ones(const char *weights, int64_t count, int64_t size) noexcept nogil:
    """Whether all weights are 1, so that rows are themselves: the columns' products make subnormal numbers 0."""
    cdef int64_t i
    for i in range(count):
        if number_at(weights, i, size) != 1.0:
            return False
    return True


cdef int fill_tables(ResampleJob *axis, object index, object weights, View *views, int64_t itemsize) except -1:
    PyObject_GetBuffer(index, &views[0], PyBUF_SIMPLE)
    axis.index, axis.taps = <const int64_t *> views[0].buf, views[0].len // 8 // axis.out_size
    if axis.taps < 1 or views[0].len != axis.out_size * axis.taps * 8:
        raise ValueError("internal error: the table of places does not fit the output")
    axis.weights = <const char *> borrow(weights, &views[1], axis.out_size * axis.taps * itemsize, False, "weights")
    return check_index(axis.index, axis.out_size * axis.taps, axis.in_size)
