# Recurrent layers: the rest of a time step after its matrix products; and square roots and similar functions, element by element.

cdef struct GatesJob:
    const Table *table
    const char *product        # (batch, gates * hidden): of the previous state
    const char *inputs         # the same shape: of the input
    const char *h              # (batch, hidden): GRU: the previous state
    char *c                    # (batch, hidden): LSTM: the cell, which is replaced
    char *out                  # (batch, hidden)
    int64_t batch, hidden, gates
    bint lstm


cdef void pass_over(const Table *table, int op, const void *a, const void *b, void *out, int64_t n) noexcept nogil:
    """out = op(a, b) over n numbers."""
    cdef Pass part
    memset(&part, 0, sizeof(part))
    part.op, part.rows, part.columns = op, 1, n
    part.at[PASS_A], part.at[PASS_B], part.at[PASS_OUT] = <void *> a, <void *> b, out
    table.steps.run_pass(&part)


cdef void activate_over(const Table *table, int code, const void *x, void *out, int64_t n) noexcept nogil:
    cdef Activation act
    act.code, act.a, act.b = code, 0, 0
    table.activate(x, out, 1, n, NULL, act)


cdef void lstm_row(const GatesJob *job, int64_t row, char *gates) noexcept nogil:
    """ONNX's order of gates: input, output, forget, cell."""
    cdef const Table *table = job.table
    cdef int64_t n = job.hidden, nbytes = n * table.itemsize
    cdef char *c = job.c + row * nbytes
    cdef char *i = gates
    cdef char *o = gates + nbytes
    cdef char *forget = gates + 2 * nbytes
    cdef char *cell = gates + 3 * nbytes
    pass_over(table, PASS_ADD, job.product + 4 * row * nbytes, job.inputs + 4 * row * nbytes, gates, 4 * n)
    activate_over(table, ACT_SIGMOID, gates, gates, 3 * n)
    activate_over(table, ACT_TANH, cell, cell, n)
    pass_over(table, PASS_MUL, forget, c, forget, n)
    pass_over(table, PASS_MUL, i, cell, i, n)
    pass_over(table, PASS_ADD, forget, i, c, n)
    activate_over(table, ACT_TANH, c, cell, n)
    pass_over(table, PASS_MUL, o, cell, job.out + row * nbytes, n)


cdef void gru_row(const GatesJob *job, int64_t row, char *gates) noexcept nogil:
    """ONNX's order of gates: update, reset, hidden; the reset is applied to the product."""
    cdef const Table *table = job.table
    cdef int64_t n = job.hidden, nbytes = n * table.itemsize, k
    cdef const char *product = job.product + 3 * row * nbytes
    cdef const char *inputs = job.inputs + 3 * row * nbytes
    cdef char *z = gates
    cdef char *reset = gates + nbytes
    cdef char *new = gates + 2 * nbytes
    pass_over(table, PASS_ADD, inputs, product, gates, 2 * n)
    activate_over(table, ACT_SIGMOID, gates, gates, 2 * n)
    pass_over(table, PASS_MUL, reset, product + 2 * nbytes, new, n)
    pass_over(table, PASS_ADD, inputs + 2 * nbytes, new, new, n)
    activate_over(table, ACT_TANH, new, new, n)
    if table.itemsize == 4:
        for k in range(n):
            (<float *> reset)[k] = <float> 1 - (<float *> z)[k]
    else:
        for k in range(n):
            (<double *> reset)[k] = 1 - (<double *> z)[k]
    pass_over(table, PASS_MUL, reset, new, new, n)
    pass_over(table, PASS_MUL, z, job.h + row * nbytes, z, n)
    pass_over(table, PASS_ADD, new, z, job.out + row * nbytes, n)


cdef void gates_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    cdef const GatesJob *job = <const GatesJob *> of
    if job.lstm:
        lstm_row(job, task, scratch)
    else:
        gru_row(job, task, scratch)


def recurrent_gates(str isa, product, inputs, h, c, out, int64_t hidden, int threads=1, Script into=None):
    """A time step; out gets the new state. h: a GRU's previous state; c: an LSTM's cell, which is replaced.

    Contiguous arrays of one dtype: h, c and out (batch, hidden), product and inputs (batch, gates * hidden).
    """
    cdef GatesJob job
    cdef View views[5]
    cdef int64_t size, nbytes, lane
    cdef int i
    cdef char *copy
    memset(views, 0, sizeof(views))
    try:
        PyObject_GetBuffer(out, &views[0], PyBUF_SIMPLE | PyBUF_WRITABLE)
        size, nbytes, job.out = views[0].itemsize, views[0].len, <char *> views[0].buf
        job.hidden, job.lstm = hidden, c is not None
        job.table, job.gates = table_of(isa, kind_of_floats(size)), 4 if job.lstm else 3
        job.batch = nbytes // (hidden * size)
        job.product = <const char *> borrow(product, &views[1], job.gates * nbytes, False, "product")
        job.inputs = <const char *> borrow(inputs, &views[2], job.gates * nbytes, False, "inputs")
        job.h = <const char *> borrow(h, &views[3], nbytes, False, "h")
        job.c = <char *> borrow(c, &views[4], nbytes, True, "c")
        lane = ceil_div(job.gates * hidden * size, 64) * 64
        if into is None:
            deal(None, gates_task, &job, sizeof(job), job.batch, threads, lane, True, FLUSH, 0, NULL, NULL)
            return
        copy = into.add(gates_task, &job, sizeof(job), job.batch, lane, FLUSH, nbytes * job.gates // 4)
        into.move(copy, &job, &job.h)
        into.move(copy, &job, &job.c)
        into.move(copy, &job, &job.out)
    finally:
        for i in range(5):
            PyBuffer_Release(&views[i])
