# What the steps between convolutions have in common: how they run, and how they walk over arrays.
#
# A step is a job (a plain C structure with everything that it needs), a number of tasks, and a function `task(job, index,
# scratch) noexcept nogil` that computes one of them. Tasks write to different places and run in any order, on any thread. A
# Python function fills a job from arrays (`fill_...`) and runs it (`run_step`). A caller that keeps jobs can run them later, many
# in a row without Python.

cdef enum:
    WALK_AXES = 8
    WALK_OPERANDS = 6
    TASK_BYTES = 32768         # of the output of a task: its work is much more than the cost of a task, and it stays in L1 or L2


# Arrays of one shape, described with as few axes as possible. A step of 0 bytes: broadcast along the axis.
cdef struct Walk:
    int axes
    int64_t size
    int64_t sizes[WALK_AXES]
    char *at[WALK_OPERANDS]    # NULL: absent
    int64_t steps[WALK_OPERANDS][WALK_AXES]  # bytes


cdef char *new_scratch(int64_t nbytes) except? NULL:
    """Memory for free(); NULL where none is needed."""
    cdef char *scratch
    if nbytes == 0:
        return NULL
    scratch = <char *> malloc(<size_t> nbytes)
    if scratch == NULL:
        raise MemoryError(f"no memory for {nbytes} bytes of scratch")
    return scratch


cdef int walk_out(Walk *walk, int which, object array, View *view) except -1:
    """Begin a walk with the output, whose shape is that of the walk."""
    cdef int i
    PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_WRITABLE)
    if view.ndim > WALK_AXES:
        raise ValueError(f"internal error: {view.ndim} axes; there may be {WALK_AXES}")
    memset(walk, 0, sizeof(Walk))
    walk.axes, walk.size = view.ndim, 1
    for i in range(view.ndim):
        walk.sizes[i] = view.shape[i]
        walk.steps[which][i] = view.strides[i]
        walk.size *= view.shape[i]
    walk.at[which] = <char *> view.buf
    return 0


cdef int walk_in(Walk *walk, int which, object array, View *view, Py_ssize_t itemsize, str name) except -1:
    """Add an input, broadcast as NumPy does."""
    cdef int i, missing
    PyObject_GetBuffer(array, view, PyBUF_STRIDES)
    missing = walk.axes - view.ndim
    if view.itemsize != itemsize:
        raise ValueError(f"internal error: {name} has items of {view.itemsize} bytes, out of {itemsize}")
    if missing < 0:
        raise ValueError(f"internal error: {name} has more axes than out")
    for i in range(walk.axes):
        if i < missing or view.shape[i - missing] == 1:
            walk.steps[which][i] = 0
        elif view.shape[i - missing] == walk.sizes[i]:
            walk.steps[which][i] = view.strides[i - missing]
        else:
            raise ValueError(f"internal error: {name} does not broadcast to the shape of out")
    walk.at[which] = <char *> view.buf
    return 0


cdef void swap_axes(Walk *walk, int i, int j) noexcept nogil:
    cdef int k
    walk.sizes[i], walk.sizes[j] = walk.sizes[j], walk.sizes[i]
    for k in range(WALK_OPERANDS):
        walk.steps[k][i], walk.steps[k][j] = walk.steps[k][j], walk.steps[k][i]


cdef bint continues(const Walk *walk, int i) noexcept nogil:
    """Whether axes i and i + 1 can be joined for every operand."""
    cdef int k
    for k in range(WALK_OPERANDS):
        if walk.at[k] != NULL and walk.steps[k][i] != walk.steps[k][i + 1] * walk.sizes[i + 1]:
            return False
    return True


cdef void simplify(Walk *walk, int leader, int64_t itemsize) noexcept nogil:
    """Reduce the axes, at least to one: drop those of size 1, sort by the leader's steps, largest first, join neighbours."""
    cdef int axes = 0, i, j, k
    for i in range(walk.axes):
        if walk.sizes[i] != 1:
            if i != axes:
                swap_axes(walk, i, axes)
            axes += 1
    for i in range(1, axes):
        j = i
        while j > 0 and distance(walk.steps[leader][j - 1]) < distance(walk.steps[leader][j]):
            swap_axes(walk, j - 1, j)
            j -= 1
    i = axes - 2
    while i >= 0:
        if continues(walk, i):
            walk.sizes[i] *= walk.sizes[i + 1]
            for k in range(WALK_OPERANDS):
                walk.steps[k][i] = walk.steps[k][i + 1]
            for j in range(i + 1, axes - 1):
                swap_axes(walk, j, j + 1)
            axes -= 1
        i -= 1
    if axes == 0:
        axes, walk.sizes[0] = 1, 1
        for k in range(WALK_OPERANDS):
            walk.steps[k][0] = itemsize
    walk.axes = axes


cdef inline int64_t distance(int64_t step) noexcept nogil:
    return -step if step < 0 else step


cdef void place(const Walk *walk, int axes, int64_t index, int64_t *offsets) noexcept nogil:
    """The offsets in bytes of each operand at an index into the first `axes` axes."""
    cdef int i, k
    cdef int64_t at
    for k in range(WALK_OPERANDS):
        offsets[k] = 0
    for i in range(axes - 1, -1, -1):
        at = index
        if i > 0:  # the first axis takes what is left
            with cython.cdivision(True):
                at = index % walk.sizes[i]
                index //= walk.sizes[i]
        for k in range(WALK_OPERANDS):
            offsets[k] += at * walk.steps[k][i] if walk.at[k] != NULL else 0


cdef void copy_elements(const char *x, int64_t x_step, char *out, int64_t out_step, int64_t n, int64_t size) noexcept nogil:
    """Copy n elements of any size, with steps in bytes."""
    cdef int64_t i
    if size == 4:
        for i in range(n):
            memcpy(out + i * out_step, x + i * x_step, 4)
    elif size == 8:
        for i in range(n):
            memcpy(out + i * out_step, x + i * x_step, 8)
    else:
        for i in range(n):
            memcpy(out + i * out_step, x + i * x_step, <size_t> size)
