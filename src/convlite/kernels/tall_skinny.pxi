# Few sums for each pixel, each of which reads that pixel alone (isa/tall_skinny.h): the pixels of all images are one row, and a
# task is a share of it.


cdef struct TallSkinnyJob:
    const Table *table
    TallSkinnyCall whole
    int64_t pixels, shares


@cython.cdivision(True)
cdef void tall_skinny_task(const void *of, int64_t share, char *scratch) noexcept nogil:
    """A share of the pixels, in whole vectors except in the last share: no two shares write to the same place."""
    cdef const TallSkinnyJob *job = <const TallSkinnyJob *> of
    cdef TallSkinnyCall part = job.whole
    cdef int64_t lanes = job.table.lanes, vectors = job.pixels // lanes
    part.first = share_start(share, job.shares, vectors) * lanes
    part.last = share_start(share + 1, job.shares, vectors) * lanes if share + 1 < job.shares else job.pixels
    job.table.tall_skinny(&part)


@cython.final
cdef class TallSkinny(Runner):
    """A plan for few sums for each pixel made ready to run; no zeros stand for padding, whatever the weights are."""

    cdef TallSkinnyJob job

    def __cinit__(self, plan):
        cdef TallSkinnyCall *whole = &self.job.whole
        cdef int64_t size
        geometry = plan.geometry
        rows, columns = geometry.rows, geometry.columns
        self.table = self.job.table = table_of(plan.isa, kind_code(plan.kind))
        size = self.table.itemsize
        whole.width, whole.rows, whole.cin, whole.cout = columns.in_size, rows.kernel, geometry.cin, geometry.cout
        whole.sums = rows.kernel * columns.kernel * geometry.cout
        self.job.pixels = geometry.images * rows.in_size * columns.in_size
        whole.piece, whole.together = plan.piece, plan.together
        if not 0 < whole.sums <= self.table.skinny_sums or self.job.pixels < self.table.lanes:
            raise ValueError("internal error: not a plan for few sums")
        self.x_bytes = self.bytes_of(&self.x, 1, 1, self.job.pixels, whole.cin)
        self.weight_bytes = whole.cin * whole.sums * size
        self.out_bytes = self.bytes_of(&self.out, 1, geometry.images * rows.out_size, columns.out_size, whole.cout)
        self.bias_bytes = whole.cout * size
        self.describe_work(plan.nanoseconds)

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef TallSkinnyJob job
        cdef TallSkinnyCall *whole = &job.whole
        copy_struct(&job, &self.job, sizeof(job))
        whole.x, whole.weights, whole.out, whole.x_step = on.x.at, on.weights, on.out.at, on.x.pixel // job.table.itemsize
        whole.out_step, whole.out_row = on.out.pixel // job.table.itemsize, on.out.row // job.table.itemsize
        whole.end = on.end
        job.shares = smaller(8 * on.threads, job.pixels // job.table.lanes) if on.threads > 1 else 1
        return self.deal(into, tall_skinny_task, &job, sizeof(job), job.shares, <int> smaller(on.threads, job.shares), NULL, 0,
                         &whole.x, &whole.out)
