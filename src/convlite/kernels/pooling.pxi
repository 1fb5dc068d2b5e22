# Pools: for each output pixel, the taps of its window that lie inside the image. A task is one row of outputs.
# With few channels, the windows of a row that lie inside are computed along the row: for every element of the row, as if the
# stride were 1, in vectors that neighbouring pixels share; then the outputs are picked. With 16 elements from one output to the
# next this costs as much as a vector for each pixel. The largest number is one of the inputs, subnormal or not; it is selected,
# not computed.

cdef struct PoolAxis:
    # Output i reads first + i*step + t*dilation, t < kernel, where inside. Places from `limit` on are neither image nor
    # padding. A step of 0 is adaptive: output i reads from floor(i * in_size / out_size) to ceil((i + 1) * in_size / out_size).
    int64_t first, step, dilation, kernel, in_size, out_size, limit

cdef enum:
    MEAN = 64  # Means of more elements are summed in double: a third slower, and right to the last bit.
    FETCH_PIXELS = 16
    FETCH_BYTES = 262144
    LINE_TAPS = 64             # computed along rows: at most this many taps,
    LINE_STEP = 16             # and elements from one output to the next,
    LINE_OUTPUTS = 8           # and at least this many outputs

cdef struct Pool:
    const Table *table
    Image x, out
    int64_t channels
    int64_t ahead              # how many pixels ahead they are fetched
    PoolAxis rows, columns
    bint count_padding, largest
    int64_t line_from, line_count  # outputs of each row along the row; 0: none


@cython.cdivision(True)
cdef int64_t inside(const PoolAxis *axis, int64_t i, int64_t *start) noexcept nogil:
    """How many taps of output i lie inside the image, and where the first of them is."""
    cdef int64_t at = axis.first + i * axis.step, skipped = ceil_div(-at, axis.dilation) if at < 0 else 0
    if axis.step == 0:
        start[0] = i * axis.in_size // axis.out_size
        return ceil_div((i + 1) * axis.in_size, axis.out_size) - start[0]
    if at >= 0 and at + (axis.kernel - 1) * axis.dilation < axis.in_size:
        start[0] = at
        return axis.kernel
    start[0] = at + skipped * axis.dilation
    if start[0] >= axis.in_size or skipped >= axis.kernel:
        start[0] = 0
        return 0
    return smaller(axis.kernel - skipped, ceil_div(axis.in_size - start[0], axis.dilation))


@cython.cdivision(True)
cdef int64_t counted(const PoolAxis *axis, int64_t i) noexcept nogil:
    """How many taps of output i lie inside the image or its padding."""
    return smaller(axis.kernel, ceil_div(axis.limit - axis.first - i * axis.step, axis.dilation))


@cython.cdivision(True)
cdef void pool_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """A row of outputs."""
    cdef const Pool *job = <const Pool *> of
    cdef int64_t row, column, size = job.table.itemsize, j
    cdef const char *image
    cdef char *out
    cdef Window window
    window.largest, window.channels = job.largest, job.channels
    window.wide = job.rows.kernel * job.columns.kernel > MEAN
    window.rows = inside(&job.rows, task % job.rows.out_size, &row)
    window.row_step = job.rows.dilation * job.x.row // size
    window.column_step = job.columns.dilation * job.x.pixel // size
    window.ahead = job.ahead * job.x.pixel // size
    image = job.x.at + task // job.rows.out_size * job.x.image + row * job.x.row
    out = job.out.at + task // job.rows.out_size * job.out.image + task % job.rows.out_size * job.out.row
    if job.line_count:
        pool_along(job, &window, task % job.rows.out_size, image, out, scratch)
    for j in range(job.columns.out_size):
        if job.line_from <= j < job.line_from + job.line_count:
            continue
        window.columns = inside(&job.columns, j, &column)
        if job.count_padding:
            window.divisor = <double> (counted(&job.rows, task % job.rows.out_size) * counted(&job.columns, j))
        else:
            window.divisor = <double> (window.rows * window.columns)
        window.x, window.out = image + column * job.x.pixel, out + j * job.out.pixel
        job.table.pool(&window)


