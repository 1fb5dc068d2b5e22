# Passes over memory (isa/pass.h): two operands are combined element by element, or channels are scaled and moved, with an
# activation in the same pass. Operands broadcast as in NumPy and may have any strides. The last axis of the walk gives the
# columns, the one before it the rows. A task is a block of them.
#
#     few columns       vectors that all rows share (bias, scales of 3 channels) are repeated, so that a row is long
#     odd strides       an operand without neighbouring columns goes through scratch, one row at a time

cdef enum:
    ROW_CHUNK = 1024           # how many columns scratch holds
    SHORT_ROW = 64             # with fewer columns, vectors are repeated,
    LONG_ROW = 256             # to at least this many,
    SMALL_TASK = 64            # numbers, columns of so few are not worth a task
    SHARED_VECTORS = 4         # or to so many vectors, which stay in registers

cdef struct PassJob:
    const Table *table
    Walk walk
    Pass whole
    int64_t rows, columns, row_piece, column_piece, row_pieces, column_pieces, repeat, tasks
    int64_t slot_bytes, lane_bytes, nanoseconds
    bint through[WALK_OPERANDS]  # which operands go through scratch
    double number              # a scalar b, of either dtype
    float small_number


cdef inline bint commutes(int op) noexcept nogil:
    return op == PASS_ADD or op == PASS_MUL or op == PASS_MAX or op == PASS_MIN


cdef void swap_operands(PassJob *job) noexcept nogil:
    cdef Walk *walk = &job.walk
    cdef int i
    walk.at[PASS_A], walk.at[PASS_B] = walk.at[PASS_B], walk.at[PASS_A]
    for i in range(walk.axes):
        walk.steps[PASS_A][i], walk.steps[PASS_B][i] = walk.steps[PASS_B][i], walk.steps[PASS_A][i]


cdef bint is_number(const Pass *part, int k) noexcept nogil:
    """Whether the operand is one number for each row."""
    return (k == PASS_B and part.b_is_scalar) or ((k == PASS_FACTOR or k == PASS_OFFSET) and part.scale_is_scalar)


