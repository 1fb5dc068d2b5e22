# Activations over whole arrays.


def activate(str isa, int itemsize, x, out, int64_t rows, int64_t columns, alpha, int code, double a, double b, int threads):
    """out[r, c] = act(x[r, c]); contiguous arrays, out may be x; alpha has `columns` slopes for "prelu"."""
    cdef const Table *table = table_of(isa, kind_of_floats(itemsize))
    cdef View views[3]
    memset(views, 0, sizeof(views))
    cdef const char *src
    cdef char *dst
    cdef const void *slopes
    cdef Activation act
    cdef int64_t piece, pieces, first, step
    cdef uint64_t mode
    cdef int i
    act.code, act.a, act.b = code, a, b
    try:
        src = <const char *> borrow(x, &views[0], rows * columns * itemsize, False, "x")
        dst = <char *> borrow(out, &views[1], rows * columns * itemsize, True, "out")
        slopes = borrow(alpha, &views[2], columns * itemsize, False, "alpha")
        # pieces of whole rows, about 16 KiB each
        step = max(1, 4096 // max(1, columns))
        pieces = ceil_div(rows, step)
        threads = <int> smaller(threads, pieces)
        if threads <= 1:
            with nogil:
                mode = float_mode_enter(FLUSH)
                table.activate(src, dst, rows, columns, slopes, act)
                float_mode_leave(mode)
        else:
            for piece in prange(pieces, nogil=True, num_threads=threads, schedule="static"):
                first = piece * step
                mode = float_mode_enter(FLUSH)
                table.activate(src + first * columns * itemsize, dst + first * columns * itemsize, smaller(step, rows - first),
                               columns, slopes, act)
                float_mode_leave(mode)
    finally:
        for i in range(3):
            PyBuffer_Release(&views[i])


cdef struct SoftmaxJob:
    const Table *table
    const char *x
    char *out
    int64_t rows, columns, step
    bint logarithm


cdef void softmax_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const SoftmaxJob *job = <const SoftmaxJob *> of
    cdef int64_t first = task * job.step, offset = first * job.columns * job.table.itemsize
    job.table.softmax(job.x + offset, job.out + offset, smaller(job.step, job.rows - first), job.columns, job.logarithm)


def softmax(str isa, int itemsize, x, out, int64_t rows, int64_t columns, int threads, Script into=None,
            bint logarithm=False):
    """Softmax of each row of contiguous x, or its logarithm; columns > 0; out may be x."""
    cdef SoftmaxJob job
    cdef View views[2]
    cdef int64_t tasks
    cdef int i
    memset(views, 0, sizeof(views))
    job.table, job.rows, job.columns, job.logarithm = table_of(isa, kind_of_floats(itemsize)), rows, columns, logarithm
    try:
        job.x = <const char *> borrow(x, &views[0], rows * columns * itemsize, False, "x")
        job.out = <char *> borrow(out, &views[1], rows * columns * itemsize, True, "out")
        job.step = ceil_div(max(1, 4096 // columns), 16) * 16 if columns < 1024 else 1
        tasks = ceil_div(rows, job.step)
        deal(into, softmax_task, &job, sizeof(job), tasks, threads, 0, False, FLUSH, views[0].len // 8, &job.x, &job.out)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
