# Means, sums and largest numbers along one axis of x (outer, middle, inner), and normalisations made of means.
#
# The order of a sum depends on middle and inner alone, so batch, threads and instruction set change no bit. Sums are in double:
#
#     few inner         fewer than 16: place p of the middle goes to partial sum p % 16 of 16, which are added in order
#     many              one chain for each column
#     pieces            of 128 additions; a long chain is cut into pieces, whose sums are added in order
#
# Each piece is a task. If a sum has one piece only, its task finishes it. Short sums of neighbours are turned first: then a
# vector holds numbers of as many sums, and each lane adds those of one sum in the order above.

cdef enum:
    PIECE = 128
    FOLD = 16
    TURNED = 64                # sums that are turned together, and the most numbers of one
    REDUCE_MEAN = 0
    REDUCE_SUM = 1
    REDUCE_MAX = 2

cdef struct Reduce:
    const Table *table
    const Table *doubles       # of the same instruction set
    const char *x
    char *out                  # (outer, inner), contiguous
    int64_t x_outer, x_middle  # steps in bytes
    int64_t outer, middle, inner, fold, columns, rows, pieces, item
    int64_t group, groups, tasks, lane_bytes, nanoseconds
    bint neighbours            # along the middle
    bint turned                # short sums of neighbours
    int op
    char *partials             # [outer][pieces][columns], where there are several pieces


