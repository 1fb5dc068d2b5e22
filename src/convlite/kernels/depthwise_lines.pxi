# Depthwise along lines: tiles of one or two output rows and some neighbouring pixels, which share the inputs that they load
# (isa/depthwise.h). A strip has as many output rows as a tile, `pair` apart; a dilated line is `spacing` lines, of pixels
# that are so far apart; where a kernel is a column of taps, rows and columns change places. A task is a band of strips of one
# image; with too few strips for the threads, it is cut into chunks of channels, too. Chunks to fit L1 (16 to 128 channels)
# were 5 to 40% slower than tiles with all channels.


cdef int64_t CHUNK_BYTES = 256 * 1024  # 128 and 512 KB were 1 to 3% slower for 31x31 (Zen 4)


cdef struct DepthwiseLinesJob:
    const Table *table
    DepthwiseLineKernel kernel
    int64_t images, h, w, channels, ho, wo
    int64_t row_step, column_step               # strides
    int64_t taps, kernel_w, left                # kernel rows and columns; `left` is where output pixel 0 begins
    int64_t *offsets                            # [taps]
    int64_t *cuts                               # [taps]: where a piece of the sum ends before this kernel row, 1, or a section, 5
    int64_t pair, spacing                       # outputs that share their inputs: rows of a strip, columns
    int64_t most, strips                        # `most` pixels of a tile
    int64_t bands, stretches, chunks            # tasks: along the rows, along a line, along the channels
    int64_t height, sums                        # output rows of a strip; how sums are cut: `cuts` of DepthwiseLine
    int64_t vectors                             # of 64 bytes, of which chunks have whole ones
    bint wide, turned                           # turned: rows are columns
    int64_t kernel_row, channel, weights_step   # of the weights: bytes from row to row, for each channel before; DepthwiseLine's
    # of one call:
    Image x, out
    const char *weights
    const char *residual
    Epilogue end


cdef int64_t rows_of(const DepthwiseLinesJob *job, int64_t image, int64_t q, int64_t lines, int64_t c0,
                     DepthwiseRow *rows) noexcept nogil:
    """The input rows inside the image that output rows q and, of two lines, q + pair read: ascending, each with its weights."""
    cdef int64_t a = 0, b = 0 if lines > 1 else job.taps, count = 0, first = q * job.row_step, upper, lower, r
    cdef int64_t second = first + job.pair * job.row_step
    cdef const char *weights = job.weights + c0 * job.channel
    cdef const char *x = job.x.at + image * job.x.image + c0 * job.table.itemsize
    while a < job.taps and first + job.offsets[a] < 0:
        a += 1
    while b < job.taps and second + job.offsets[b] < 0:
        b += 1
    while a < job.taps or b < job.taps:
        upper = first + job.offsets[a] if a < job.taps else job.h
        lower = second + job.offsets[b] if b < job.taps else job.h
        r = smaller(upper, lower)
        if r >= job.h:
            break
        rows[count].x = x + r * job.x.row
        rows[count].weights[0] = rows[count].weights[1] = NULL
        rows[count].cut = 0
        if upper == r:
            rows[count].weights[0] = weights + a * job.kernel_row
            rows[count].cut = job.cuts[a]
            a += 1
        if lower == r:
            rows[count].weights[1] = weights + b * job.kernel_row
            rows[count].cut |= job.cuts[b] << 1
            b += 1
        count += 1
    return count


cdef void repeat_rows(DepthwiseRow *rows, int64_t count) noexcept nogil:
    """The same rows once more behind these, for the second part of a line."""
    cdef int64_t i
    for i in range(count):
        rows[count + i].x = rows[i].x
        rows[count + i].weights[0], rows[count + i].weights[1] = NULL, rows[i].weights[0]
        rows[count + i].cut = rows[i].cut << 1


