# Pools: for each output pixel, the taps of its window that lie inside the image. A task is one row of outputs.
# A largest number is one of the inputs, subnormal or not; it is not computed.

cdef struct PoolAxis:
    # Output i reads first + i*step + t*spread, t < kernel, where inside. Places from `limit` on count as neither image nor
    # padding. A step of 0 is adaptive: output i reads from floor(i * in_size / out_size) to ceil((i + 1) * in_size / out_size).
    int64_t first, step, spread, kernel, in_size, out_size, limit

cdef enum:
    MEAN = 64  # Means of more elements are summed in double: a third slower, and right to the last bit.

cdef struct Pool:
    const Table *table
    const char *x
    char *out
    int64_t channels
    PoolAxis rows, columns
    bint count_padding


@cython.cdivision(True)
cdef int64_t inside(const PoolAxis *axis, int64_t i, int64_t *start) noexcept nogil:
    """How many taps of output i lie inside the image, and where the first of them is."""
    cdef int64_t at = axis.first + i * axis.step, skipped = ceil_div(-at, axis.spread) if at < 0 else 0
    if axis.step == 0:
        start[0] = i * axis.in_size // axis.out_size
        return ceil_div((i + 1) * axis.in_size, axis.out_size) - start[0]
    start[0] = at + skipped * axis.spread
    if start[0] >= axis.in_size or skipped >= axis.kernel:
        start[0] = 0
        return 0
    return smaller(axis.kernel - skipped, ceil_div(axis.in_size - start[0], axis.spread))


@cython.cdivision(True)
cdef int64_t counted(const PoolAxis *axis, int64_t i) noexcept nogil:
    """How many taps of output i lie inside the image or its padding."""
    return smaller(axis.kernel, ceil_div(axis.limit - axis.first - i * axis.step, axis.spread))


@cython.cdivision(True)
cdef void pool_row(const Pool *job, int64_t task, bint largest) noexcept nogil:
    cdef int64_t row, column, size = job.table.itemsize, j
    cdef const char *image
    cdef Window window
    cdef uint64_t mode = float_mode_enter(KEEP if largest else FLUSH)
    window.largest, window.channels = largest, job.channels
    window.wide = job.rows.kernel * job.columns.kernel > MEAN
    window.rows = inside(&job.rows, task % job.rows.out_size, &row)
    window.row_step = job.rows.spread * job.columns.in_size * job.channels
    window.column_step = job.columns.spread * job.channels
    image = job.x + (task // job.rows.out_size * job.rows.in_size + row) * job.columns.in_size * job.channels * size
    for j in range(job.columns.out_size):
        window.columns = inside(&job.columns, j, &column)
        if job.count_padding:
            window.divisor = <double> (counted(&job.rows, task % job.rows.out_size) * counted(&job.columns, j))
        else:
            window.divisor = <double> (window.rows * window.columns)
        window.x = image + column * job.channels * size
        window.out = job.out + (task * job.columns.out_size + j) * job.channels * size
        job.table.pool(&window)
    float_mode_leave(mode)


cdef int fill_axis(PoolAxis *axis, numbers) except -1:
    axis.first, axis.step, axis.spread, axis.kernel, axis.in_size, axis.out_size, axis.limit = numbers
    return 0


def pool(str isa, int itemsize, x, out, int64_t images, int64_t channels, rows, columns, bint largest, bint count_padding,
         int threads):
    """Pool contiguous images; an axis is (first, step, spread, kernel, in_size, out_size, limit)."""
    cdef Pool job
    cdef View views[2]
    cdef int64_t task, tasks, pixels
    cdef int i
    memset(views, 0, sizeof(views))
    job.table = table_of(isa, 8 * itemsize)
    job.channels, job.count_padding = channels, count_padding
    fill_axis(&job.rows, rows)
    fill_axis(&job.columns, columns)
    tasks = images * job.rows.out_size
    try:
        pixels = images * job.rows.in_size * job.columns.in_size
        job.x = <const char *> borrow(x, &views[0], pixels * channels * itemsize, False, "x")
        job.out = <char *> borrow(out, &views[1], tasks * job.columns.out_size * channels * itemsize, True, "out")
        threads = <int> smaller(threads, tasks)
        if threads <= 1:
            with nogil:
                for task in range(tasks):
                    pool_row(&job, task, largest)
        else:
            for task in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=2):
                pool_row(&job, task, largest)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