@cython.cdivision(True)
cdef void pool_along(const Pool *job, const Window *window, int64_t row, const char *image, char *out,
                     char *scratch) noexcept nogil:
    """The outputs of a row whose windows are inside the image."""
    cdef const PoolAxis *axis = &job.columns
    cdef int64_t size = job.table.itemsize, r, q, taps = 0
    cdef int64_t offsets[LINE_TAPS]
    cdef PoolLine line
    for r in range(window.rows):
        for q in range(axis.kernel):
            offsets[taps] = r * window.row_step + q * window.column_step
            taps += 1
    line.x, line.sums = image + (axis.first + job.line_from * axis.step) * job.x.pixel, scratch
    line.out = out + job.line_from * job.out.pixel
    line.outputs, line.taps, line.offsets, line.largest = job.line_count, taps, offsets, window.largest
    line.channels, line.step, line.out_step = job.channels, axis.step * job.channels, job.out.pixel // size
    line.divisor = <double> (window.rows * axis.kernel)
    if job.count_padding:
        line.divisor = <double> (counted(&job.rows, row) * axis.kernel)
    job.table.steps.pool_line(&line)


@cython.cdivision(True)
cdef int64_t fill_lines(Pool *job) noexcept nogil:
    """Decide which outputs are computed along rows; return the scratch that this takes."""
    cdef const PoolAxis *axis = &job.columns
    cdef int64_t size = job.table.itemsize, reach = (axis.kernel - 1) * axis.dilation, end
    job.line_from = job.line_count = 0
    if axis.step < 1 or axis.step * job.channels > LINE_STEP or job.x.pixel != job.channels * size \
            or job.rows.kernel * axis.kernel > LINE_TAPS or job.ahead:
        return 0
    job.line_from = ceil_div(-axis.first, axis.step) if axis.first < 0 else 0
    end = (axis.in_size - 1 - reach - axis.first) // axis.step + 1 if axis.in_size - 1 - reach >= axis.first else 0
    end = smaller(end, axis.out_size)
    while end > job.line_from and counted(axis, end - 1) < axis.kernel:
        end -= 1
    if end - job.line_from < LINE_OUTPUTS:
        job.line_from = 0
        return 0
    job.line_count = end - job.line_from
    return ceil_div(job.line_count * axis.step * job.channels * size, 64) * 64


cdef int fill_axis(PoolAxis *axis, numbers) except -1:
    axis.first, axis.step, axis.dilation, axis.kernel, axis.in_size, axis.out_size, axis.limit = numbers
    return 0


def pool(str isa, int itemsize, x, out, int64_t images, int64_t channels, rows, columns, bint largest, bint count_padding,
         int threads, Script into=None):
    """Pool images; x and out may be some channels of larger ones.

    An axis is (first, step, dilation, kernel, in_size, out_size, limit).
    """
    cdef Pool job
    cdef View views[2]
    cdef Extent x_extent, out_extent
    cdef int64_t tasks, work, lane_bytes
    cdef int i
    memset(views, 0, sizeof(views))
    job.table = table_of(isa, kind_of_floats(itemsize))
    job.channels, job.count_padding, job.largest = channels, count_padding, largest
    fill_axis(&job.rows, rows)
    fill_axis(&job.columns, columns)
    tasks = images * job.rows.out_size
    x_extent = extent(images, job.rows.in_size, job.columns.in_size, channels)
    out_extent = extent(images, job.rows.out_size, job.columns.out_size, channels)
    try:
        borrow_image(x, &views[0], &x_extent, itemsize, False, &job.x, "x")
        borrow_image(out, &views[1], &out_extent, itemsize, True, &job.out, "out")
        # In a slice of channels the hardware fetches these lines too late: 2x2 over 32 of 64 channels of 256x256, just written,
        # 1.1 -> 0.7 ms; with whole pixels 0.5 ms with and without the prefetch (Xeon, Emerald Rapids).
        job.ahead = FETCH_PIXELS if job.x.pixel > channels * itemsize and views[0].len > FETCH_BYTES else 0
        work = views[1].len // 32 * max(job.rows.kernel * job.columns.kernel, 1) + views[0].len // 16
        lane_bytes = fill_lines(&job)
        deal(into, pool_task, &job, sizeof(job), tasks, threads, lane_bytes, False, KEEP if largest else FLUSH, work, &job.x.at,
             &job.out.at)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
