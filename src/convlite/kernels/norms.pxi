# Normalisations: (x - mean) / sqrt(variance + epsilon) * scale + offset, the variance from squared distances in a second pass.
#
#     layer     over the last axis (isa/norm.h): a task is a few rows
#     groups    over the pixels of an image and the channels of a group (one channel: instance norm; all: layer norm over images):
#               steps over pieces (reductions.pxi), and between them a little work for each channel
#
# Mean and variance are in double. The mean is rounded to x's dtype for the subtraction; the offset corrects the rounding.

cdef struct Norm:
    Reduce moments
    const char *scale          # [channels] of x's dtype, or NULL
    const char *offset
    char *out
    int64_t out_outer, out_row, out_middle, columns  # steps in bytes; pixels of a row
    int64_t channels, parts, vector_bytes, lane_bytes
    double epsilon
    char *centres              # [outer][columns] doubles: the centre for each place in a sum
    char *vectors              # [outer][3][vector_bytes]: centre, factor, offset


cdef inline double number_at(const char *at, int64_t i, int64_t size) noexcept nogil:
    return <double> (<const float *> at)[i] if size == 4 else (<const double *> at)[i]


cdef inline void set_number(char *at, int64_t i, int64_t size, double value) noexcept nogil:
    if size == 4:
        (<float *> at)[i] = <float> value
    else:
        (<double *> at)[i] = value


cdef void set_vectors(const Norm *job, char *vectors, int64_t channel, double mean, double inverse, double scale,
                      double offset) noexcept nogil:
    """(x - centre) * factor + offset, for a channel."""
    cdef int64_t size = job.moments.table.itemsize
    cdef double factor = inverse * scale
    set_number(vectors, channel, size, mean)
    set_number(vectors + job.vector_bytes, channel, size, factor)
    set_number(vectors + 2 * job.vector_bytes, channel, size, offset - (mean - number_at(vectors, channel, size)) * factor)


cdef double scale_of(const Norm *job, int64_t channel) noexcept nogil:
    return number_at(job.scale, channel, job.moments.table.itemsize) if job.scale != NULL else 1.0


cdef double offset_of(const Norm *job, int64_t channel) noexcept nogil:
    return number_at(job.offset, channel, job.moments.table.itemsize) if job.offset != NULL else -0.0


