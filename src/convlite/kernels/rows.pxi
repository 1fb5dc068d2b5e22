# A few rows times a matrix as it lies (isa/rows.h): threads share the columns.


@cython.cdivision(True)
cdef void run_rows(const Table *table, const Rows *whole, int64_t piece, int64_t pieces, int64_t size) noexcept nogil:
    """The piece's columns, cut at cache lines."""
    cdef Rows part = whole[0]
    cdef int64_t line = 64 // size, lines = ceil_div(whole.columns, line), first = piece * lines // pieces * line
    part.columns = smaller((piece + 1) * lines // pieces * line, whole.columns) - first
    part.w = <const char *> whole.w + first * size
    part.out = <char *> whole.out + first * size
    part.bias = <const char *> whole.bias + first * size if whole.bias != NULL else NULL
    part.alpha = <const char *> whole.alpha + first * size if whole.alpha != NULL else NULL
    table.rows(&part)


@cython.final
cdef class FewRows(Runner):
    """A plan for a few rows made ready to run; the weights are the matrix as it lies, [kc][columns]."""

    cdef Rows whole

    def __cinit__(self, plan):
        geometry = plan.geometry
        cdef int64_t size
        self.table = table_of(plan.isa, plan.bits)
        size = self.table.itemsize
        self.whole.rows, self.whole.kc, self.whole.columns = plan.few_rows, geometry.cin, geometry.cout
        self.whole.x_step, self.whole.w_step, self.whole.out_step = geometry.cin, geometry.cout, geometry.cout
        self.x_bytes = self.whole.rows * self.whole.kc * size
        self.weight_bytes = self.whole.kc * self.whole.columns * size
        self.out_bytes = self.whole.rows * self.whole.columns * size
        self.bias_bytes = self.whole.columns * size
        self.describe_work(plan.multiply_adds)

    cdef int execute(self, const Operands *on) except -1:
        cdef Rows whole = self.whole
        cdef int64_t piece, pieces, lines, size = self.table.itemsize
        cdef int threads = on.threads
        cdef uint64_t mode
        whole.x, whole.w, whole.out, whole.bias, whole.alpha, whole.act = on.x, on.weights, on.out, on.bias, on.alpha, on.act
        # sums of a piece stay in L1; a piece is whole cache lines
        lines = ceil_div(whole.columns * size, 64)
        pieces = max(ceil_div(self.out_bytes, 16384), min(threads, lines))
        pieces = min(pieces, max(lines, 1))
        threads = <int> smaller(threads, pieces)
        if threads > 1:
            for piece in prange(pieces, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
                mode = float_mode_enter(FLUSH)
                run_rows(self.table, &whole, piece, pieces, size)
                float_mode_leave(mode)
        elif self.short:
            mode = float_mode_enter(FLUSH)
            for piece in range(pieces):
                run_rows(self.table, &whole, piece, pieces, size)
            float_mode_leave(mode)
        else:
            with nogil:
                mode = float_mode_enter(FLUSH)
                for piece in range(pieces):
                    run_rows(self.table, &whole, piece, pieces, size)
                float_mode_leave(mode)
        return 0
