# Pixel vectors, row-stationary: convolution and its transpose with few output channels (plan/pixel_vectors.py says when).
#
# Lanes along the output channels would stay empty, so a vector holds neighbouring pixels of one row, and weights are broadcast.
# For each image, and each band of output rows (a task):
#
#     for each input row r:                          ascending; for the transpose descending
#         write down finished output rows
#         transpose row r to [channels][pixels + pads]
#         for each tile of pixels:                   its slice of the row stays in L1
#             for each column phase:
#                 for the sums (kernel row a, output channel l) with an output row o(r, a) in the band, up to mr at a time:
#                     acc[o][phase][l][pixels] += over taps, channels:  x[channel][pixel + offset] * w[tap][channel][a][l]
#
# That is one order (kernel row, tap, channel) for each output: its kernel rows ascend as the input rows go by.
# The sums wait in memory between input rows (a rolling buffer of as many output rows as one input row reaches), which
# is exact. Sums of several pieces (sums.py) have a second number there: where a piece ends, after some kernel rows, some taps of
# a row or some channels of a tap, it is added to those before. Input rows outside the image are skipped; the pads at both sides
# hold zeros.
#
# Row r reaches output row o by kernel row a where r*row_scale + delta[a] = o*row_divisor:
# for the convolution (1, before - a*dilation, stride), for the transpose (stride, a - before, 1).


cdef struct PixelVectorsColumns:      # a column phase
    int64_t count, taps
    int64_t *shifts            # [taps] from pixel 0 of the transposed row
    int64_t *weights           # [taps] to the weights of the tap
    int64_t piece_rows, piece_taps, piece_k  # a piece: some kernel rows, or 0 and some taps, some channels; all 0: there is one

cdef struct PixelVectorsJob:
    const Table *table
    int64_t images, h, w, cin, ho, wo, cout
    int64_t kernel_h, phases
    int64_t row_scale, row_divisor, least, most         # the least and the largest delta
    bint descending
    int64_t planes             # stride of a convolution: pixels this far apart are neighbours in a plane of the transposed row
    int64_t left, right        # pixels of a plane before and behind those under the outputs
    int64_t stretch            # output pixels of a task, whole vectors
    int64_t stretches, bands   # tasks of an image: along a row, and along the rows
    int64_t tile               # vectors
    int64_t x_step             # from one channel of the transposed row to the next
    int64_t totals             # bytes from a sum's unfinished piece to the sum of the pieces before; 0: there are none
    int64_t slots              # output rows that one input row reaches
    int64_t lowest             # the least output row of input row 0
    int64_t *delta             # [kernel_h][2]: delta // row_divisor, delta % row_divisor
    PixelVectorsColumns *column       # [phases]
    # of one call:
    Image x, out
    const char *weights
    Epilogue end


cdef inline int64_t floor_div(int64_t a, int64_t b) noexcept nogil:
    """Division that rounds towards minus infinity, as in Python, even if cdivision is on."""
    return a // b


cdef int64_t row_bytes_of(const PixelVectorsJob *job) noexcept nogil:
    return ceil_div(job.planes * job.cin * job.x_step * job.table.itemsize, 64) * 64


cdef int64_t pixel_scratch(const PixelVectorsJob *job) noexcept nogil:
    """Bytes of a task: a transposed row, the sums, counts and slots."""
    return (row_bytes_of(job) + (2 if job.totals else 1) * job.slots * job.phases * job.cout * job.stretch * job.table.itemsize
            + (2 * job.phases + job.kernel_h) * sizeof(int64_t))


@cython.cdivision(True)
cdef void write_line(const PixelVectorsJob *job, int64_t image, int64_t o, int64_t p0, const int64_t *counts,
                     char *acc) noexcept nogil:
    """Write output row o of a stretch to the output."""
    cdef int64_t size = job.table.itemsize
    cdef PixelVectorsLine line
    line.acc = acc + o % job.slots * job.phases * job.cout * job.stretch * size
    line.acc_step, line.phases, line.cout, line.counts = job.stretch, job.phases, job.cout, counts
    line.out = job.out.at + image * job.out.image + o * job.out.row + p0 * job.phases * job.out.pixel
    line.pixel, line.end = job.out.pixel // size, job.end
    if job.totals:
        job.table.move_sums(<char *> line.acc + job.totals, line.acc, job.phases * job.cout * job.stretch)
    job.table.pixel_line(&line)