@cython.cdivision(True)
cdef int64_t repeats_of(int64_t columns, int64_t lanes) noexcept nogil:
    """How often vectors are repeated: to whole vectors, as few as registers hold (isa/pass.h), or LONG_ROW columns and more."""
    cdef int64_t least = lanes
    while least % 2 == 0 and columns * (least // 2) % lanes == 0:
        least //= 2
    return least if columns * least <= SHARED_VECTORS * lanes else least * ceil_div(LONG_ROW, columns * least)


cdef void lengthen(Walk *walk) noexcept nogil:
    """Make the longest axis the columns, where a task would be a few numbers: they go through scratch."""
    cdef int i, longest = walk.axes - 1
    for i in range(walk.axes - 1):
        if walk.sizes[i] > walk.sizes[longest]:
            longest = i
    if walk.sizes[longest] >= SMALL_TASK:
        for i in range(longest, walk.axes - 1):
            swap_axes(walk, i, i + 1)


cdef void fill_pass(PassJob *job) noexcept nogil:
    """Decide, from table, walk, op and act, how the pass is cut."""
    cdef Walk *walk = &job.walk
    cdef int64_t size = job.table.itemsize, most = TASK_BYTES // size
    cdef int last, k
    cdef bint repeats = False, may_repeat = True, any_through = False
    simplify(walk, PASS_OUT, size)
    last = walk.axes - 1
    if last > 1 and walk.sizes[last] * walk.sizes[last - 1] < SMALL_TASK:
        lengthen(walk)
    if commutes(job.whole.op) and walk.steps[PASS_A][last] == 0 and walk.steps[PASS_B][last] != 0:
        swap_operands(job)
    job.columns = walk.sizes[last]
    job.rows = walk.sizes[last - 1] if last > 0 else 1
    job.whole.b_is_scalar = walk.at[PASS_B] != NULL and walk.steps[PASS_B][last] == 0
    job.whole.scale_is_scalar = job.whole.b_is_scalar and walk.at[PASS_FACTOR] != NULL and walk.steps[PASS_FACTOR][last] == 0 \
        and (walk.at[PASS_OFFSET] == NULL or walk.steps[PASS_OFFSET][last] == 0)
    for k in range(WALK_OPERANDS):
        job.through[k] = walk.at[k] != NULL and walk.steps[k][last] != size and not is_number(&job.whole, k)
        any_through |= job.through[k]
        if walk.at[k] == NULL or last == 0:
            continue
        if walk.steps[k][last - 1] == 0:
            repeats |= walk.steps[k][last] == size
        elif walk.steps[k][last - 1] != job.columns * size:
            may_repeat = False
        elif walk.steps[k][last] != size:
            may_repeat = False
    job.repeat = 1
    if repeats and may_repeat and not any_through and job.columns < SHORT_ROW:
        job.repeat = smaller(repeats_of(job.columns, job.table.lanes), job.rows)
    job.column_piece = job.columns
    if any_through:
        job.column_piece = smaller(job.columns, ROW_CHUNK)
    elif job.columns > most + most // 2:
        job.column_piece = most
    job.row_piece = smaller(ceil_div(most, max(job.column_piece, 1)), max(job.rows, 1))
    job.row_pieces, job.column_pieces = ceil_div(job.rows, job.row_piece), ceil_div(job.columns, max(job.column_piece, 1))
    job.tasks = job.row_pieces * job.column_pieces
    for k in range(last - 1):
        job.tasks *= walk.sizes[k]
    job.slot_bytes = (job.column_piece if any_through else job.repeat * job.columns if job.repeat > 1 else 0) * size
    job.slot_bytes = ceil_div(job.slot_bytes, 64) * 64
    job.lane_bytes = job.slot_bytes * WALK_OPERANDS
    job.nanoseconds = walk.size * size // 16 + (walk.size * size // 8 if job.whole.act.code >= ACT_ELU else 0)


cdef void pass_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const PassJob *job = <const PassJob *> of
    cdef const Walk *walk = &job.walk
    cdef Pass part = job.whole
    cdef int64_t offsets[WALK_OPERANDS]
    cdef int64_t row, column, size = job.table.itemsize, outer = task
    cdef int k, last = walk.axes - 1
    row = column = 0
    if job.column_pieces > 1 or job.row_pieces > 1:  # divisions would take longer than a small task
        with cython.cdivision(True):
            column = outer % job.column_pieces * job.column_piece
            outer //= job.column_pieces
            row = outer % job.row_pieces * job.row_piece
            outer //= job.row_pieces
    place(walk, last - 1, outer, offsets)
    part.rows, part.columns = smaller(job.row_piece, job.rows - row), smaller(job.column_piece, job.columns - column)
    for k in range(WALK_OPERANDS):
        part.at[k], part.step[k] = NULL, 0
        if walk.at[k] == NULL:
            continue
        part.at[k] = walk.at[k] + offsets[k] + column * walk.steps[k][last]
        if last > 0:
            part.at[k] = <char *> part.at[k] + row * walk.steps[k][last - 1]
            part.step[k] = walk.steps[k][last - 1]
    if job.repeat > 1:
        pass_repeated(job, &part, scratch)
    elif job.lane_bytes:
        pass_through(job, &part, scratch)
    elif aligned_steps(&part, size):
        job.table.steps.run_pass(&part)
    else:
        pass_row_by_row(job, &part)


cdef bint aligned_steps(Pass *part, int64_t size) noexcept nogil:
    """Convert steps from bytes to elements, if each is a whole number of elements."""
    cdef int k, shift = 2 if size == 4 else 3
    cdef int64_t all_steps = 0
    for k in range(WALK_OPERANDS):
        all_steps |= part.step[k]
    if all_steps & (size - 1):
        return False
    for k in range(WALK_OPERANDS):
        part.step[k] >>= shift
    return True


cdef void pass_row_by_row(const PassJob *job, Pass *part) noexcept nogil:
    """Rows whose steps are not whole numbers of elements."""
    cdef Pass row = part[0]
    cdef int64_t r
    cdef int k
    row.rows = 1
    for r in range(part.rows):
        for k in range(WALK_OPERANDS):
            row.at[k] = <char *> part.at[k] + r * part.step[k] if part.at[k] != NULL else NULL
        job.table.steps.run_pass(&row)


cdef void pass_repeated(const PassJob *job, Pass *part, char *scratch) noexcept nogil:
    """Compute `repeat` rows at a time as one, and then the rest as one."""
    cdef int64_t size = job.table.itemsize, nbytes = job.columns * size, total = nbytes * job.repeat, left, i
    cdef char *at
    cdef int k
    for k in range(WALK_OPERANDS):
        if part.at[k] != NULL and part.step[k] == 0 and not is_number(part, k):
            at = scratch + k * job.slot_bytes
            memcpy(at, part.at[k], <size_t> nbytes)
            i = nbytes
            while i < total:  # twice as many each time
                memcpy(at + i, at, <size_t> smaller(i, total - i))
                i *= 2
            part.at[k] = at
        elif part.step[k] != 0:
            part.step[k] = job.repeat * job.columns
    with cython.cdivision(True):
        left = part.rows % job.repeat
        part.rows //= job.repeat
    part.columns = job.columns * job.repeat
    job.table.steps.run_pass(part)
    if left:
        for k in range(WALK_OPERANDS):
            if part.at[k] != NULL:
                part.at[k] = <char *> part.at[k] + part.rows * part.step[k] * size
        part.rows, part.columns = 1, left * job.columns
        job.table.steps.run_pass(part)


cdef void pass_through(const PassJob *job, const Pass *part, char *scratch) noexcept nogil:
    """Compute row after row; operands without neighbouring columns are copied to scratch, or from there."""
    cdef const Walk *walk = &job.walk
    cdef int64_t size = job.table.itemsize, r
    cdef int k, last = walk.axes - 1
    cdef Pass row = part[0]
    cdef char *at
    row.rows = 1
    for r in range(part.rows):
        for k in range(WALK_OPERANDS):
            if part.at[k] == NULL:
                continue
            at = <char *> part.at[k] + r * part.step[k]
            row.at[k] = at
            if job.through[k]:
                row.at[k] = scratch + k * job.slot_bytes
                if k != PASS_OUT:
                    copy_elements(at, walk.steps[k][last], <char *> row.at[k], size, part.columns, size)
        job.table.steps.run_pass(&row)
        if job.through[PASS_OUT]:
            copy_elements(<char *> row.at[PASS_OUT], size, <char *> part.at[PASS_OUT] + r * part.step[PASS_OUT],
                          walk.steps[PASS_OUT][last], part.columns, size)


cdef int run_pass_job(PassJob *job, int threads, Script into) except -1:
    cdef PassJob *copy
    cdef bint short, picks
    cdef int subnormals, k
    if job.walk.size == 0:
        return 0
    fill_pass(job)
    # a number that is selected, not computed, may be subnormal
    picks = job.whole.op == PASS_MAX or job.whole.op == PASS_MIN or job.whole.op == PASS_FIRST
    picks = picks and job.whole.act.code == ACT_NONE
    subnormals = KEEP if picks else FLUSH
    if into is None:
        short = job.walk.size * job.table.itemsize < SHORT_BYTES // 3
        deal(None, pass_task, job, sizeof(PassJob), job.tasks, threads, job.lane_bytes, short, subnormals, 0, NULL, NULL)
        return 0
    copy = <PassJob *> into.add(pass_task, job, sizeof(PassJob), job.tasks, job.lane_bytes, subnormals, job.nanoseconds)
    for k in range(WALK_OPERANDS):
        if copy.walk.at[k] == <char *> &job.small_number:
            copy.walk.at[k] = <char *> &copy.small_number
        elif copy.walk.at[k] == <char *> &job.number:
            copy.walk.at[k] = <char *> &copy.number
        else:
            into.move(<char *> copy, job, &job.walk.at[k])
    return 0


def elementwise(str isa, int op, a, b, out, int code=0, double low=0, double high=0, alpha=None, int threads=1, Script into=None):
    """out = act(op(a, b)): op a number of `pass_codes`, b an array, a float, or None (PASS_FIRST).

    Arrays of one dtype, which broadcast to the shape of out; out may be a or b, and must not overlap them otherwise. code, low
    and high are the activation's (`Fused`), alpha the slopes of "prelu", which broadcast as well. into: a script that keeps them.
    """
    cdef PassJob job
    cdef View views[4]
    cdef int i
    memset(views, 0, sizeof(views))
    job.whole.op, job.whole.act.code, job.whole.act.a, job.whole.act.b = op, code, low, high
    try:
        walk_out(&job.walk, PASS_OUT, out, &views[0])
        job.table = table_of(isa, kind_of_floats(views[0].itemsize))
        walk_in(&job.walk, PASS_A, a, &views[1], views[0].itemsize, "a")
        if type(b) is float:
            job.number, job.small_number = b, <float> <double> b
            # its steps are 0
            job.walk.at[PASS_B] = <char *> &job.small_number if views[0].itemsize == 4 else <char *> &job.number
        elif b is not None:
            walk_in(&job.walk, PASS_B, b, &views[2], views[0].itemsize, "b")
        elif op != PASS_FIRST:
            raise ValueError("internal error: the operation needs b")
        if alpha is not None:
            walk_in(&job.walk, PASS_SLOPES, alpha, &views[3], views[0].itemsize, "alpha")
        run_pass_job(&job, threads, into)
    finally:
        for i in range(4):
            PyBuffer_Release(&views[i])


def affine(str isa, x, centre, factor, offset, out, int code=0, double low=0, double high=0, alpha=None, int threads=1,
           Script into=None):
    """out = act((x - centre) * factor + offset), the last two in one rounding; centre and offset may be None.

    Arrays of one dtype, which broadcast to the shape of out; out may be x.
    """
    cdef PassJob job
    cdef View views[6]
    cdef int i
    memset(views, 0, sizeof(views))
    job.whole.op = PASS_AFFINE if offset is not None else PASS_SCALE
    job.whole.act.code, job.whole.act.a, job.whole.act.b = code, low, high
    try:
        walk_out(&job.walk, PASS_OUT, out, &views[0])
        job.table = table_of(isa, kind_of_floats(views[0].itemsize))
        walk_in(&job.walk, PASS_A, x, &views[1], views[0].itemsize, "x")
        walk_in(&job.walk, PASS_FACTOR, factor, &views[3], views[0].itemsize, "factor")
        if centre is None:
            job.number = 0
            job.walk.at[PASS_B] = <char *> &job.number  # its steps are 0
        else:
            walk_in(&job.walk, PASS_B, centre, &views[2], views[0].itemsize, "centre")
        if offset is not None:
            walk_in(&job.walk, PASS_OFFSET, offset, &views[4], views[0].itemsize, "offset")
        if alpha is not None:
            walk_in(&job.walk, PASS_SLOPES, alpha, &views[5], views[0].itemsize, "alpha")
        run_pass_job(&job, threads, into)
    finally:
        for i in range(6):
            PyBuffer_Release(&views[i])


def pass_codes():
    """The operations of `elementwise` by name."""
    return {
        "add": PASS_ADD, "sub": PASS_SUB, "mul": PASS_MUL, "div": PASS_DIV, "max": PASS_MAX, "min": PASS_MIN,
        "prelu": PASS_PRELU, "first": PASS_FIRST,
    }
