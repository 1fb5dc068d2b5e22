# A few rows times a matrix as it lies (isa/few_rows.h): threads share the columns.


cdef struct FewRowsJob:
    const Table *table
    FewRowsCall whole
    const char *residual
    int64_t pieces


@cython.cdivision(True)
cdef void few_rows_task(const void *of, int64_t piece, char *scratch) noexcept nogil:
    """The piece's columns, cut at cache lines."""
    cdef const FewRowsJob *job = <const FewRowsJob *> of
    cdef FewRowsCall part = job.whole
    cdef int64_t columns = job.whole.columns, size = job.table.itemsize, line = 64 // size, lines = ceil_div(columns, line)
    cdef int64_t first = piece * lines // job.pieces * line
    part.columns = smaller((piece + 1) * lines // job.pieces * line, columns) - first
    part.w = <const char *> part.w + first * size
    part.out = <char *> part.out + first * size
    part.end = end_at(&job.whole.end, job.residual, <const char *> job.whole.out, first * size)
    part.sums = scratch
    job.table.few_rows(&part)


@cython.final
cdef class FewRows(Runner):
    """A plan for a few rows made ready to run; the weights are the matrix as it lies, [kc][columns]."""

    cdef FewRowsJob job

    def __cinit__(self, plan):
        geometry = plan.geometry
        cdef FewRowsCall *whole = &self.job.whole
        cdef int64_t size
        self.table = self.job.table = table_of(plan.isa, kind_code(plan.kind))
        size = self.table.itemsize
        whole.rows, whole.kc, whole.columns = plan.rows, geometry.cin, geometry.cout
        whole.piece, whole.section = plan.piece, plan.section
        whole.w_step = geometry.cout
        self.x_bytes = self.bytes_of(&self.x, 1, 1, whole.rows, whole.kc)
        self.weight_bytes = whole.kc * whole.columns * size
        self.out_bytes = self.bytes_of(&self.out, 1, 1, whole.rows, whole.columns)
        self.bias_bytes = whole.columns * size
        self.adds = True
        self.describe_work(plan.nanoseconds)

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef FewRowsJob job = self.job
        cdef FewRowsCall *whole = &job.whole
        cdef char *memory = NULL
        cdef int64_t lane_bytes = 0, lines = ceil_div(whole.columns * job.table.itemsize, 64)
        whole.x, whole.w, whole.out, whole.end, job.residual = on.x.at, on.weights, on.out.at, on.end, on.residual
        whole.x_step, whole.out_step = on.x.pixel // job.table.itemsize, on.out.pixel // job.table.itemsize
        # sums of a piece stay in L1; a piece is whole cache lines
        job.pieces = max(ceil_div(self.out_bytes, 16384), min(on.threads, lines))
        job.pieces = min(job.pieces, max(lines, 1))
        if whole.kc > whole.piece:  # a line more for each piece, so that threads share none
            lane_bytes = 3 * whole.rows * ceil_div(lines, job.pieces) * 64 + 64
            if into is None:
                memory = <char *> malloc(on.threads * lane_bytes)
                if memory == NULL:
                    raise MemoryError("no memory for scratch")
        try:
            return self.deal(into, few_rows_task, &job, sizeof(job), job.pieces, <int> smaller(on.threads, job.pieces), memory,
                             lane_bytes, &whole.x, &whole.out, &job.residual)
        finally:
            free(memory)