@cython.cdivision(True)
cdef void depthwise_lines_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """LOOP strips of output rows, LOOP lines of a strip, LOOP tiles of a line: all channels of the chunk."""
    cdef const DepthwiseLinesJob *job = <const DepthwiseLinesJob *> of
    cdef DepthwiseRow *rows = <DepthwiseRow *> scratch
    cdef int64_t chunk = task % job.chunks, stretch = task // job.chunks % job.stretches
    cdef int64_t band = task // job.chunks // job.stretches % job.bands, image = task // job.chunks // job.stretches // job.bands
    cdef int64_t size = job.table.itemsize, lanes = 64 // size
    cdef int64_t height = job.height, spacing = job.spacing, q, strip, line, pixels, pieces, piece, p0, column, count
    cdef int64_t c0 = share_start(chunk, job.chunks, job.vectors) * lanes
    cdef char *out
    cdef DepthwiseLine call
    call.rows, call.step, call.out_step = rows, spacing * job.x.pixel, spacing * job.out.pixel
    call.weights_step = job.weights_step
    call.kw, call.cuts, call.shift = job.kernel_w, job.sums, LINE_PIXELS if job.most > LINE_PIXELS else 0
    call.channels = (share_start(chunk + 1, job.chunks, job.vectors) * lanes if chunk + 1 < job.chunks else job.channels) - c0
    call.end = end_at(&job.end, job.residual, job.out.at, c0 * size)
    # Vectors that lie across two cache lines load at half the speed, and NumPy's large arrays begin 16 bytes behind a line: if
    # all pixels have the same offset, a short vector comes first. AVX-512 on Zen 4, x and out 16 bytes behind a line: 384
    # channels of 14x14 +17%, 192 of 28x28 +5%, 96 of 56x56 -2%; with out on a line 384 channels -1%, 192 -5%. AVX2 was not
    # measured.
    call.head = 0
    if job.x.pixel % 64 == 0 and job.x.row % 64 == 0 and call.channels >= 12 * job.table.lanes:
        call.head = (64 - <uintptr_t> job.x.at % 64) % 64 // size % job.table.lanes
    for strip in range(share_start(band, job.bands, job.strips), share_start(band + 1, job.bands, job.strips)):
        q = strip // job.pair * job.pair * height + strip % job.pair
        call.lines = 2 if height > 1 and q + job.pair < job.ho else 1
        count = rows_of(job, image, q, call.lines, c0, rows)
        if call.shift:
            repeat_rows(rows, count)
        out = job.out.at + image * job.out.image + q * job.out.row + c0 * size
        for line in range(smaller(spacing, job.wo)):
            pixels = ceil_div(job.wo - line, spacing)
            pieces = ceil_div(pixels, job.most)
            for piece in range(share_start(stretch, job.stretches, pieces), share_start(stretch + 1, job.stretches, pieces)):
                p0 = share_start(piece, pieces, pixels)
                call.pixels = share_start(piece + 1, pieces, pixels) - p0
                p0 = line + p0 * spacing
                column = p0 * job.column_step + job.left  # of the tile's first input
                call.offset = column * job.x.pixel
                call.first = ceil_div(-column, spacing)
                call.last = smaller(ceil_div(job.w - column, spacing), (call.pixels - 1) * job.column_step + job.kernel_w)
                call.out[0] = out + p0 * job.out.pixel
                call.count, call.parts[0], call.parts[1] = count, call.pixels, call.pixels if call.lines > 1 else 0
                call.out[1] = <char *> call.out[0] + job.pair * job.out.row
                if call.pixels > LINE_PIXELS:
                    call.count, call.parts[0], call.parts[1] = 2 * count, LINE_PIXELS, call.pixels - LINE_PIXELS
                    call.out[1] = <char *> call.out[0] + LINE_PIXELS * call.out_step
                job.kernel(&call)


