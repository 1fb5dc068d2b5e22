# Numbers one by one: functions of one (isa/unary.h), and what is done rarely or with few: integers, comparisons, choices by a
# condition or an index, other dtypes, the places of the largest ones. Loops without vectors; what they replace is NumPy's call,
# which takes some microseconds.

cdef enum:
    UNARY_PIECE = 8192
    ELEMENT_PIECE = 4096       # the elements of a task

cdef enum Element:             # the dtypes, by their codes in `element_codes`
    ELEMENT_BOOL
    ELEMENT_INT32
    ELEMENT_INT64
    ELEMENT_FLOAT32
    ELEMENT_FLOAT64

cdef enum Choice:              # operations of `elements`
    CHOICE_ADD
    CHOICE_SUB
    CHOICE_MUL
    CHOICE_MIN
    CHOICE_MAX
    CHOICE_EQUAL
    CHOICE_LESS
    CHOICE_LESS_EQUAL
    CHOICE_AND
    CHOICE_OR
    CHOICE_XOR
    CHOICE_NOT
    CHOICE_CAST
    CHOICE_WHERE
    CHOICE_PICK

cdef enum:                     # operands of a walk, beside PASS_A, PASS_B and PASS_OUT
    PASS_CONDITION = 2

ctypedef fused Number:
    int32_t
    int64_t
    float
    double

ctypedef fused Whole:
    int32_t
    int64_t


# ---- functions of one number -------------------------------------------------------------------------------------------------

cdef struct UnaryJob:
    const Table *table
    const char *x
    char *out
    int64_t count
    int op


cdef void unary_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const UnaryJob *job = <const UnaryJob *> of
    cdef int64_t first = task * UNARY_PIECE, offset = first * job.table.itemsize
    job.table.steps.unary(job.op, job.x + offset, job.out + offset, smaller(UNARY_PIECE, job.count - first))


