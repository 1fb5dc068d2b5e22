# Winograd's loop nest: kernels as products in tiles of fewer multiplications (axes: plan/along.py; transforms: isa/winograd.h).
#
# A tile has `positions` matrix products: the products along its rows times those along its columns. The tiles of all images form
# one flat list; a block is some of them, and a task is (block, group, span of panels):
#
#     for each tile of the block:     v[tile][q][k] = input transform                  LOOP tiles
#     for each panel of the span:                                                      LOOP panels
#         for each position q:                                                         LOOP positions
#             for each mr tiles:      s[tile][q][l] = sum over k of v[tile][q][k] * u[panel][q][k][l]    (the micro-kernel)
#         for each tile:              out[pixels of the tile][panel] = act(output transform + bias)
#
# With strides k runs over the parts of the inputs, too: v[tile][part][q][k] and u[panel][q][part][k][l], where a q may lack
# parts. A q of a transposed convolution may lack its only one; then s is zero there.
#
# v stays in L2 while the panels are used, but for large weights and strides.
# The weights of a position and panel are read once per block, wherever they are; the
# tiles before prefetch them. With weights in memory, as in a network, halves instead of quarters made one thread of a Zen 4 so
# many times as fast: AVX-512, 16 to 64 tiles 1.05 to 1.13, 196 tiles 1.02, 9 tiles 1.04 to 1.08, 4 tiles 1.3; AVX2, 9 tiles 1.3
# to 1.4, others 0.98 to 1.02. With weights in the caches 0.99 to 1.04. What did not help: bursts (0.75 to 1.05), the next
# position's inputs too (0.94), the next tile's pixels or outputs before its transform (0.9 to 1.03), a line between the inputs
# of two positions (0.98 to 1.03), loops over positions outside and 2 to 16 panels inside (0.87 to 1.0). The products are at 95%
# of a Zen 4's peak.
#
# Blocks cut only the list of tiles, spans only the list of panels, and each output has one fixed sequence of operations, so that
# the bits depend on neither. Inf and NaN spread over their tile.


cdef enum:
    # Weights of more bytes are not read by each thread as long as there is one block. Two threads of a Zen 1 with 8 MB of L3,
    # of the time when each read all: 3x3 on 256 channels of 14x14 0.53, on 192 0.7, on 128 1.0, transposed 4x4/2 512 to 256 on
    # 8x8 0.52, ResNet-18 0.9, VGG-16 0.81; with 0.5 MB in place of 1 the same within 3%.
    SHARED_WEIGHTS = 1024 * 1024
    MOST_PARTS = 4             # of a strided convolution's inputs: plan/along.py

cdef struct WinogradLine:                       # a tile along one axis
    int64_t first, out                          # its first input and output; before the image: negative
    int low, high                               # the range of its pixels inside the image
    int out_low, out_high                       # which of its outputs exist

cdef struct WinogradTiling:                     # an axis
    WinogradAxis axis
    WinogradLine *lines
    int64_t count, pitch, out_pitch             # tiles; pixels from one input, one output of a tile to the next
    int64_t positions, slots                    # sums, and products, of a tile
    int64_t parts, few                          # of the inputs: lines has the tiles for each; the position with one part less

cdef struct WinogradJob:
    const Table *table
    int64_t h, w, ho, wo, groups, kc, width     # channels of a group
    WinogradTiling rows, columns
    int64_t positions, slots, parts             # of rows times columns
    int64_t image_tiles, tiles                  # of an image, of all images
    int64_t panel_lanes, padded, panels         # width rounded up to whole vectors
    Cuts cuts                  # of a sum over the input channels
    int64_t v_step, v_part, v_tile, s_tile      # elements from one position, one part, one tile to the next
    # of one call:
    Image x, out
    const char *weights
    const char *residual
    Epilogue end               # bias and alpha in whole vectors
    int64_t blocks, spans, most_tiles           # of a block