@cython.final
cdef class DepthwiseLines(Runner):
    """A plan for depthwise lines made ready to run; no zeros stand for padding, whatever the weights are."""

    cdef DepthwiseLinesJob job

    def __cinit__(self, plan):
        cdef int64_t i, size
        cdef DepthwiseLinesJob *job = &self.job
        geometry = plan.loops
        rows, columns = geometry.rows, geometry.columns
        row, column = rows.phases[0], columns.phases[0]
        self.table = job.table = table_of(plan.isa, kind_code(plan.kind))
        size = job.table.itemsize
        job.images, job.h, job.w, job.channels = geometry.images, rows.in_size, columns.in_size, geometry.cin
        job.ho, job.wo, job.row_step, job.column_step = rows.out_size, columns.out_size, row.in_step, column.in_step
        job.taps, job.kernel_w, job.left = rows.kernel, columns.kernel, column.offsets[0]
        job.height, job.wide, job.turned = plan.lines, plan.wide, plan.turned
        job.sums = (job.taps > plan.piece) + (job.taps > plan.section)
        job.kernel_row, job.channel, job.weights_step = job.kernel_w * job.channels * size, size, job.channels
        if job.wide:
            job.kernel = job.table.depthwise_wide
            job.kernel_row = job.kernel_w * job.table.lanes * size
            job.channel, job.weights_step = job.taps * job.kernel_w * size, job.taps * job.kernel_w * job.table.lanes
        else:
            job.kernel = job.table.depthwise_line[job.column_step][job.kernel_w]
        job.offsets = <int64_t *> malloc((2 * job.taps + 1) * sizeof(int64_t))
        if not job.offsets:
            raise MemoryError("no memory for a plan")
        job.cuts = job.offsets + job.taps
        for i in range(job.taps):
            job.offsets[i] = row.offsets[i]
            job.cuts[i] = (i % plan.piece == 0) + 4 * (i % plan.section == 0) if i else 0
        job.most, job.pair, job.spacing = plan.tile_pixels, plan.pair, plan.spacing
        i = job.height * job.pair
        job.strips = job.ho // i * job.pair + min(job.pair, job.ho % i)
        # A chunk of wide lines has a whole vector at least.
        job.vectors = max(job.channels * size // 64, 1) if job.wide else ceil_div(job.channels * size, 64)
        # The weights of a chunk, and the rows that strips share, stay in L2.
        i = 64 * (job.taps * job.kernel_w + (job.taps - 1) * job.w)
        job.bands, job.stretches = 1, 1
        job.chunks = max(1, min(job.vectors, ceil_div(job.vectors * i, CHUNK_BYTES))) if job.wide else 1
        rows, columns = plan.geometry.rows, plan.geometry.columns
        self.x_bytes = self.bytes_of(&self.x, plan.geometry.images, rows.in_size, columns.in_size, job.channels)
        self.out_bytes = self.bytes_of(&self.out, plan.geometry.images, rows.out_size, columns.out_size, job.channels)
        self.bias_bytes = job.channels * size
        i = ceil_div(job.channels, job.table.lanes) * job.table.lanes if job.wide else job.channels
        self.weight_bytes = job.taps * job.kernel_w * i * size
        self.adds = True
        self.describe_work(plan.nanoseconds)

    def __dealloc__(self):
        free(self.job.offsets)

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef DepthwiseLinesJob job
        cdef char *memory
        cdef DepthwiseRow small[32]
        cdef int64_t tasks, lane_bytes, size
        cdef int threads = on.threads
        copy_struct(&job, &self.job, sizeof(job))
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        if job.turned:
            job.x.row, job.x.pixel, job.out.row, job.out.pixel = job.x.pixel, job.x.row, job.out.pixel, job.out.row
        # there must be enough tasks for the threads: first bands of rows, which share edge rows, then stretches, channels
        tasks = job.images * job.chunks
        if threads > 1 and tasks < <int64_t> 8 * threads:
            job.bands = min(ceil_div(<int64_t> 8 * threads, tasks), job.strips)
            tasks *= job.bands
            if tasks < <int64_t> 8 * threads:
                job.stretches = max(1, min(ceil_div(<int64_t> 8 * threads, tasks), job.wo // (job.spacing * job.most)))
                tasks *= job.stretches
            if tasks < <int64_t> 8 * threads and job.chunks == 1:
                job.chunks = max(1, min(ceil_div(<int64_t> 8 * threads, tasks), job.channels * job.table.itemsize // 512))
                tasks *= job.chunks
        if tasks < threads:
            threads = <int> tasks
        lane_bytes = ceil_div(2 * job.taps * sizeof(DepthwiseRow), 64) * 64 + 64  # + a cache line, so that threads share none
        size = threads * lane_bytes if into is None else 0
        memory = <char *> small if size <= <int64_t> sizeof(small) else <char *> malloc(size)
        if memory == NULL:
            raise MemoryError("no memory for scratch")
        self.deal(into, depthwise_lines_task, &job, sizeof(job), tasks, threads, memory, lane_bytes, &job.x.at, &job.out.at,
                  &job.residual)
        if memory != <char *> small:
            free(memory)
        return 0
