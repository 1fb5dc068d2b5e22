# Pools: for each output pixel, the taps of its window that lie inside the image. A task is one row of outputs.
# A largest number is one of the inputs, subnormal or not; it is not computed.

cdef struct PoolAxis:
    # Output i reads first + i*step + t*dilation, t < kernel, where inside. Places from `limit` on count as neither image nor
    # padding. A step of 0 is adaptive: output i reads from floor(i * in_size / out_size) to ceil((i + 1) * in_size / out_size).
    int64_t first, step, dilation, kernel, in_size, out_size, limit

cdef enum:
    MEAN = 64  # Means of more elements are summed in double: a third slower, and right to the last bit.
    FETCH_PIXELS = 16
    FETCH_BYTES = 262144

cdef struct Pool:
    const Table *table
    Image x, out
    int64_t channels
    int64_t ahead              # how many pixels ahead they are fetched
    PoolAxis rows, columns
    bint count_padding, largest


@cython.cdivision(True)
cdef int64_t inside(const PoolAxis *axis, int64_t i, int64_t *start) noexcept nogil:
    """How many taps of output i lie inside the image, and where the first of them is."""
    cdef int64_t at = axis.first + i * axis.step, skipped = ceil_div(-at, axis.dilation) if at < 0 else 0
    if axis.step == 0:
        start[0] = i * axis.in_size // axis.out_size
        return ceil_div((i + 1) * axis.in_size, axis.out_size) - start[0]
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
    for j in range(job.columns.out_size):
        window.columns = inside(&job.columns, j, &column)
        if job.count_padding:
            window.divisor = <double> (counted(&job.rows, task % job.rows.out_size) * counted(&job.columns, j))
        else:
            window.divisor = <double> (window.rows * window.columns)
        window.x, window.out = image + column * job.x.pixel, out + j * job.out.pixel
        job.table.pool(&window)


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
    cdef int64_t tasks, work
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
        # Between other channels' lines the hardware fetches these too late: 2x2 over 32 of 64 channels of 256x256, just written,
        # 1.1 -> 0.7 ms; of whole pixels 0.5 ms with and without (Xeon, Emerald Rapids).
        job.ahead = FETCH_PIXELS if job.x.pixel > channels * itemsize and views[0].len > FETCH_BYTES else 0
        work = views[1].len // 32 * max(job.rows.kernel * job.columns.kernel, 1) + views[0].len // 16
        deal(into, pool_task, &job, sizeof(job), tasks, threads, 0, False, KEEP if largest else FLUSH, work, &job.x.at,
             &job.out.at)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