def unary(str isa, int op, x, out, int threads=1, Script into=None):
    """out = op(x), op a number of `unary_codes`; contiguous arrays of one dtype, float32 or float64; out may be x.

    Subnormal numbers are kept.
    """
    cdef UnaryJob job
    cdef View views[2]
    cdef int i
    memset(views, 0, sizeof(views))
    try:
        PyObject_GetBuffer(out, &views[0], PyBUF_SIMPLE | PyBUF_WRITABLE)
        job.out, job.table, job.op = <char *> views[0].buf, table_of(isa, kind_of_floats(views[0].itemsize)), op
        job.x = <const char *> borrow(x, &views[1], views[0].len, False, "x")
        job.count = views[0].len // job.table.itemsize
        deal(into, unary_task, &job, sizeof(job), ceil_div(job.count, UNARY_PIECE), threads, 0,
             views[0].len < SHORT_BYTES // 2, KEEP, views[0].len // 8, &job.x, &job.out)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])


def unary_codes():
    """The operations of `unary` by name."""
    return {
        "sqrt": UNARY_SQRT, "reciprocal": UNARY_RECIPROCAL, "abs": UNARY_ABS, "neg": UNARY_NEGATIVE, "log": UNARY_LOG,
    }


# ---- two operands, choices, dtypes -------------------------------------------------------------------------------------------

cdef struct ElementsJob:
    Walk walk
    int64_t rows, columns, row_piece, tasks, stride, size, itemsize
    int op, element, target


cdef void combine_row(int op, const Number *kind, const char *a, int64_t a_step, const char *b, int64_t b_step, char *out,
                      int64_t out_step, int64_t n) noexcept nogil:
    """Arithmetic of whole numbers, where sums wrap around, and comparisons; `kind` only says of what."""
    cdef Number x, y
    cdef int64_t i
    for i in range(n):
        x, y = (<const Number *> (a + i * a_step))[0], (<const Number *> (b + i * b_step))[0]
        if op == CHOICE_EQUAL:
            (out + i * out_step)[0] = x == y
        elif op == CHOICE_LESS:
            (out + i * out_step)[0] = x < y
        elif op == CHOICE_LESS_EQUAL:
            (out + i * out_step)[0] = x <= y
        elif Number is int32_t or Number is int64_t:
            if op == CHOICE_ADD:
                x = <Number> (<uint64_t> x + <uint64_t> y)
            elif op == CHOICE_SUB:
                x = <Number> (<uint64_t> x - <uint64_t> y)
            elif op == CHOICE_MUL:
                x = <Number> (<uint64_t> x * <uint64_t> y)
            elif op == CHOICE_MIN:
                x = min(x, y)
            else:
                x = max(x, y)
            (<Number *> (out + i * out_step))[0] = x


cdef void combine_bits(int op, const char *a, int64_t a_step, const char *b, int64_t b_step, char *out, int64_t out_step,
                       int64_t n) noexcept nogil:
    """Of truth values, 0 or 1; b is a for a negation."""
    cdef int64_t i
    cdef char x, y
    for i in range(n):
        x, y = (a + i * a_step)[0] != 0, (b + i * b_step)[0] != 0
        if op == CHOICE_AND:
            x = x & y
        elif op == CHOICE_OR:
            x = x | y
        elif op == CHOICE_NOT:
            x = x ^ 1
        else:  # XOR, and EQUAL's opposite
            x = x ^ y ^ (op == CHOICE_EQUAL)
        (out + i * out_step)[0] = x


cdef void cast_row(const ElementsJob *job, const char *a, int64_t a_step, char *out, int64_t out_step, int64_t n) noexcept nogil:
    cdef int64_t i, whole = 0
    cdef double real = 0
    cdef bint from_real = job.element == ELEMENT_FLOAT32 or job.element == ELEMENT_FLOAT64
    for i in range(n):
        if job.element == ELEMENT_FLOAT32:
            real = (<const float *> (a + i * a_step))[0]
        elif job.element == ELEMENT_FLOAT64:
            real = (<const double *> (a + i * a_step))[0]
        elif job.element == ELEMENT_INT64:
            whole = (<const int64_t *> (a + i * a_step))[0]
        elif job.element == ELEMENT_INT32:
            whole = (<const int32_t *> (a + i * a_step))[0]
        else:
            whole = (a + i * a_step)[0] != 0
        if job.target == ELEMENT_FLOAT32:
            (<float *> (out + i * out_step))[0] = <float> real if from_real else <float> whole
        elif job.target == ELEMENT_FLOAT64:
            (<double *> (out + i * out_step))[0] = real if from_real else <double> whole
        elif job.target == ELEMENT_INT64:
            (<int64_t *> (out + i * out_step))[0] = whole
        elif job.target == ELEMENT_INT32:
            (<int32_t *> (out + i * out_step))[0] = <int32_t> whole
        else:
            (out + i * out_step)[0] = real != 0 if from_real else whole != 0


cdef void pick_row(const ElementsJob *job, const Whole *kind, const char *x, int64_t x_step, const char *index,
                   int64_t index_step, char *out, int64_t out_step, int64_t n) noexcept nogil:
    cdef int64_t i, at
    if index_step == 0 and x_step == job.itemsize and out_step == job.itemsize:  # a row for one place
        at = (<const Whole *> index)[0]
        memcpy(out, x + (at + job.size if at < 0 else at) * job.stride, <size_t> (n * job.itemsize))
        return
    for i in range(n):
        at = (<const Whole *> (index + i * index_step))[0]
        if at < 0:
            at += job.size
        memcpy(out + i * out_step, x + i * x_step + at * job.stride, <size_t> job.itemsize)


cdef void elements_row(const ElementsJob *job, const char *a, int64_t a_step, const char *b, int64_t b_step, const char *chosen,
                       int64_t chosen_step, char *out, int64_t out_step) noexcept nogil:
    cdef int64_t n = job.columns, i
    if job.op == CHOICE_WHERE:
        for i in range(n):
            memcpy(out + i * out_step, a + i * a_step if (chosen + i * chosen_step)[0] else b + i * b_step, <size_t> job.itemsize)
    elif job.op == CHOICE_PICK:
        if job.element == ELEMENT_INT64:
            pick_row(job, <const int64_t *> NULL, a, a_step, b, b_step, out, out_step, n)
        else:
            pick_row(job, <const int32_t *> NULL, a, a_step, b, b_step, out, out_step, n)
    elif job.op == CHOICE_CAST:
        cast_row(job, a, a_step, out, out_step, n)
    elif job.element == ELEMENT_BOOL:
        combine_bits(job.op, a, a_step, b, b_step, out, out_step, n)
    elif job.element == ELEMENT_INT32:
        combine_row(job.op, <const int32_t *> NULL, a, a_step, b, b_step, out, out_step, n)
    elif job.element == ELEMENT_INT64:
        combine_row(job.op, <const int64_t *> NULL, a, a_step, b, b_step, out, out_step, n)
    elif job.element == ELEMENT_FLOAT32:
        combine_row(job.op, <const float *> NULL, a, a_step, b, b_step, out, out_step, n)
    else:
        combine_row(job.op, <const double *> NULL, a, a_step, b, b_step, out, out_step, n)


cdef void elements_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const ElementsJob *job = <const ElementsJob *> of
    cdef const Walk *walk = &job.walk
    cdef int64_t at[WALK_OPERANDS]
    cdef int64_t row
    cdef int last = walk.axes - 1
    for row in range(task * job.row_piece, smaller((task + 1) * job.row_piece, job.rows)):
        place(walk, last, row, at)
        elements_row(job, walk.at[PASS_A] + at[PASS_A], walk.steps[PASS_A][last], walk.at[PASS_B] + at[PASS_B],
                     walk.steps[PASS_B][last], walk.at[PASS_CONDITION] + at[PASS_CONDITION], walk.steps[PASS_CONDITION][last],
                     walk.at[PASS_OUT] + at[PASS_OUT], walk.steps[PASS_OUT][last])


def elements(str op, element, a, b, condition, out, target="", int64_t stride=0, int64_t size=0, int threads=1,
             Script into=None):
    """out = op(a, b): a name of `element_operations`, on elements of a dtype that `element_codes` names.

    Arrays broadcast to the shape of out. "where": a where condition holds, else b. "cast": a as `target`; not from floats to
    integers. "pick": out[p] is what lies b[p]*stride bytes behind a[p], or (b[p] + size)*stride where b[p] is negative; b is of
    `element`, and nobody looks whether the places are inside. Other operations take a and b; "not" takes a twice.
    """
    cdef ElementsJob job
    cdef View views[4]
    cdef int i
    cdef char *copy
    memset(views, 0, sizeof(views))
    memset(&job, 0, sizeof(job))
    job.op, job.element = _element_operations[op], _element_codes[element]
    job.target = _element_codes[target] if target else 0
    job.stride, job.size = stride, size
    try:
        walk_out(&job.walk, PASS_OUT, out, &views[0])
        job.itemsize = views[0].itemsize
        walk_in(&job.walk, PASS_A, a, &views[1], _element_sizes[element] if job.op < CHOICE_WHERE else job.itemsize, "a")
        if b is not None:
            walk_in(&job.walk, PASS_B, b, &views[2], job.itemsize if job.op == CHOICE_WHERE else _element_sizes[element], "b")
        if condition is not None:
            walk_in(&job.walk, PASS_CONDITION, condition, &views[3], 1, "condition")
        if (b is None) != (job.op == CHOICE_CAST) or (condition is None) != (job.op != CHOICE_WHERE):
            raise ValueError("internal error: the operation takes other operands")
        if job.walk.size == 0:
            return
        for i in (PASS_B, PASS_CONDITION):  # what is absent is not read
            if job.walk.at[i] == NULL:
                job.walk.at[i] = job.walk.at[PASS_A]
        simplify(&job.walk, PASS_OUT, job.itemsize)
        job.columns = job.walk.sizes[job.walk.axes - 1]
        job.rows = job.walk.size // job.columns
        job.row_piece = ceil_div(ELEMENT_PIECE, job.columns)
        job.tasks = ceil_div(job.rows, job.row_piece)
        if into is None:
            deal(None, elements_task, &job, sizeof(job), job.tasks, threads, 0, job.walk.size < SHORT_BYTES // 8, KEEP, 0, NULL,
                 NULL)
            return
        copy = into.add(elements_task, &job, sizeof(job), job.tasks, 0, KEEP, job.walk.size)
        for i in range(WALK_OPERANDS):
            if job.walk.at[i] != NULL:
                into.move(copy, &job, &job.walk.at[i])
    finally:
        for i in range(4):
            PyBuffer_Release(&views[i])


cdef dict _element_operations = {
    "add": CHOICE_ADD, "sub": CHOICE_SUB, "mul": CHOICE_MUL, "min": CHOICE_MIN, "max": CHOICE_MAX, "equal": CHOICE_EQUAL,
    "less": CHOICE_LESS, "less_equal": CHOICE_LESS_EQUAL, "and": CHOICE_AND, "or": CHOICE_OR, "xor": CHOICE_XOR,
    "not": CHOICE_NOT, "cast": CHOICE_CAST, "where": CHOICE_WHERE, "pick": CHOICE_PICK,
}
cdef dict _element_codes = {
    "bool": ELEMENT_BOOL, "int32": ELEMENT_INT32, "int64": ELEMENT_INT64, "float32": ELEMENT_FLOAT32, "float64": ELEMENT_FLOAT64,
}
cdef dict _element_sizes = {"bool": 1, "int32": 4, "int64": 8, "float32": 4, "float64": 8}


# ---- the places of the largest -----------------------------------------------------------------------------------------------

cdef struct PlacesJob:
    const char *x
    char *out
    int64_t middle, inner, total, tasks
    int itemsize
    bint smallest, last


cdef inline int64_t extreme_place(const Number *x, int64_t n, int64_t step, bint smallest, bint last) noexcept nogil:
    """The first, or last, place of the largest or smallest number; a NaN is more than any number, and less."""
    cdef int64_t i, best = 0
    cdef Number most = x[0], v
    for i in range(1, n):
        v = x[i * step]
        if (v < most if smallest else v > most) or (last and v == most) or (v != v and (last or most == most)):
            most, best = v, i
    return best


cdef void places_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const PlacesJob *job = <const PlacesJob *> of
    cdef int64_t i, outer, inner, at
    for i in range(task * job.total // job.tasks, (task + 1) * job.total // job.tasks):
        with cython.cdivision(True):
            outer, inner = i // job.inner, i % job.inner
        at = outer * job.middle * job.inner + inner
        if job.itemsize == 4:
            at = extreme_place(<const float *> job.x + at, job.middle, job.inner, job.smallest, job.last)
        else:
            at = extreme_place(<const double *> job.x + at, job.middle, job.inner, job.smallest, job.last)
        (<int64_t *> job.out)[i] = at


def extreme_places(int itemsize, x, out, int64_t outer, int64_t middle, int64_t inner, bint smallest, bint last, int threads=1,
                   Script into=None):
    """out[n, i]: where along the middle axis x[n, :, i] is largest, or smallest; of equal numbers the first, or the last.

    x (outer, middle, inner) of floats of so many bytes, out (outer, inner) of int64, both contiguous; middle > 0. NaN counts as
    the largest and the smallest.
    """
    cdef PlacesJob job
    cdef View views[2]
    cdef int i
    memset(views, 0, sizeof(views))
    try:
        if middle < 1:
            raise ValueError("internal error: there is no largest number of nothing")
        job.itemsize, job.smallest, job.last = itemsize, smallest, last
        job.middle, job.inner, job.total = middle, inner, outer * inner
        job.x = <const char *> borrow(x, &views[0], job.total * middle * itemsize, False, "x")
        job.out = <char *> borrow(out, &views[1], job.total * 8, True, "out")
        job.tasks = smaller(job.total, ceil_div(job.total * middle, ELEMENT_PIECE))
        if job.total:
            deal(into, places_task, &job, sizeof(job), job.tasks, threads, 0, job.total * middle < SHORT_BYTES // 8, KEEP,
                 job.total * middle, &job.x, &job.out)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