@cython.cdivision(True)
cdef void transpose_row(const PixelVectorsJob *job, const char *row, int64_t p0, char *to) noexcept nogil:
    """Transpose the pixels of an input row under a stretch, and `left` and `right` more; other places keep their zeros."""
    cdef int64_t size = job.table.itemsize, plane, first, last
    for plane in range(job.planes):
        first = p0 - job.left
        if first < 0:
            first = 0
        last = smaller(p0 + job.stretch + job.right, ceil_div(job.w - plane, job.planes))
        if first < last:
            job.table.pixel_transpose(row + (first * job.planes + plane) * job.x.pixel, job.planes * job.x.pixel // size,
                                      last - first, job.cin,
                                      to + (plane * job.cin * job.x_step + first - p0 + job.left) * size, job.x_step)


@cython.cdivision(True)
cdef bint place_sums(const PixelVectorsJob *job, int64_t r, int64_t low, int64_t high, int64_t *slots) noexcept nogil:
    """For each kernel row, the slot of the output row within low .. high that input row r adds to; -1: none.

    Returns whether there is one. It needs one division for the row, as many rows are short.
    """
    cdef int64_t scaled = r * job.row_scale, a, o, rest = 0, quotient = scaled, lowest, slot
    cdef bint found = False
    if job.row_divisor > 1:
        quotient = scaled // job.row_divisor
        rest = scaled - quotient * job.row_divisor
    lowest = quotient + job.lowest
    slot = lowest % job.slots if lowest >= 0 else lowest
    for a in range(job.kernel_h):
        slots[a] = -1
        o = quotient + job.delta[2 * a]
        if rest + job.delta[2 * a + 1] == job.row_divisor:
            o += 1
        elif rest + job.delta[2 * a + 1] != 0:
            continue
        if low <= o < high:
            slots[a] = (o - lowest + slot if lowest >= 0 else o) % job.slots
            found = True
    return found


cdef inline void end_piece(const PixelVectorsJob *job, const PixelVectorsPass *call, int64_t i) noexcept nogil:
    job.table.move_sums(call.acc[i], <char *> call.acc[i] + job.totals, call.vectors * job.table.lanes)