@cython.cdivision(True)
cdef void winograd_gather_tiles(const WinogradJob *job, int64_t first, int64_t tiles, int64_t group, const WinogradLine *rows,
                                const WinogradLine *columns, char *v) noexcept nogil:
    """LOOP tiles: the input transform of a part, with its lines."""
    cdef int64_t size = job.table.itemsize, t, image, i, j
    cdef const WinogradLine *row
    cdef const WinogradLine *column
    cdef WinogradInput call
    call.rows, call.columns = &job.rows.axis, &job.columns.axis
    call.row_step, call.column_step = job.rows.pitch * job.x.row, job.columns.pitch * job.x.pixel
    call.v_step, call.channels = job.v_step, job.kc
    image = first // job.image_tiles
    i = first % job.image_tiles // job.columns.count
    j = first % job.columns.count
    for t in range(tiles):
        row, column = rows + i, columns + j
        call.row_low, call.row_high, call.column_low, call.column_high = row.low, row.high, column.low, column.high
        call.x = job.x.at + image * job.x.image + row.first * job.x.row + column.first * job.x.pixel + group * job.kc * size
        call.v = v + t * job.v_tile * size
        job.table.winograd_input(&call)
        j += 1
        if j == job.columns.count:
            j = 0
            i += 1
            if i == job.rows.count:
                i = 0
                image += 1


@cython.cdivision(True)
cdef void winograd_scatter_tiles(const WinogradJob *job, int64_t first, int64_t tiles, const char *s, int64_t group,
                                 int64_t panel) noexcept nogil:
    """LOOP tiles: the output transform of one panel."""
    cdef int64_t size = job.table.itemsize, t, image, i, j, channel = group * job.width + panel * job.panel_lanes
    cdef const WinogradLine *row
    cdef const WinogradLine *column
    cdef WinogradOutput call
    call.rows, call.columns = &job.rows.axis, &job.columns.axis
    call.row_step, call.column_step = job.rows.out_pitch * job.out.row, job.columns.out_pitch * job.out.pixel
    call.channels = smaller(job.panel_lanes, job.width - panel * job.panel_lanes)
    call.s_step = ceil_div(call.channels, job.table.lanes) * job.table.lanes
    call.end = end_at(&job.end, job.residual, job.out.at, channel * size)
    image = first // job.image_tiles
    i = first % job.image_tiles // job.columns.count
    j = first % job.columns.count
    for t in range(tiles):
        row, column = job.rows.lines + i, job.columns.lines + j
        call.s = s + t * job.s_tile * size
        call.row_low, call.row_high = row.out_low, row.out_high
        call.column_low, call.column_high = column.out_low, column.out_high
        call.out = job.out.at + image * job.out.image + row.out * job.out.row + column.out * job.out.pixel + channel * size
        job.table.winograd_output(&call)
        j += 1
        if j == job.columns.count:
            j = 0
            i += 1
            if i == job.rows.count:
                i = 0
                image += 1