def norm_factor(variance, scale, out, int64_t itemsize, double epsilon):
    """out = scale / sqrt(variance + epsilon), computed in double: a batch norm's factors; scale may be None.

    Contiguous arrays of as many numbers of `itemsize` bytes. A variance below -epsilon gives NaN.
    """
    cdef View views[3]
    cdef const char *numbers
    cdef const char *factors
    cdef char *to
    cdef double factor
    cdef int64_t i
    memset(views, 0, sizeof(views))
    try:
        PyObject_GetBuffer(out, &views[0], PyBUF_SIMPLE | PyBUF_WRITABLE)
        to = <char *> views[0].buf
        numbers = <const char *> borrow(variance, &views[1], views[0].len, False, "variance")
        factors = <const char *> borrow(scale, &views[2], views[0].len, False, "scale")
        with cython.cdivision(True):
            for i in range(views[0].len // itemsize):
                factor = 1.0 / sqrt(number_at(numbers, i, itemsize) + epsilon)
                set_number(to, i, itemsize, factor * number_at(factors, i, itemsize) if factors != NULL else factor)
    finally:
        for i in range(3):
            PyBuffer_Release(&views[i])


# ---- over the last axis ------------------------------------------------------------------------------------------------------

cdef struct LayerNormJob:
    const Table *table
    LayerNorm whole            # steps in elements
    int64_t piece, tasks, nanoseconds


cdef void layer_norm_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const LayerNormJob *job = <const LayerNormJob *> of
    cdef LayerNorm part = job.whole
    cdef int64_t first = task * job.piece, size = job.table.itemsize
    part.rows = smaller(job.piece, job.whole.rows - first)
    part.x = <const char *> part.x + first * part.x_step * size
    part.out = <char *> part.out + first * part.out_step * size
    job.table.steps.layer_norm(&part)


# ---- over pixels and the channels of a group ---------------------------------------------------------------------------------

cdef void moments_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """Sums over one piece; of one image where a piece is all."""
    cdef const Reduce *sums = &(<const Norm *> of).moments
    with cython.cdivision(True):
        reduce_piece(sums, task // sums.pieces, task % sums.pieces, NULL, sums.partials + task * sums.columns * 8)


cdef void squares_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const Norm *job = <const Norm *> of
    cdef const Reduce *sums = &job.moments
    with cython.cdivision(True):
        reduce_piece(sums, task // sums.pieces, task % sums.pieces, (<double *> job.centres) + task // sums.pieces * sums.columns,
                     sums.partials + task * sums.columns * 8)


cdef double *channel_sums(const Norm *job, int64_t outer, char *scratch, bint square) noexcept nogil:
    cdef const Reduce *sums = &job.moments
    if sums.pieces == 1:
        memcpy(scratch, sums.partials + outer * sums.columns * 8, <size_t> (sums.columns * 8))
    return <double *> reduce_total(sums, outer, scratch, square)


@cython.cdivision(True)
cdef void centres_task(const void *of, int64_t outer, char *scratch) noexcept nogil:
    """An image's means, by group, for each place of its sums."""
    cdef const Norm *job = <const Norm *> of
    cdef const Reduce *sums = &job.moments
    cdef double *total = channel_sums(job, outer, scratch, False)
    cdef double *centres = (<double *> job.centres) + outer * sums.columns
    cdef double mean
    cdef int64_t part, c, k, width = job.channels // job.parts
    for part in range(job.parts):
        mean = 0
        for c in range(part * width, (part + 1) * width):
            mean += total[c]
        mean /= <double> (sums.middle * width)
        for c in range(part * width, (part + 1) * width):
            for k in range(sums.fold):
                centres[k * job.channels + c] = mean


@cython.cdivision(True)
cdef void factors_task(const void *of, int64_t outer, char *scratch) noexcept nogil:
    cdef const Norm *job = <const Norm *> of
    cdef const Reduce *sums = &job.moments
    cdef double *total = channel_sums(job, outer, scratch, True)
    cdef const double *centres = (<const double *> job.centres) + outer * sums.columns
    cdef char *vectors = job.vectors + 3 * outer * job.vector_bytes
    cdef double variance
    cdef int64_t part, c, width = job.channels // job.parts
    for part in range(job.parts):
        variance = 0
        for c in range(part * width, (part + 1) * width):
            variance += total[c]
        variance = 1.0 / sqrt(variance / <double> (sums.middle * width) + job.epsilon)
        for c in range(part * width, (part + 1) * width):
            set_vectors(job, vectors, c, centres[c], variance, scale_of(job, c), offset_of(job, c))


cdef int add_group_norm(Norm *job, PassJob *normal, Script into) except -1:
    cdef Reduce *sums = &job.moments
    cdef int64_t images = sums.outer, lane = job.lane_bytes, work = sums.nanoseconds, little = images * sums.columns
    cdef void *x = &sums.x
    cdef char *copy
    deal(into, moments_task, job, sizeof(Norm), images * sums.pieces, 1, lane, False, FLUSH, work, x, NULL)
    deal(into, centres_task, job, sizeof(Norm), images, 1, lane, False, FLUSH, little, NULL, NULL)
    deal(into, squares_task, job, sizeof(Norm), images * sums.pieces, 1, lane, False, FLUSH, work, x, NULL)
    deal(into, factors_task, job, sizeof(Norm), images, 1, lane, False, FLUSH, little, NULL, NULL)
    copy = into.add(pass_task, normal, sizeof(PassJob), normal.tasks, normal.lane_bytes, FLUSH, normal.nanoseconds)
    into.move(copy, normal, &normal.walk.at[PASS_A])
    into.move(copy, normal, &normal.walk.at[PASS_OUT])
    return 0


cdef void run_some(Task run, const void *job, int64_t image, int64_t tasks, char *scratch) noexcept nogil:
    """The tasks of one image, in order."""
    cdef int64_t task
    cdef uint64_t mode = float_mode_enter(FLUSH)
    for task in range(image * tasks, (image + 1) * tasks):
        run(job, task, scratch)
    float_mode_leave(mode)


cdef void run_group_norm(Norm *job, PassJob *normal, int threads, char *scratch, bint short) noexcept:
    cdef Reduce *sums = &job.moments
    cdef int64_t images = sums.outer, image
    # an image after the other, which stays in the cache
    if threads <= 1 and images > 1 and normal.walk.axes > 2 and normal.walk.sizes[0] == images:
        with nogil:
            for image in range(images):
                run_some(moments_task, job, image, sums.pieces, scratch)
                run_some(centres_task, job, image, 1, scratch)
                run_some(squares_task, job, image, sums.pieces, scratch)
                run_some(factors_task, job, image, 1, scratch)
                run_some(pass_task, normal, image, normal.tasks // images, scratch)
        return
    run_step(moments_task, job, images * sums.pieces, threads, scratch, job.lane_bytes, short, FLUSH)
    run_step(centres_task, job, images, 1, scratch, job.lane_bytes, short, FLUSH)
    run_step(squares_task, job, images * sums.pieces, threads, scratch, job.lane_bytes, short, FLUSH)
    run_step(factors_task, job, images, 1, scratch, job.lane_bytes, short, FLUSH)
    run_step(pass_task, normal, normal.tasks, <int> smaller(threads, normal.tasks), scratch, normal.lane_bytes, short, FLUSH)


cdef int fill_norm(Norm *job, object x, object out, object scale, object offset, View *views, str isa, double epsilon) except -1:
    cdef int64_t size
    cdef int last
    memset(job, 0, sizeof(Norm))
    look_at(&job.moments, x, &views[0], isa)
    PyObject_GetBuffer(out, &views[1], PyBUF_STRIDES | PyBUF_WRITABLE)
    size = job.moments.table.itemsize
    last = views[1].ndim - 1
    if last < 2 or last > 3 or views[1].itemsize != size or (views[1].shape[last] > 1 and views[1].strides[last] != size) \
            or views[1].shape[0] != job.moments.outer or views[1].shape[last] != job.moments.inner \
            or views[1].shape[1] * (views[1].shape[2] if last > 2 else 1) != job.moments.middle:
        raise ValueError("internal error: out does not fit x")
    job.channels, job.epsilon = job.moments.inner, epsilon
    job.vector_bytes = ceil_div(max(job.channels, 16) * size, 64) * 64
    job.out, job.out_outer, job.out_row = <char *> views[1].buf, views[1].strides[0], views[1].strides[1]
    job.out_middle, job.columns = views[1].strides[last - 1], views[1].shape[last - 1]
    job.scale = <const char *> borrow(scale, &views[2], job.channels * size, False, "scale")
    job.offset = <const char *> borrow(offset, &views[3], job.channels * size, False, "offset")
    job.moments.op = REDUCE_MEAN
    return 0


def layer_norm(str isa, x, scale, offset, out, double epsilon, int code=0, double low=0, double high=0, int threads=1,
               Script into=None):
    """out = act((x - mean) / sqrt(variance + epsilon) * scale + offset) over the last axis.

    x and out (rows, channels), neighbours along the last axis; scale and offset (channels,) or None; out may be x.
    """
    cdef LayerNormJob job
    cdef View views[4]
    cdef LayerNorm *whole = &job.whole
    cdef int64_t size
    cdef int i
    memset(views, 0, sizeof(views))
    try:
        for i in range(2):
            PyObject_GetBuffer(out if i else x, &views[i], PyBUF_STRIDES | PyBUF_WRITABLE if i else PyBUF_STRIDES)
        job.table = table_of(isa, kind_of_floats(views[0].itemsize))
        size = views[0].itemsize
        if views[0].ndim != 2 or views[1].ndim != 2 or views[1].itemsize != size or views[0].shape[0] != views[1].shape[0] \
                or views[0].shape[1] != views[1].shape[1] or not lies_well(&views[0]) or not lies_well(&views[1]):
            raise ValueError("internal error: x and out must be alike, with two axes and neighbours along the last")
        whole.rows, whole.columns = views[0].shape[0], views[0].shape[1]
        with cython.cdivision(True):
            whole.x_step, whole.out_step = views[0].strides[0] // size, views[1].strides[0] // size
        whole.x, whole.out, whole.epsilon = views[0].buf, views[1].buf, epsilon
        whole.scale = borrow(scale, &views[2], whole.columns * size, False, "scale")
        whole.offset = borrow(offset, &views[3], whole.columns * size, False, "offset")
        whole.act.code, whole.act.a, whole.act.b = code, low, high
        if views[0].len:
            job.piece = max(TASK_BYTES // 2 // (whole.columns * size), 1)
            job.tasks, job.nanoseconds = ceil_div(whole.rows, job.piece), views[0].len // 4
            deal(into, layer_norm_task, &job, sizeof(job), job.tasks, threads, 0, views[0].len < SHORT_BYTES // 4, FLUSH,
                 job.nanoseconds, &whole.x, &whole.out)
    finally:
        for i in range(4):
            PyBuffer_Release(&views[i])


cdef bint lies_well(const View *view) noexcept:
    """Neighbours along the last axis, whole elements from row to row."""
    with cython.cdivision(True):
        return (view.shape[1] < 2 or view.strides[1] == view.itemsize) and view.strides[0] % view.itemsize == 0


def group_norm(str isa, x, scale, offset, out, int64_t groups, double epsilon, int code=0, double low=0, double high=0,
               int threads=1, Script into=None):
    """out = act((x - mean) / sqrt(variance + epsilon) * scale + offset) over the pixels and channels of each group.

    x (N, pixels, C), out alike or (N, H, W, C), neighbours along the last axis; scale and offset (C,) or None; groups divide C,
    and C of them are instance norm; out may be x.
    """
    cdef Norm job
    cdef PassJob normal
    cdef View views[4]
    cdef int i
    cdef int64_t lane, sums_bytes, centres_bytes, vector_bytes
    cdef char *scratch = NULL
    memset(views, 0, sizeof(views))
    memset(&normal, 0, sizeof(normal))
    try:
        fill_norm(&job, x, out, scale, offset, views, isa, epsilon)
        if views[0].len == 0:
            return
        if groups < 1 or job.channels - job.channels // groups * groups:
            raise ValueError("internal error: groups must divide the channels")
        job.parts = groups
        fill_reduce(&job.moments)
        normal.table = job.moments.table
        normal.whole.op, normal.whole.act.code, normal.whole.act.a, normal.whole.act.b = PASS_AFFINE, code, low, high
        walk_norm(&normal.walk, &job)
        fill_pass(&normal)
        lane = max(job.moments.lane_bytes, normal.lane_bytes)
        job.lane_bytes = normal.lane_bytes = lane
        threads = <int> smaller(max(threads, 1), max(normal.tasks, job.moments.outer * job.moments.pieces))
        sums_bytes = job.moments.outer * job.moments.pieces * job.moments.columns * 8
        centres_bytes = job.moments.outer * job.moments.columns * 8
        vector_bytes = 3 * job.moments.outer * job.vector_bytes
        if into is not None:
            job.moments.partials = into.hold(sums_bytes + centres_bytes + vector_bytes)
        else:
            scratch = new_scratch(threads * lane + sums_bytes + centres_bytes + vector_bytes)
            job.moments.partials = scratch + threads * lane
        job.centres = job.moments.partials + sums_bytes
        job.vectors = job.centres + centres_bytes
        for i in range(3):
            normal.walk.at[PASS_B if i == 0 else PASS_FACTOR if i == 1 else PASS_OFFSET] = job.vectors + i * job.vector_bytes
        if into is not None:
            add_group_norm(&job, &normal, into)
        else:
            run_group_norm(&job, &normal, threads, scratch, views[0].len < SHORT_BYTES // 4)
    finally:
        free(scratch)
        for i in range(4):
            PyBuffer_Release(&views[i])


cdef void walk_norm(Walk *walk, const Norm *job) noexcept:
    """x and out, and for each image three vectors, whose addresses are set later."""
    cdef int64_t size = job.moments.table.itemsize
    cdef int k
    cdef int vectors[3]
    vectors[0], vectors[1], vectors[2] = PASS_B, PASS_FACTOR, PASS_OFFSET
    walk.axes, walk.size = 4, job.moments.outer * job.moments.middle * job.channels
    with cython.cdivision(True):
        walk.sizes[0], walk.sizes[1] = job.moments.outer, job.moments.middle // job.columns
    walk.sizes[2], walk.sizes[3] = job.columns, job.channels
    walk.at[PASS_A], walk.at[PASS_OUT] = <char *> job.moments.x, job.out
    walk.steps[PASS_A][0], walk.steps[PASS_A][1] = job.moments.x_outer, job.moments.x_middle * job.columns
    walk.steps[PASS_OUT][0], walk.steps[PASS_OUT][1] = job.out_outer, job.out_row
    walk.steps[PASS_A][2], walk.steps[PASS_OUT][2] = job.moments.x_middle, job.out_middle
    walk.steps[PASS_A][3] = walk.steps[PASS_OUT][3] = size
    for k in range(3):
        walk.at[vectors[k]] = <char *> &job.moments  # not NULL
        walk.steps[vectors[k]][0], walk.steps[vectors[k]][3] = 3 * job.vector_bytes, size
