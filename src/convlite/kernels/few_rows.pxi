# A matrix product, or a convolution to few pixels, with an unpacked kernel (isa/few_rows.h). The rows of weights of a tap are
# multiplied by the inputs of all pixels that this tap reads inside the image, so that nothing is packed and no zero is
# multiplied.
#
# A task is a share of the output channels: the sums of all pixels stay in L2 while the rows of weights are read once, in pieces
# and sections as sums.py cuts them.


# Sums of a share. With 24 KB the shares of 24 rows and more were so narrow that weights were read from memory in short stretches:
# 2048 x 1000 weights 66 -> 99 GFLOP/s; twice as many as 128 KB gained 2% more, four times none (4096 x 4096).
cdef int64_t FEW_ROWS_BYTES = 262144


cdef struct FewRowsJob:
    const Table *table
    Image x, out
    const char *weights
    const char *residual
    Epilogue end
    int64_t images, h, w, ho, wo, kc, columns
    int64_t row_step, column_step, column_taps, taps
    const int64_t *row_offsets
    const int64_t *column_offsets
    Cuts cuts
    int64_t shares
    int64_t widest             # numbers of a share, in whole vectors


@cython.cdivision(True)
cdef int64_t pixels_inside(const FewRowsJob *job, int64_t tap, int64_t k, char *sums, const void **x, void **to) noexcept nogil:
    """Find the pixels for which this tap is inside the image, their inputs from channel k on and their sums; how many."""
    cdef int64_t row = job.row_offsets[tap // job.column_taps], column = job.column_offsets[tap % job.column_taps]
    cdef int64_t found = 0, n, i, j, r, c, line = job.widest * job.table.itemsize
    cdef const char *at = job.x.at + k * job.table.itemsize
    for n in range(job.images):
        for i in range(job.ho):
            r = i * job.row_step + row
            for j in range(job.wo if 0 <= r < job.h else 0):
                c = j * job.column_step + column
                if 0 <= c < job.w:
                    x[found] = at + n * job.x.image + r * job.x.row + c * job.x.pixel
                    to[found] = sums + ((n * job.ho + i) * job.wo + j) * line
                    found += 1
    return found


@cython.cdivision(True)
cdef bint one_piece(const FewRowsJob *job, FewRowsCall *call, int64_t at, int64_t products, int64_t first, char *sums,
                    char *piece, const void **x, void **to) noexcept nogil:
    """Add this many products from product `at` on to `piece`: LOOP taps, of which the piece has some, or some channels of one.
    If that is one call with many rows, they are added to `sums` at once; whether they were.
    """
    cdef int64_t n, k
    call.add = products <= job.kc - at % job.kc
    while products:
        k = at % job.kc
        n = smaller(products, job.kc - k)
        call.rows, call.kc = pixels_inside(job, at // job.kc, k, sums if call.add else piece, x, to), n
        if call.add and call.rows < job.table.add_rows:
            call.add = False
            continue
        call.w = job.weights + (at * job.columns + first) * job.table.itemsize
        job.table.few_rows(call)
        at += n
        products -= n
    return call.add


@cython.cdivision(True)
cdef inline char *pixel_at(const Image *image, int64_t ho, int64_t wo, int64_t m) noexcept nogil:
    cdef int64_t line = m // wo
    return image.at + line // ho * image.image + line % ho * image.row + m % wo * image.pixel


@cython.cdivision(True)
cdef void few_rows_task(const void *of, int64_t share, char *scratch) noexcept nogil:
    """The share's columns, cut at cache lines."""
    cdef const FewRowsJob *job = <const FewRowsJob *> of
    cdef int64_t size = job.table.itemsize, line = 64 // size, lines = ceil_div(job.columns, line)
    cdef int64_t first = share * lines // job.shares * line
    cdef int64_t columns = smaller((share + 1) * lines // job.shares * line, job.columns) - first
    cdef int64_t pixels = job.images * job.ho * job.wo, numbers = pixels * job.widest, at = 0, n, tap, m, section = 0
    cdef int64_t total = job.taps * job.kc
    cdef char *sums = scratch + (64 - <uintptr_t> scratch % 64) % 64
    cdef char *piece = sums + numbers * size
    cdef char *low = piece + numbers * size
    cdef const void **x = <const void **> (low + numbers * size)
    cdef void **to = <void **> (x + pixels)
    cdef char *out
    cdef bint ends, begins = True
    cdef Epilogue end = end_at(&job.end, job.residual, job.out.at, first * size)
    cdef FewRowsCall call
    call.x, call.to, call.w_step, call.columns = x, to, job.columns, columns
    memset(sums, 0, numbers * size)
    if total > job.cuts.part:
        memset(piece, 0, numbers * size)
    while at < total:  # LOOP sections, LOOP pieces
        n = smaller(piece_left(&job.cuts, at), total - at)
        if not one_piece(job, &call, at, n, first, sums, sums if begins else piece, x, to) and not begins:
            job.table.move_sums(piece, sums, numbers)
        at += n
        tap = (at - 1) // job.kc
        begins = at < total and ends_section(&job.cuts, tap, at - tap * job.kc, job.kc)
        if begins or (section and at == total):
            for m in range(pixels):
                job.table.add_low(pixel_at(&job.out, job.ho, job.wo, m) + first * size, low + m * job.widest * size,
                                  sums + m * job.widest * size, columns, section == 0, at == total)
            memset(sums, 0, numbers * size)
            section += 1
    for m in range(pixels):
        out = pixel_at(&job.out, job.ho, job.wo, m) + first * size
        job.table.few_rows_end(&end, out if section else sums + m * job.widest * size, out, columns)


@cython.final
cdef class FewRows(Runner):
    """A plan for few pixels made ready to run; the weights are the unpacked kernel, [taps][kc][columns]."""

    cdef FewRowsJob job
    cdef int64_t *offsets

    def __cinit__(self, plan):
        geometry, cuts = plan.loops, plan.cuts
        rows, columns = geometry.rows, geometry.columns
        cdef FewRowsJob *job = &self.job
        cdef int64_t size, i, row_taps = rows.kernel
        self.table = job.table = table_of(plan.isa, kind_code(plan.kind))
        size = self.table.itemsize
        job.images, job.kc, job.columns = geometry.images, geometry.cin, geometry.cout
        job.h, job.w, job.ho, job.wo = rows.in_size, columns.in_size, rows.out_size, columns.out_size
        job.row_step, job.column_step = rows.phases[0].in_step, columns.phases[0].in_step
        job.column_taps, job.taps = columns.kernel, rows.kernel * columns.kernel
        self.offsets = <int64_t *> malloc((row_taps + job.column_taps) * sizeof(int64_t))
        if self.offsets == NULL:
            raise MemoryError("no memory for a plan")
        for i in range(row_taps):
            self.offsets[i] = rows.phases[0].offsets[i]
        for i in range(job.column_taps):
            self.offsets[row_taps + i] = columns.phases[0].offsets[i]
        job.row_offsets, job.column_offsets = self.offsets, self.offsets + row_taps
        job.cuts.part, job.cuts.period, job.cuts.taps, job.cuts.row = cuts.part, cuts.period, cuts.taps, cuts.row
        job.cuts.channels = smaller(cuts.channels, max(job.kc, 1))
        self.x_bytes = self.bytes_of(&self.x, job.images, job.h, job.w, job.kc)
        self.weight_bytes = job.taps * job.kc * job.columns * size
        self.out_bytes = self.bytes_of(&self.out, job.images, job.ho, job.wo, job.columns)
        self.bias_bytes = job.columns * size
        self.adds = True
        self.describe_work(plan.nanoseconds)

    def __dealloc__(self):
        free(self.offsets)

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef FewRowsJob job
        cdef char *memory = NULL
        cdef int64_t size = self.table.itemsize, line = 64 // size, lines = ceil_div(self.job.columns, line), lane_bytes
        cdef int64_t pixels = self.job.images * self.job.ho * self.job.wo
        copy_struct(&job, &self.job, sizeof(job))
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        job.shares = ceil_div(ceil_div(self.out_bytes, FEW_ROWS_BYTES), on.threads) * on.threads
        job.shares = smaller(job.shares, max(lines, 1))
        job.widest = ceil_div(lines, job.shares) * line
        lane_bytes = 3 * pixels * job.widest * size + 2 * pixels * sizeof(void *)
        lane_bytes = ceil_div(lane_bytes, 64) * 64 + 128  # a line to align, and one so that threads share none
        if into is None:
            memory = <char *> malloc(on.threads * lane_bytes)
            if memory == NULL:
                raise MemoryError("no memory for scratch")
        try:
            return self.deal(into, few_rows_task, &job, sizeof(job), job.shares, <int> smaller(on.threads, job.shares), memory,
                             lane_bytes, &job.x.at, &job.out.at, &job.residual)
        finally:
            free(memory)