@cython.cdivision(True)
cdef void winograd_products(const WinogradJob *job, int64_t tiles, const char *v, char *s, int64_t width, int64_t channels,
                            const char *weights) noexcept nogil:
    """LOOP positions: the products of a block's tiles with one panel."""
    cdef int64_t size = job.table.itemsize, groups = ceil_div(tiles, job.table.mr), slice_bytes
    cdef int64_t i, j, t, place, rows, columns, g, count, half, low, half_vectors = ceil_div(2 * channels, job.table.lanes)
    cdef int64_t least = tiles // groups, larger = tiles % groups, nr = width // job.table.lanes
    cdef const TileKernel *kernels = job.table.strided[half_vectors]
    cdef const char *end = job.weights + job.groups * job.padded * job.slots * job.kc * size
    cdef const char *ahead
    cdef const char *at
    cdef char *to
    cdef const void *taps_at[2 * MOST_PARTS]
    cdef void *out[2]
    cdef Tile call
    cdef const Cuts *cuts
    memset(&call, 0, sizeof(call))
    call.taps_at, call.out, call.step, call.out_step = taps_at, out, job.v_tile * size, job.s_tile * size
    call.kc, call.by_runs = job.kc, True
    call.channels = half_vectors * job.table.lanes // 2  # the output transform reads whole vectors, but does not store the rest
    call.ahead_step = 2 * width * size * (1 + (groups == 1))
    for i in range(job.rows.positions):
        rows = job.rows.parts - (i == job.rows.few)
        for j in range(job.columns.positions):
            columns = job.columns.parts - (j == job.columns.few)
            call.taps, call.panel = rows * columns, weights
            to = s + (i * job.columns.positions + j) * width * size
            if call.taps == 0:
                for t in range(tiles):
                    memset(to + t * call.out_step, 0, width * size)
                continue
            slice_bytes = call.taps * job.kc * width * size
            cuts = &job.cuts if job.cuts.part < call.taps * job.kc else NULL
            set_pieces(&call, cuts)
            place = i % job.rows.axis.n * job.columns.axis.n + j % job.columns.axis.n  # phases share inputs
            for t in range(call.taps):
                taps_at[2 * t] = v + ((t // columns * job.columns.parts + t % columns) * job.v_part + place * job.v_step) * size
            count = 0
            # Even and odd tiles fetch the halves of the next position's weights, which lie behind these, if there are more.
            # A tile that is alone reads weights as fast as memory can, and others would disturb it: it fetches its own, 16
            # channels ahead.
            weights += slice_bytes
            ahead = weights if weights < end else <const char *> call.panel
            for g in range(groups):
                low = count * call.step
                count = least + (g < larger)
                half = (count + 1) // 2
                for t in range(call.taps):
                    at = <const char *> taps_at[2 * t] + low
                    taps_at[2 * t] = at
                    taps_at[2 * t + 1] = at + half * call.step
                out[0] = to
                out[1] = to + half * call.out_step
                to += count * call.out_step
                call.ahead = ahead + (slice_bytes // 2 if g & 1 else 0)
                if groups == 1:
                    call.ahead = <const char *> call.panel + 4 * call.ahead_step
                run_tile(job.table, kernels[count], &call, cuts, 0, count, nr, True, NULL)


@cython.cdivision(True)
cdef void winograd_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """LOOP tasks: one block of tiles of a group over a span of panels."""
    cdef const WinogradJob *job = <const WinogradJob *> of
    cdef int64_t size = job.table.itemsize, span = task % job.spans, group = task // job.spans % job.groups
    cdef int64_t block = task // job.spans // job.groups
    cdef int64_t first = block * job.tiles // job.blocks, tiles = (block + 1) * job.tiles // job.blocks - first
    cdef int64_t panel, width, part
    cdef char *v = scratch
    cdef char *s = v + job.most_tiles * job.v_tile * size
    for part in range(job.parts):  # LOOP parts
        winograd_gather_tiles(job, first, tiles, group, job.rows.lines + part // job.columns.parts * job.rows.count,
                              job.columns.lines + part % job.columns.parts * job.columns.count, v + part * job.v_part * size)
    for panel in range(span * job.panels // job.spans, (span + 1) * job.panels // job.spans):
        width = smaller(job.panel_lanes, job.padded - panel * job.panel_lanes)
        winograd_products(job, tiles, v, s, width, smaller(width, job.width - panel * job.panel_lanes),
                          job.weights + (group * job.padded + panel * job.panel_lanes) * job.slots * job.kc * size)
        winograd_scatter_tiles(job, first, tiles, s, group, panel)


cdef int winograd_tiling(WinogradTiling *to, axis, along) except -1:
    """A plan.along.Along of an axis in C structures."""
    cdef int i
    to.axis.n, to.axis.m, to.axis.phases = along.n, along.tile, along.phases
    to.positions, to.slots, to.parts, to.few = along.positions, along.slots, along.parts, along.few
    to.pitch, to.out_pitch = along.pitch, along.grids
    lines = along.lines(axis)
    to.count = len(lines) // to.parts
    to.lines = <WinogradLine *> malloc(max(len(lines), 1) * sizeof(WinogradLine))
    if to.lines == NULL:
        raise MemoryError("no memory for a plan")
    for i, (first, low, high, out, out_low, out_high) in enumerate(lines):
        to.lines[i].first, to.lines[i].low, to.lines[i].high = first, low, high
        to.lines[i].out, to.lines[i].out_low, to.lines[i].out_high = out, out_low, out_high
    return 0


@cython.final
cdef class Winograd(Runner):
    """A plan of Winograd's form made ready to run."""

    cdef WinogradJob job
    cdef readonly int64_t scratch_bytes         # of one thread, at most
    cdef int64_t block_tiles, packed_bias_bytes

    def __cinit__(self, plan):
        cdef int64_t size
        cdef int64_t cin, cout
        geometry = plan.geometry
        self.table = self.job.table = table_of(plan.isa, kind_code(plan.kind))
        size = self.table.itemsize
        cin, cout, self.job.groups = geometry.cin, geometry.cout, geometry.groups
        self.job.h, self.job.w = geometry.rows.in_size, geometry.columns.in_size
        self.job.ho, self.job.wo = geometry.rows.out_size, geometry.columns.out_size
        self.job.kc, self.job.width = cin // self.job.groups, cout // self.job.groups
        winograd_tiling(&self.job.rows, geometry.rows, plan.along[0])
        winograd_tiling(&self.job.columns, geometry.columns, plan.along[1])
        self.job.positions = self.job.rows.positions * self.job.columns.positions
        self.job.slots = self.job.rows.slots * self.job.columns.slots
        self.job.parts = self.job.rows.parts * self.job.columns.parts
        self.job.cuts.part = plan.piece
        self.job.cuts.period = self.job.kc if plan.piece < self.job.kc else self.job.parts * self.job.kc  # sums.cuts
        self.job.image_tiles = self.job.rows.count * self.job.columns.count
        self.job.tiles = geometry.images * self.job.image_tiles
        self.job.panel_lanes = self.job.table.nr * self.job.table.lanes
        self.job.padded = ceil_div(self.job.width, self.job.table.lanes) * self.job.table.lanes
        self.job.panels = ceil_div(self.job.padded, self.job.panel_lanes)
        # one cache line more than a tile needs: rows a power of two apart would share a few cache sets
        self.job.v_step = ceil_div(self.job.kc, 64 // size) * (64 // size)
        self.job.v_part = self.job.rows.axis.n * self.job.columns.axis.n * self.job.v_step
        self.job.v_tile = self.job.parts * self.job.v_part + 64 // size
        self.job.s_tile = self.job.positions * self.job.panel_lanes + 64 // size
        self.block_tiles = plan.block_tiles
        self.scratch_bytes = self._scratch(smaller(self.block_tiles, self.job.tiles))
        self.x_bytes = self.bytes_of(&self.x, geometry.images, self.job.h, self.job.w, cin)
        self.out_bytes = self.bytes_of(&self.out, geometry.images, self.job.ho, self.job.wo, cout)
        self.bias_bytes = cout * size
        self.packed_bias_bytes = ceil_div((cout + self.job.panel_lanes) * size, 64) * 64
        self.weight_bytes = self.job.groups * self.job.slots * self.job.kc * self.job.padded * size
        self.adds = True
        self.describe_work(plan.nanoseconds)

    def __dealloc__(self):
        free(self.job.rows.lines)
        free(self.job.columns.lines)

    cdef int64_t _scratch(self, int64_t tiles) noexcept:
        """Bytes of one thread: v, s, and a cache line, so that threads share none."""
        return tiles * (self.job.v_tile + self.job.s_tile) * self.job.table.itemsize + 64

    cdef const char *_pad(self, const char *values, char *into) noexcept:
        """Bias or slopes in whole vectors."""
        if values == NULL or self.job.padded == self.job.width:
            return values
        memcpy(into, values, self.bias_bytes)
        memset(into + self.bias_bytes, 0, self.packed_bias_bytes - self.bias_bytes)
        return into

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef WinogradJob job
        cdef char *memory
        cdef char *room
        cdef int64_t tasks, least, spans, thread_bytes
        cdef bint shares
        cdef int threads = on.threads
        copy_struct(&job, &self.job, sizeof(job))
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        # There are tasks for all threads: whole blocks, equally many for each thread, but no block is smaller than half a row of
        # the micro-kernel; then spans, each of which repeats the input transform of its block. Each block reads all weights, each
        # span its own: large ones are not read by every thread, unless it would transform more than it need not read.
        job.blocks, job.spans = ceil_div(job.tiles, self.block_tiles), 1
        if threads > 1:
            least = ceil_div(job.blocks, threads) * threads
            spans = ceil_div(threads, job.blocks * job.groups)
            shares = self.weight_bytes > max(SHARED_WEIGHTS, job.tiles * job.v_tile * job.table.itemsize)
            shares = shares and (job.panels % spans == 0 or job.panels >= 4 * spans)
            if job.tiles >= least * (job.table.mr // 2) and not (shares and spans > 1):
                job.blocks = least
            elif spans > 1:
                job.spans = smaller(job.panels, spans)
        tasks = job.blocks * job.groups * job.spans
        threads = <int> smaller(threads, tasks)
        job.most_tiles = ceil_div(job.tiles, job.blocks)
        thread_bytes = self._scratch(job.most_tiles)
        if into is not None:
            memory = into.hold(2 * self.packed_bias_bytes)
        else:
            memory = <char *> malloc(2 * self.packed_bias_bytes + threads * thread_bytes + 64)
        if memory == NULL:
            raise MemoryError("no memory for scratch")
        room = <char *> (<size_t> (memory + 63) & ~<size_t> 63)
        job.end.bias = self._pad(<const char *> on.end.bias, room)
        job.end.alpha = self._pad(<const char *> on.end.alpha, room + self.packed_bias_bytes)
        self.deal(into, winograd_task, &job, sizeof(job), tasks, threads, room + 2 * self.packed_bias_bytes, thread_bytes,
                  &job.x.at, &job.out.at, &job.residual)
        if into is None:
            free(memory)
        return 0


def pack_winograd(kernel, packed, str isa, int itemsize, tuple sizes, row_factors, column_factors, tuple parts, int64_t first,
                  int64_t first_to, int64_t row_step, int64_t column_step, int64_t k_step, int64_t l_step, int64_t cin,
                  int64_t cout):
    """Transform one group of the contiguous `kernel` into `packed`, from element first_to on.

    sizes: rows and columns of the kernel, and the elements of it and of `packed`; row_factors, column_factors: G of each axis,
    doubles [slots][taps]; parts: of rows and columns. In elements: steps, and `first`, the tap of a window's first pixel.
    """
    cdef const Table *table = table_of(isa, kind_of_floats(itemsize))
    cdef View views[4]
    memset(views, 0, sizeof(views))
    cdef WinogradKernel call
    cdef uint64_t mode
    cdef int i
    try:
        call.rows, call.columns = sizes[0], sizes[1]
        call.kernel = <const char *> borrow(kernel, &views[0], sizes[2] * itemsize, False, "kernel") + first * itemsize
        call.panels = <char *> borrow(packed, &views[1], sizes[3] * itemsize, True, "packed") + first_to * itemsize
        call.row_parts, call.column_parts = parts
        call.row_slots, call.column_slots = len(row_factors) // call.rows, len(column_factors) // call.columns
        call.row_factors = <const double *> borrow(row_factors, &views[2], 8 * call.row_slots * call.rows, False, "factors")
        call.column_factors = <const double *> borrow(column_factors, &views[3], 8 * call.column_slots * call.columns, False,
                                                      "factors")
        call.row_step, call.column_step, call.k_step, call.l_step = row_step, column_step, k_step, l_step
        call.cin, call.cout = cin, cout
        with nogil:
            mode = float_mode_enter(FLUSH)
            table.winograd_kernel(&call)
            float_mode_leave(mode)
    finally:
        for i in range(4):
            PyBuffer_Release(&views[i])
