# Chains of passes: consecutive steps of a script that go over the same elements become one step. Each of its tasks runs all
# passes on its elements while these are in the cache. The computation does not change, and all that a pass writes is written.
#
# Passes of one task are not joined, as their data is in the cache anyway (joined, 4096 numbers took 1.2 times as long; 65536
# gained 1.0 to 1.2, 4 million 1.3 to 2.0; Xeon, Emerald Rapids, one thread). The gate of squeeze and excitation stays a separate
# pass: it takes 2% of an EfficientNet, and as a factor of the next convolution's weights it would change the rounding.
#
# Two passes may be joined if each task of one touches, of everything that either of them writes, only the elements of the same
# task of the other: `passes_fit`.

cdef enum:
    CHAIN = 12                 # at most this many passes

cdef struct ChainJob:
    const PassJob *jobs[CHAIN]
    int subnormals[CHAIN]
    int count


cdef void chain_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const ChainJob *chain = <const ChainJob *> of
    cdef uint64_t mode
    cdef int i
    for i in range(chain.count):
        if chain.subnormals[i] == chain.subnormals[0]:  # the mode of the step
            pass_task(chain.jobs[i], task, scratch)
            continue
        mode = float_mode_enter(chain.subnormals[i])
        pass_task(chain.jobs[i], task, scratch)
        float_mode_leave(mode)


cdef bint is_dense(const PassJob *job, int k) noexcept nogil:
    """Whether the operand holds one element after the other, in the walk's order."""
    cdef const Walk *walk = &job.walk
    cdef int64_t size = job.table.itemsize
    return walk.steps[k][walk.axes - 1] == size and (walk.axes == 1 or walk.steps[k][0] == walk.sizes[1] * size)


cdef int64_t dense_piece(const PassJob *job) noexcept nogil:
    """Elements of a task; 0: any number, as there are no rows; -1: tasks are not dense pieces of the output."""
    if job.walk.axes > 2 or job.through[PASS_OUT] or not is_dense(job, PASS_OUT):
        return -1
    if job.walk.axes == 1:
        return -1 if job.lane_bytes else 0
    return job.row_piece * job.columns if job.column_pieces == 1 else -1


cdef bint are_apart(const PassJob *a, int p, const PassJob *b, int q) noexcept nogil:
    """Whether two operands share no byte."""
    cdef const char *start[2]
    cdef const char *end[2]
    cdef const PassJob *job
    cdef int i, axis, k
    cdef int64_t way
    for i in range(2):
        job, k = (b, q) if i else (a, p)
        start[i] = job.walk.at[k]
        end[i] = start[i] + job.table.itemsize
        for axis in range(job.walk.axes):
            way = (job.walk.sizes[axis] - 1) * job.walk.steps[k][axis]
            if way < 0:
                start[i] += way
            else:
                end[i] += way
    return end[0] <= start[1] or end[1] <= start[0]


cdef bint passes_fit(const PassJob *a, const PassJob *b) noexcept nogil:
    cdef int p, q
    if a.table != b.table or a.walk.size != b.walk.size:
        return False
    for p in range(WALK_OPERANDS):
        for q in range(WALK_OPERANDS):
            if (p != PASS_OUT and q != PASS_OUT) or a.walk.at[p] == NULL or b.walk.at[q] == NULL or are_apart(a, p, b, q):
                continue
            if a.walk.at[p] != b.walk.at[q] or not is_dense(a, p) or not is_dense(b, q):
                return False
    return True


cdef int64_t chain_end(const Step *steps, int64_t first, int64_t last, int64_t *piece) noexcept nogil:
    """The end of the chain that begins with this step, and how many elements its tasks have; 0: as before."""
    cdef int64_t end = first, found, i
    cdef bint fits = True
    piece[0] = 0
    while end < last and end - first < CHAIN and steps[end].task == pass_task:
        found = dense_piece(<const PassJob *> steps[end].job)
        if steps[end].tasks < 2:
            break
        if found < 0 or (found > 0 and piece[0] > 0 and found != piece[0]):
            break
        for i in range(first, end):
            fits &= passes_fit(<const PassJob *> steps[i].job, <const PassJob *> steps[end].job)
        if not fits:
            break
        piece[0] = max(piece[0], found)
        end += 1
    return end


cdef void cut_alike(PassJob *job, int64_t piece) noexcept nogil:
    """Cut a pass without rows into pieces of this many elements."""
    if piece and job.walk.axes == 1:
        job.column_piece = smaller(piece, job.columns)
        job.column_pieces = job.tasks = ceil_div(job.columns, piece)