@cython.cdivision(True)
cdef void pixel_pass(const PixelVectorsJob *job, const PixelVectorsColumns *column, PixelVectorsPass *call, int64_t n,
                     const int64_t *kernel_rows) noexcept nogil:
    """Add an input row to n sums, in pieces."""
    cdef int64_t size = job.table.itemsize, t = 0, k, i
    cdef const char *x = <const char *> call.x
    cdef const char *weights = <const char *> call.weights
    if column.piece_taps == 0:
        job.table.pixels[n](call)
        for i in range(n if column.piece_rows else 0):
            if (kernel_rows[i] // job.row_scale + 1) % column.piece_rows == 0:
                end_piece(job, call, i)
        return
    while t < column.taps:
        call.taps = smaller(column.piece_taps, column.taps - t)
        call.shifts, call.tap_weights = column.shifts + t, column.weights + t
        k = 0
        while k < job.cin:
            call.kc = smaller(column.piece_k, job.cin - k)
            call.x, call.weights = x + k * call.x_step * size, weights + k * call.w_step * size
            job.table.pixels[n](call)
            for i in range(n):
                end_piece(job, call, i)
            k += call.kc
        t += call.taps
    call.x, call.kc = x, job.cin
    call.taps, call.shifts, call.tap_weights = column.taps, column.shifts, column.weights


@cython.cdivision(True)
cdef void pixel_row(const PixelVectorsJob *job, const int64_t *vectors, const char *x, char *acc, const int64_t *slots,
                    const char *ahead) noexcept nogil:
    """Add one transposed input row to the output rows in `slots`."""
    cdef int64_t size = job.table.itemsize, line = job.phases * job.cout * job.stretch * size, row_bytes = job.w * job.x.pixel
    cdef int64_t a, b, c, v0, v1, pieces, piece, i, l, n, first, after, n0, tiles = 1, tile
    cdef int64_t kernel_rows[14]
    cdef PixelVectorsPass call
    cdef const PixelVectorsColumns *column
    call.ahead, call.fetch = ahead, 64
    call.kc, call.x_step, call.w_step = job.cin, job.x_step, job.kernel_h * job.cout
    if vectors[0] > job.tile:
        tiles = ceil_div(vectors[0], job.tile)
    v0 = 0
    for tile in range(tiles):
        v1 = (tile + 1) * vectors[0] // tiles if tile + 1 < tiles else vectors[0]
        call.x = x + v0 * job.table.lanes * size
        for c in range(job.phases):
            column = &job.column[c]
            call.vectors = smaller(v1, vectors[c]) - v0
            if call.vectors <= 0 or column.taps == 0:
                continue
            call.taps, call.shifts, call.tap_weights = column.taps, column.shifts, column.weights
            a = 0
            while a < job.kernel_h:
                if slots[a] < 0:
                    a += 1
                    continue
                b = a + 1
                while b < job.kernel_h and slots[b] >= 0:
                    b += 1
                n = (b - a) * job.cout
                pieces = ceil_div(n, job.table.mr) if n > job.table.mr else 1
                l, n0, first = 0, a, 0
                for piece in range(pieces):
                    after = (piece + 1) * n // pieces if piece + 1 < pieces else n
                    call.weights = job.weights + (a * job.cout + first) * size
                    for i in range(after - first):
                        call.acc[i] = acc + slots[n0] * line + ((c * job.cout + l) * job.stretch + v0 * job.table.lanes) * size
                        kernel_rows[i] = n0
                        l += 1
                        if l == job.cout:
                            l = 0
                            n0 += 1
                    pixel_pass(job, column, &call, after - first, kernel_rows)
                    if <const char *> call.ahead >= ahead + row_bytes:
                        call.fetch = 0
                    first = after
                a = b
        v0 = v1


@cython.cdivision(True)
cdef void pixel_vectors_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """One image, one band of output rows, one stretch of pixels."""
    cdef const PixelVectorsJob *job = <const PixelVectorsJob *> of
    cdef int64_t stretch = task % job.stretches, band = task // job.stretches % job.bands
    cdef int64_t image = task // job.stretches // job.bands
    cdef int64_t low = band * job.ho // job.bands, high = (band + 1) * job.ho // job.bands, p0 = stretch * job.stretch
    cdef int64_t first, last, r, c, i, o, size = job.table.itemsize
    cdef const char *row
    cdef char *x = scratch
    cdef char *acc = x + row_bytes_of(job)
    cdef int64_t acc_bytes = (2 if job.totals else 1) * job.slots * job.phases * job.cout * job.stretch * size
    cdef int64_t *counts = <int64_t *> (acc + acc_bytes)
    cdef int64_t *vectors = counts + job.phases
    cdef int64_t *slots = vectors + job.phases
    memset(x, 0, row_bytes_of(job))
    memset(acc, 0, acc_bytes)
    for c in range(job.phases):
        counts[c] = smaller(job.stretch, job.column[c].count - p0)
        if counts[c] < 0:
            counts[c] = 0
        vectors[c] = ceil_div(counts[c], job.table.lanes)
    # rows r with low*divisor <= r*scale + delta < high*divisor for some delta
    first = -floor_div(-(low * job.row_divisor - job.most), job.row_scale)
    last = floor_div((high - 1) * job.row_divisor - job.least, job.row_scale) + 1
    first = first if first > 0 else 0
    last = smaller(last, job.h)
    o = high - 1 if job.descending else low
    for i in range(last - first):
        r = last - 1 - i if job.descending else first + i
        # LOOP output rows that are finished: no input row from this one on adds to them
        if job.descending:
            while o >= low and o * job.row_divisor > r * job.row_scale + job.most:
                write_line(job, image, o, p0, counts, acc)
                o -= 1
        else:
            while o < high and o * job.row_divisor < r * job.row_scale + job.least:
                write_line(job, image, o, p0, counts, acc)
                o += 1
        if place_sums(job, r, low, high, slots):
            row = job.x.at + image * job.x.image + r * job.x.row
            transpose_row(job, row, p0, x)
            # meanwhile the next row comes from L3 or memory, if there is one
            row += p0 * job.planes * job.x.pixel
            if i + 1 < last - first:
                row += -job.x.row if job.descending else job.x.row
            pixel_row(job, vectors, x, acc, slots, row)
    while low <= o < high:
        write_line(job, image, o, p0, counts, acc)
        o += -1 if job.descending else 1


@cython.final
cdef class PixelVectors(Runner):
    """A plan for pixel vectors made ready to run; it serves finite weights, or no padding."""

    cdef PixelVectorsJob job
    cdef int64_t *numbers

    def __cinit__(self, plan):
        cdef int64_t i, k, size, lanes, total
        cdef PixelVectorsJob *job = &self.job
        geometry = plan.geometry
        rows, columns = geometry.rows, geometry.columns
        self.table = job.table = table_of(plan.isa, kind_code(plan.kind))
        size, lanes = job.table.itemsize, job.table.lanes
        job.images, job.h, job.w, job.cin = geometry.images, rows.in_size, columns.in_size, geometry.cin
        job.ho, job.wo, job.cout = rows.out_size, columns.out_size, geometry.cout
        job.kernel_h, job.phases = rows.kernel, len(columns.phases)
        job.row_scale, job.row_divisor, job.planes = plan.row_scale, plan.row_divisor, plan.planes
        job.descending, job.stretch, job.tile = plan.descending, plan.stretch, plan.tile
        job.left, job.right = plan.left, plan.right
        job.least, job.most = min(plan.deltas), max(plan.deltas)
        job.slots = (job.most - job.least) // job.row_divisor + 1
        job.stretches, job.bands = ceil_div(columns.phases[0].count, job.stretch), 1
        # channels are an odd number of vectors apart, so that they do not fall into one set of the cache
        job.x_step = (ceil_div(job.left + job.stretch + job.right, lanes) + 1 | 1) * lanes
        total = 2 * job.kernel_h + 2 * sum([len(p.offsets) for p in columns.phases])
        self.numbers = <int64_t *> malloc((total + 1) * sizeof(int64_t))
        job.column = <PixelVectorsColumns *> calloc(job.phases + 1, sizeof(PixelVectorsColumns))
        if not (self.numbers and job.column):
            raise MemoryError("no memory for a plan")
        job.delta, k = self.numbers, 0
        job.lowest = floor_div(job.least, job.row_divisor)
        for delta in plan.deltas:
            self.numbers[k], self.numbers[k + 1] = delta // job.row_divisor, delta % job.row_divisor
            k += 2
        for i in range(job.phases):
            phase, taps = columns.phases[i], plan.taps[i]
            job.column[i].count, job.column[i].taps = phase.count, len(phase.offsets)
            job.column[i].shifts = self.numbers + k
            for offset in phase.offsets:
                self.numbers[k] = offset % job.planes * job.cin * job.x_step + offset // job.planes + job.left
                k += 1
            job.column[i].weights = self.numbers + k
            for tap in taps:
                self.numbers[k] = tap * job.cin * job.kernel_h * job.cout
                k += 1
        for i in range(job.phases):
            self._fill_cuts(plan.cuts[i], &job.column[i])
        self.x_bytes = self.bytes_of(&self.x, job.images, job.h, job.w, job.cin)
        self.out_bytes = self.bytes_of(&self.out, job.images, job.ho, job.wo, job.cout)
        self.bias_bytes = job.cout * size
        self.weight_bytes = rows.kernel * columns.kernel * job.cin * job.cout * size
        self.describe_work(plan.nanoseconds)

    cdef int _fill_cuts(self, object cuts, PixelVectorsColumns *column) except -1:
        """Set a phase's pieces; the plan ensures that there is one section."""
        cdef int64_t row = max(column.taps * self.job.cin, 1), part = cuts.part
        if ceil_div(self.job.kernel_h, self.job.row_scale) * row <= part:
            return 0
        self.job.totals = self.job.slots * self.job.phases * self.job.cout * self.job.stretch * self.job.table.itemsize
        if part < row:
            column.piece_taps, column.piece_k = max(part // self.job.cin, 1), smaller(part, self.job.cin)
        else:
            column.piece_rows = part // row
        return 0

    def __dealloc__(self):
        free(self.numbers)
        free(self.job.column)

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef PixelVectorsJob job
        cdef char *memory
        cdef int64_t tasks, lane_bytes
        cdef int threads = on.threads
        copy_struct(&job, &self.job, sizeof(job))
        job.x, job.weights, job.out, job.end = on.x, on.weights, on.out, on.end
        # bands of rows, for enough tasks; each has enough rows that few input rows are transposed twice
        tasks = job.images * job.stretches
        if threads > 1 and tasks < <int64_t> 4 * threads:
            job.bands = max(1, min(ceil_div(<int64_t> 4 * threads, tasks), job.ho // max(1, 2 * job.slots)))
        tasks *= job.bands
        if tasks < threads:
            threads = <int> max(tasks, 1)
        lane_bytes = ceil_div(pixel_scratch(&job), 64) * 64 + 64  # + a cache line, so that threads share none
        memory = <char *> malloc((threads * lane_bytes if into is None else 0) + 64)
        if memory == NULL:
            raise MemoryError("no memory for scratch")
        self.deal(into, pixel_vectors_task, &job, sizeof(job), tasks, threads, memory + (64 - <uintptr_t> memory % 64),
                  lane_bytes, &job.x.at, &job.out.at)
        free(memory)
        return 0
