# What every algorithm's plan in C structures has in common: sizes to check, and one entry on pointers.


cdef struct Operands:
    Image x
    const char *weights
    Image out
    const char *residual       # what is added to out, where it lies as out does; NULL: nothing
    Epilogue end               # bias and alpha as given, not padded
    bint finite                # no Inf, no NaN among the weights
    int threads


# Bytes and nanoseconds of a call so short that other Python threads wait for it: to release the GIL and take it again
# costs 30 ns alone, and with another Python thread at work up to the interpreter's switch interval, 5 ms by default.
cdef int64_t SHORT_BYTES = 65536, SHORT_NANOSECONDS = 5000


cdef inline Epilogue end_at(const Epilogue *of, const char *residual, const char *out, int64_t first) noexcept nogil:
    """A job's epilogue for the channels from byte `first` on of bias and slopes."""
    cdef Epilogue end = of[0]
    end.bias = <const char *> of.bias + first if of.bias != NULL else NULL
    end.alpha = <const char *> of.alpha + first if of.alpha != NULL else NULL
    end.residual = residual - out if residual != NULL else 0
    return end


cdef void run_in_turn(Task run, const void *job, int64_t tasks, char *scratch) noexcept nogil:
    cdef int64_t task
    cdef uint64_t mode = float_mode_enter(FLUSH)
    for task in range(tasks):
        run(job, task, scratch)
    float_mode_leave(mode)


cdef class Runner:
    """A plan made ready to run. Immutable after construction, so threads may share it."""

    cdef const Table *table
    cdef Extent x, out         # as its loops count the pixels
    cdef int64_t x_bytes, weight_bytes, out_bytes, bias_bytes
    cdef int64_t nanoseconds   # what it takes one thread, about
    cdef bint short            # it keeps the GIL
    cdef readonly bint adds    # it can add a residual

    cdef int64_t bytes_of(self, Extent *of, int64_t images, int64_t rows, int64_t columns, int64_t channels) noexcept:
        """Describe x or out; its bytes."""
        of[0] = extent(images, rows, columns, channels)
        return images * rows * columns * channels * self.table.itemsize

    cdef int describe_work(self, int64_t nanoseconds) except -1:
        """nanoseconds: what it takes one thread, if the operands are near."""
        self.short = nanoseconds < SHORT_NANOSECONDS and self.x_bytes + self.out_bytes < SHORT_BYTES
        self.nanoseconds = max(nanoseconds, (self.x_bytes + self.out_bytes + self.weight_bytes) // 16)
        return 0

    cdef int deal(self, Script into, Task run, const void *job, int64_t job_bytes, int64_t tasks, int threads, char *scratch,
                  int64_t lane_bytes, const void *x, const void *out, const void *residual=NULL) except -1:
        """Run the tasks of a job, or add them to a script; x, out, residual: the job's pointers to the arrays."""
        if into is not None:
            return deal(into, run, job, job_bytes, tasks, threads, lane_bytes, self.short, FLUSH, self.nanoseconds, x, out,
                        residual)
        self.run_tasks(run, job, tasks, threads, scratch, lane_bytes)
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

    cdef int execute(self, const Operands *on, Script into) except -1:
        """out = act(operation(x, weights) + bias), now, or where the script comes to it."""
        raise NotImplementedError

    def run(self, x, weights, bias, alpha, out, int code, double a, double b, bint finite, int threads, Script into=None,
            residual=None, int last=0, double last_a=0.0, double last_b=0.0):
        """out = act(operation(x, weights) + bias), now, or as a step of the script `into`, which must keep the arrays.

        With a residual, which needs `adds`: out = last(act(operation(x, weights) + bias) + residual).

        Arrays are of the plan's dtype and sizes, and C-contiguous; but x and out may be some channels of a larger array, and some
        rows and columns, where the form does not take all pixels for one row. The residual's pixels lie as out's do. out overlaps
        none.
        """
        cdef View views[6]
        memset(views, 0, sizeof(views))
        cdef Operands on
        cdef Image added
        cdef int i
        memset(&on, 0, sizeof(on))
        try:
            borrow_image(x, &views[0], &self.x, self.table.itemsize, False, &on.x, "x")
            on.weights = <const char *> borrow(weights, &views[1], self.weight_bytes, False, "weights")
            on.end.bias = borrow(bias, &views[2], self.bias_bytes, False, "bias")
            on.end.alpha = borrow(alpha, &views[3], self.bias_bytes, False, "alpha")
            borrow_image(out, &views[4], &self.out, self.table.itemsize, True, &on.out, "out")
            if residual is not None:
                if not self.adds:
                    raise ValueError("internal error: this form adds no residual")
                borrow_image(residual, &views[5], &self.out, self.table.itemsize, False, &added, "residual")
                if added.image != on.out.image or added.row != on.out.row or added.pixel != on.out.pixel:
                    raise ValueError("internal error: the residual lies otherwise than out")
                on.residual = added.at
            on.end.act.code, on.end.act.a, on.end.act.b = code, a, b
            on.end.last.code, on.end.last.a, on.end.last.b = last, last_a, last_b
            on.finite, on.threads = finite, threads if into is None else into.share(self.nanoseconds)
            self.execute(&on, into)
        finally:
            for i in range(6):
                PyBuffer_Release(&views[i])