cdef void fill_reduce(Reduce *job) noexcept nogil:
    job.fold = FOLD if job.inner < FOLD else 1
    job.columns, job.rows = job.fold * job.inner, job.middle // job.fold
    job.pieces = max(ceil_div(job.rows, PIECE), 1)
    job.item = job.table.itemsize if job.op == REDUCE_MAX else 8
    job.neighbours = job.x_middle == job.inner * job.table.itemsize
    job.group = max(TASK_BYTES // job.table.itemsize // max(job.middle * job.inner, 1), 1)  # sums of one piece, a task
    job.groups = ceil_div(job.outer, job.group)
    job.tasks = job.groups if job.pieces == 1 else job.outer * job.pieces
    job.lane_bytes = 2 * ceil_div(job.columns * job.item, 64) * 64
    job.nanoseconds = job.outer * job.middle * job.inner * job.table.itemsize // 16


cdef void add_columns(const Reduce *job, Columns *on, bint square) noexcept nogil:
    if job.op == REDUCE_MAX and not square:
        job.table.steps.largest(on)
    else:
        job.table.steps.sum(on)


@cython.cdivision(True)
cdef void reduce_piece(const Reduce *job, int64_t outer, int64_t piece, const double *centre, char *sums) noexcept nogil:
    """The columns' sums over a piece; if centres [columns] are given, of the squared distances from them."""
    cdef Columns on
    cdef int64_t size = job.table.itemsize, first = piece * PIECE, rest = job.middle % job.fold, k
    cdef const char *x = job.x + outer * job.x_outer + first * job.fold * job.x_middle
    on.rows, on.step = smaller(PIECE, job.rows - first), job.fold * job.x_middle // size
    on.x, on.columns, on.centre, on.sums, on.more = x, job.columns, centre, sums, 0
    if job.fold == 1 or job.neighbours:
        add_columns(job, &on, centre != NULL)
        if rest and piece == job.pieces - 1:  # places that not every partial sum gets
            on.x, on.rows, on.columns, on.more = x + on.rows * job.fold * job.x_middle, 1, rest * job.inner, 1
            add_columns(job, &on, centre != NULL)
        return
    on.columns = job.inner
    for k in range(job.fold):
        on.x, on.rows = x + k * job.x_middle, smaller(PIECE, job.rows - first)
        on.rows += 1 if piece == job.pieces - 1 and k < rest else 0
        on.sums = sums + k * job.inner * job.item
        on.centre = centre + k * job.inner if centre != NULL else NULL
        add_columns(job, &on, centre != NULL)


cdef void join(const Reduce *job, char *partials, int64_t count, int64_t columns, char *sums, bint square) noexcept nogil:
    """Add rows of partial sums in order."""
    cdef Columns on
    on.x, on.rows, on.columns, on.step, on.centre, on.sums, on.more = partials, count, columns, columns, NULL, sums, 0
    if job.op == REDUCE_MAX and not square:
        job.table.steps.largest(&on)
    else:
        job.doubles.steps.sum(&on)


cdef char *reduce_total(const Reduce *job, int64_t outer, char *scratch, bint square) noexcept nogil:
    """The sums over all pieces and partial sums: [inner], in the scratch. A single piece's sums must be in its first half."""
    cdef char *sums = scratch
    cdef char *other = scratch + job.lane_bytes // 2
    if job.pieces > 1:
        join(job, job.partials + outer * job.pieces * job.columns * job.item, job.pieces, job.columns, sums, square)
    if job.fold == 1:
        return sums
    join(job, sums, job.fold, job.inner, other, square)
    return other


@cython.cdivision(True)
cdef void reduce_write(const Reduce *job, int64_t outer, const char *total, int64_t count) noexcept nogil:
    """Write `count` outputs from their sums, from the first of `outer` on."""
    cdef char *out = job.out + outer * job.inner * job.table.itemsize
    cdef double divisor = <double> job.middle if job.op == REDUCE_MEAN else 1.0
    cdef int64_t i
    if job.op == REDUCE_MAX:
        memcpy(out, total, <size_t> (count * job.item))
    elif job.table.itemsize == 4:
        for i in range(count):
            (<float *> out)[i] = <float> ((<double *> total)[i] / divisor)
    else:
        for i in range(count):
            (<double *> out)[i] = (<double *> total)[i] / divisor


cdef inline void reduce_finish(const Reduce *job, int64_t outer, char *scratch) noexcept nogil:
    reduce_write(job, outer, reduce_total(job, outer, scratch, False), job.inner)


cdef void reduce_turned(const Reduce *job, int64_t outer, int64_t count, char *scratch) noexcept nogil:
    """`count` short sums from `outer` on; the scratch holds the numbers [middle][TURNED], then the sums."""
    cdef int64_t size = job.table.itemsize, p
    cdef char *sums = scratch + TURNED * TURNED * size
    cdef Columns on
    job.table.steps.transpose(job.x + outer * job.x_outer, job.x_outer // size, count, job.middle, scratch, TURNED)
    on.columns, on.step, on.centre, on.more = count, FOLD * TURNED, NULL, 0
    for p in range(smaller(FOLD, job.middle)):  # LOOP partial sums
        on.x, on.rows, on.sums = scratch + p * TURNED * size, ceil_div(job.middle - p, FOLD), sums + p * TURNED * job.item
        add_columns(job, &on, False)
    on.x, on.rows, on.step, on.sums = sums, smaller(FOLD, job.middle), TURNED, scratch
    if job.op == REDUCE_MAX:
        job.table.steps.largest(&on)
    else:
        job.doubles.steps.sum(&on)
    reduce_write(job, outer, scratch, count)


@cython.cdivision(True)
cdef void reduce_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const Reduce *job = <const Reduce *> of
    cdef int64_t outer, first = task * job.group, last = smaller(first + job.group, job.outer), block
    if job.pieces > 1:
        reduce_piece(job, task // job.pieces, task % job.pieces, NULL, job.partials + task * job.columns * job.item)
        return
    if job.turned:
        for block in range(ceil_div(last - first, TURNED)):
            reduce_turned(job, first + block * TURNED, smaller(last - first - block * TURNED, TURNED), scratch)
        return
    for outer in range(first, last):
        reduce_piece(job, outer, 0, NULL, scratch)
        reduce_finish(job, outer, scratch)


cdef void reduce_finish_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """The second step, one task for each of outer, where there are several pieces."""
    reduce_finish(<const Reduce *> of, task, scratch)


cdef int look_at(Reduce *job, object x, View *view, str isa) except -1:
    """x (outer, middle, inner), whose last axis holds neighbours."""
    PyObject_GetBuffer(x, view, PyBUF_STRIDES)
    if view.ndim != 3 or (view.shape[2] > 1 and view.strides[2] != view.itemsize):
        raise ValueError("internal error: x must have three axes, and neighbours along the last")
    job.table, job.doubles = table_of(isa, kind_of_floats(view.itemsize)), table_of(isa, KIND_f64)
    job.outer, job.middle, job.inner = view.shape[0], view.shape[1], view.shape[2]
    job.x, job.x_outer, job.x_middle = <const char *> view.buf, view.strides[0], view.strides[1]
    return 0


def reduce(str isa, int op, x, out, int threads=1, Script into=None):
    """out[n, i] = mean, sum or largest of x[n, :, i]: op a number of `reduce_codes`.

    x (outer, middle, inner) is contiguous along the last axis, out (outer, inner) is contiguous. Without elements the mean is
    NaN, the sum 0 and the largest number -inf.
    """
    cdef Reduce job
    cdef View views[2]
    cdef int i
    cdef bint short
    cdef int64_t parts
    cdef char *partials = NULL
    cdef int subnormals = KEEP if op == REDUCE_MAX else FLUSH
    memset(views, 0, sizeof(views))
    try:
        look_at(&job, x, &views[0], isa)
        job.op = op
        job.out = <char *> borrow(out, &views[1], job.outer * job.inner * job.table.itemsize, True, "out")
        if job.outer * job.inner:
            fill_reduce(&job)
            job.turned = job.inner == 1 and job.neighbours and 0 < job.middle <= TURNED and job.outer >= 8
            if job.turned:
                job.lane_bytes = TURNED * (TURNED * job.table.itemsize + FOLD * job.item)
            short = views[0].len < SHORT_BYTES
            parts = job.outer * job.pieces * job.columns * job.item if job.pieces > 1 else 0
            partials = new_scratch(parts) if into is None else into.hold(parts)
            job.partials = partials
            deal(into, reduce_task, &job, sizeof(job), job.tasks, threads, job.lane_bytes, short, subnormals, job.nanoseconds,
                 &job.x, &job.out)
            if job.pieces > 1:
                deal(into, reduce_finish_task, &job, sizeof(job), job.outer, 1, job.lane_bytes, short, subnormals,
                     parts // 8, NULL, &job.out)
    finally:
        if into is None:
            free(partials)
        for i in range(2):
            PyBuffer_Release(&views[i])


def reduce_codes():
    """The operations of `reduce` by name."""
    return {"mean": REDUCE_MEAN, "sum": REDUCE_SUM, "max": REDUCE_MAX}
