# What every algorithm's plan in C structures has in common: sizes to check, and one entry on pointers.


cdef struct Operands:
    const char *x
    const char *weights
    const char *bias           # as given, not padded; NULL: none
    const char *alpha
    char *out
    Activation act
    bint finite                # no Inf, no NaN among the weights
    int threads


# Bytes and nanoseconds of a call so short that other Python threads wait for it: to release the GIL and take it again
# costs 30 ns alone, and with another Python thread at work up to the interpreter's switch interval, 5 ms by default.
cdef int64_t SHORT_BYTES = 65536, SHORT_NANOSECONDS = 5000


# One task of a job, with its thread's scratch. Tasks of a job write to different places, and run in any order.
ctypedef void (*Task)(const void *job, int64_t task, char *scratch) noexcept nogil


cdef void run_in_turn(Task run, const void *job, int64_t tasks, char *scratch) noexcept nogil:
    cdef int64_t task
    cdef uint64_t mode = float_mode_enter(FLUSH)
    for task in range(tasks):
        run(job, task, scratch)
    float_mode_leave(mode)


cdef class Runner:
    """A plan made ready to run. Immutable after construction, so threads may share it."""

    cdef const Table *table
    cdef int64_t x_bytes, weight_bytes, out_bytes, bias_bytes
    cdef bint short            # it keeps the GIL

    cdef int describe_work(self, int64_t nanoseconds) except -1:
        self.short = nanoseconds < SHORT_NANOSECONDS and self.x_bytes + self.out_bytes < SHORT_BYTES
        return 0

    cdef void run_tasks(self, Task run, const void *job, int64_t tasks, int threads, char *scratch, int64_t lane_bytes) noexcept:
        """LOOP tasks: in turn, or dealt out to threads, each of which has `lane_bytes` of the scratch."""
        cdef int64_t task
        cdef uint64_t mode
        if threads > 1:
            for task in prange(tasks, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
                mode = float_mode_enter(FLUSH)
                run(job, task, scratch + threadid() * lane_bytes)
                float_mode_leave(mode)
        elif self.short:
            run_in_turn(run, job, tasks, scratch)
        else:
            with nogil:
                run_in_turn(run, job, tasks, scratch)

    cdef int execute(self, const Operands *on) except -1:
        """out = act(operation(x, weights) + bias)."""
        raise NotImplementedError

    def run(self, x, weights, bias, alpha, out, int code, double a, double b, bint finite, int threads):
        """out = act(operation(x, weights) + bias).

        Arrays are C-contiguous and of the plan's dtype and sizes; out overlaps none.
        """
        cdef View views[5]
        memset(views, 0, sizeof(views))
        cdef Operands on
        cdef int i
        try:
            on.x = <const char *> borrow(x, &views[0], self.x_bytes, False, "x")
            on.weights = <const char *> borrow(weights, &views[1], self.weight_bytes, False, "weights")
            on.bias = <const char *> borrow(bias, &views[2], self.bias_bytes, False, "bias")
            on.alpha = <const char *> borrow(alpha, &views[3], self.bias_bytes, False, "alpha")
            on.out = <char *> borrow(out, &views[4], self.out_bytes, True, "out")
            on.act.code, on.act.a, on.act.b = code, a, b
            on.finite, on.threads = finite, threads
            self.execute(&on)
        finally:
            for i in range(5):
                PyBuffer_Release(&views[i])
