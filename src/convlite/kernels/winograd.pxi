# Winograd's loop nest: 3x3 with stride 1 as n*n matrix products per tile of m x m outputs (the transforms: isa/winograd.h).
#
# The tiles of all images form one flat list; a block is some of them, and a task is (block, span of panels):
#
#     for each tile of the block:     v[tile][q][k] = input transform                  LOOP tiles
#     for each panel of the span:                                                      LOOP panels
#         for each position q:                                                         LOOP positions
#             for each mr tiles:      s[tile][q][l] = sum over k of v[tile][q][k] * u[panel][q][k][l]    (the micro-kernel)
#         for each tile:              out[m x m pixels of the tile][panel] = act(output transform + bias)
#
# v stays in L2 while the panels pass. A position's weights for a panel pass once per block, from wherever they are, prefetched
# by the tiles before (gains 3% for 128 channels on 28x28 maps, 8% on 14x14, 20% for 512).
#
# Blocks cut only the list of tiles, spans only the list of panels, and each output has one fixed sequence of operations, so
# that the bits depend on neither. What is not finite spreads over its tile.


cdef struct WinogradJob:
    const Table *table
    int64_t h, w, cin, ho, wo, cout, before_h, before_w
    int64_t m, n, positions
    int64_t tiles_w, image_tiles, tiles         # of a row, an image, all images
    int64_t wide, padded, panels                # lanes of a panel; cout rounded up to whole vectors
    Cuts cuts                  # of a sum over the input channels
    int64_t v_step, v_tile, s_tile              # elements from one position, one tile to the next
    const char *zeros
    # of one call
    Image x, out
    const char *weights
    const char *residual
    Epilogue end               # bias and alpha in whole vectors
    int64_t blocks, spans, most_tiles           # of a block

cdef inline int64_t larger(int64_t a, int64_t b) noexcept nogil:
    return a if a > b else b


@cython.cdivision(True)
cdef void winograd_gather_tiles(const WinogradJob *job, int64_t first, int64_t tiles, char *v) noexcept nogil:
    """LOOP tiles: the input transform."""
    cdef int64_t size = job.table.itemsize, t, flat = first, image, i, j, top, left
    cdef WinogradInput call
    call.row_step, call.column_step = job.x.row, job.x.pixel
    call.zeros, call.v_step, call.channels = job.zeros, job.v_step, job.cin
    image = flat // job.image_tiles
    i = flat % job.image_tiles // job.tiles_w
    j = flat % job.tiles_w
    for t in range(tiles):
        top, left = i * job.m - job.before_h, j * job.m - job.before_w
        call.row_low, call.row_high = <int> larger(0, -top), <int> smaller(job.n, job.h - top)
        call.column_low, call.column_high = <int> larger(0, -left), <int> smaller(job.n, job.w - left)
        call.x = job.x.at + image * job.x.image + top * job.x.row + left * job.x.pixel
        call.v = v + t * job.v_tile * size
        job.table.winograd[job.m].input(&call)
        j += 1
        if j == job.tiles_w:
            j = 0
            i += 1
            if i * job.tiles_w == job.image_tiles:
                i = 0
                image += 1


@cython.cdivision(True)
cdef void winograd_scatter_tiles(const WinogradJob *job, int64_t first, int64_t tiles, const char *s,
                                 int64_t panel) noexcept nogil:
    """LOOP tiles: the output transform of one panel."""
    cdef int64_t size = job.table.itemsize, t, image, i, j
    cdef WinogradOutput call
    call.row_step, call.column_step = job.out.row, job.out.pixel
    call.lanes = smaller(job.wide, job.cout - panel * job.wide)
    call.s_step = ceil_div(call.lanes, job.table.lanes) * job.table.lanes
    call.end = end_at(&job.end, job.residual, job.out.at, panel * job.wide * size)
    image = first // job.image_tiles
    i = first % job.image_tiles // job.tiles_w
    j = first % job.tiles_w
    for t in range(tiles):
        call.s = s + t * job.s_tile * size
        call.rows, call.columns = <int> smaller(job.m, job.ho - i * job.m), <int> smaller(job.m, job.wo - j * job.m)
        call.out = (job.out.at + image * job.out.image + i * job.m * job.out.row + j * job.m * job.out.pixel
                    + panel * job.wide * size)
        job.table.winograd[job.m].output(&call)
        j += 1
        if j == job.tiles_w:
            j = 0
            i += 1
            if i * job.tiles_w == job.image_tiles:
                i = 0
                image += 1


@cython.cdivision(True)
cdef void winograd_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """LOOP tasks: one block of tiles over a span of panels."""
    cdef const WinogradJob *job = <const WinogradJob *> of
    cdef int64_t size = job.table.itemsize, span = task % job.spans, block = task // job.spans
    cdef int64_t first = block * job.tiles // job.blocks, tiles = (block + 1) * job.tiles // job.blocks - first
    cdef int64_t groups = ceil_div(tiles, job.table.mr), panel, q, g, low, high, half, width, halves, slice_bytes
    cdef char *v = scratch
    cdef char *s = v + job.most_tiles * job.v_tile * size
    cdef const char *weights
    cdef const void *rows[2]
    cdef void *out[2]
    cdef Tile call
    cdef const Cuts *cuts = NULL
    memset(&call, 0, sizeof(call))
    winograd_gather_tiles(job, first, tiles, v)
    call.rows, call.out, call.step, call.out_step = rows, out, job.v_tile * size, job.s_tile * size
    call.taps, call.kc = 1, job.cin
    if job.cuts.part < job.cin:
        cuts = &job.cuts
    for panel in range(span * job.panels // job.spans, (span + 1) * job.panels // job.spans):
        width = smaller(job.wide, job.padded - panel * job.wide)
        halves = ceil_div(2 * smaller(width, job.cout - panel * job.wide), job.table.lanes)
        call.lanes = halves * job.table.lanes // 2  # the output transform reads whole vectors, but stores none of the rest
        slice_bytes = job.cin * width * size
        weights = job.weights + panel * job.wide * job.positions * job.cin * size
        for q in range(job.positions):
            call.panel = weights + q * slice_bytes
            for g in range(groups):
                low, high = g * tiles // groups, (g + 1) * tiles // groups
                half = (high - low + 1) // 2
                rows[0] = v + low * call.step + q * job.v_step * size
                rows[1] = <const char *> rows[0] + half * call.step
                out[0] = s + low * call.out_step + q * width * size
                out[1] = <char *> out[0] + half * call.out_step
                # each tile fetches a quarter of the next position's weights, which lie behind these
                call.ahead = <const char *> call.panel + slice_bytes + (g * slice_bytes // 4 if g < 4 else 0)
                run_tile(job.table, job.table.strided[halves][high - low], &call, cuts, 0, high - low, width // job.table.lanes,
                         True, NULL)
        winograd_scatter_tiles(job, first, tiles, s, panel)


@cython.final
cdef class Winograd(Runner):
    """A plan of Winograd's form made ready to run."""

    cdef WinogradJob job
    cdef readonly int64_t scratch_bytes         # of one thread, at most
    cdef int64_t block_tiles, packed_bias_bytes

    def __cinit__(self, plan):
        cdef int64_t size
        geometry = plan.geometry
        rows, columns = geometry.rows, geometry.columns
        self.table = self.job.table = table_of(plan.isa, plan.bits)
        size = self.table.itemsize
        self.job.h, self.job.w, self.job.cin = rows.in_size, columns.in_size, geometry.cin
        self.job.ho, self.job.wo, self.job.cout = rows.out_size, columns.out_size, geometry.cout
        self.job.before_h, self.job.before_w = -min(rows.phases[0].offsets), -min(columns.phases[0].offsets)
        self.job.m, self.job.cuts.part, self.job.cuts.period = plan.tile, plan.piece, self.job.cin
        self.job.n = self.job.m + 2
        self.job.positions = self.job.n * self.job.n
        self.job.tiles_w = ceil_div(self.job.wo, self.job.m)
        self.job.image_tiles = ceil_div(self.job.ho, self.job.m) * self.job.tiles_w
        self.job.tiles = geometry.images * self.job.image_tiles
        self.job.wide = self.job.table.nr * self.job.table.lanes
        self.job.padded = ceil_div(self.job.cout, self.job.table.lanes) * self.job.table.lanes
        self.job.panels = ceil_div(self.job.padded, self.job.wide)
        # one line more than a tile needs: rows a power of two apart would share the lines of a few cache sets
        self.job.v_step = ceil_div(self.job.cin, 64 // size) * (64 // size)
        self.job.v_tile = self.job.positions * self.job.v_step + 64 // size
        self.job.s_tile = self.job.positions * self.job.wide + 64 // size
        self.block_tiles = plan.block_tiles
        self.scratch_bytes = self._scratch(smaller(self.block_tiles, self.job.tiles))
        self.x_bytes = self.bytes_of(&self.x, geometry.images, self.job.h, self.job.w, self.job.cin)
        self.out_bytes = self.bytes_of(&self.out, geometry.images, self.job.ho, self.job.wo, self.job.cout)
        self.bias_bytes = self.job.cout * size
        self.packed_bias_bytes = ceil_div(self.job.padded * size, 64) * 64
        self.weight_bytes = self.job.positions * self.job.cin * self.job.padded * size
        self.adds = True
        self.describe_work(plan.nanoseconds)
        self.job.zeros = <const char *> calloc(self.job.cin, size)
        if not self.job.zeros:
            raise MemoryError("no memory for a plan")

    def __dealloc__(self):
        free(<void *> self.job.zeros)

    cdef int64_t _scratch(self, int64_t tiles) noexcept:
        """Bytes of one thread: v, s, and a line, so that threads share none."""
        return tiles * (self.job.v_tile + self.job.s_tile) * self.job.table.itemsize + 64

    cdef const char *_pad(self, const char *values, char *into) noexcept:
        """In whole vectors."""
        if values == NULL or self.job.padded == self.job.cout:
            return values
        memcpy(into, values, self.bias_bytes)
        memset(into + self.bias_bytes, 0, self.packed_bias_bytes - self.bias_bytes)
        return into

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef WinogradJob job = self.job
        cdef char *memory
        cdef char *lanes
        cdef int64_t tasks, least, lane_bytes
        cdef int threads = on.threads
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        # Tasks for all threads: whole blocks, each thread as many as the others, but no block smaller than half a row of
        # the micro-kernel; then spans, which repeat their block's input transform.
        job.blocks, job.spans = ceil_div(job.tiles, self.block_tiles), 1
        if threads > 1:
            least = ceil_div(job.blocks, threads) * threads
            if job.tiles >= least * (job.table.mr // 2):
                job.blocks = least
            elif job.blocks < threads:
                job.spans = smaller(job.panels, ceil_div(threads, job.blocks))
        tasks = job.blocks * job.spans
        threads = <int> smaller(threads, tasks)
        job.most_tiles = ceil_div(job.tiles, job.blocks)
        lane_bytes = self._scratch(job.most_tiles)
        if into is not None:
            memory = into.hold(2 * self.packed_bias_bytes)
        else:
            memory = <char *> malloc(2 * self.packed_bias_bytes + threads * lane_bytes + 64)
        if memory == NULL:
            raise MemoryError("no memory for scratch")
        lanes = <char *> (<size_t> (memory + 63) & ~<size_t> 63)
        job.end.bias = self._pad(<const char *> on.end.bias, lanes)
        job.end.alpha = self._pad(<const char *> on.end.alpha, lanes + self.packed_bias_bytes)
        self.deal(into, winograd_task, &job, sizeof(job), tasks, threads, lanes + 2 * self.packed_bias_bytes, lane_bytes,
                  &job.x.at, &job.out.at, &job.residual)
        if into is None:
            free(memory)
        return 0


def pack_winograd(kernel, packed, str isa, int itemsize, int m, int64_t first, int64_t row_step, int64_t column_step,
                  int64_t k_step, int64_t l_step, int64_t cin, int64_t cout):
    """Transform the contiguous 3x3 `kernel` into `packed`. In elements: steps, and `first`, the tap of a tile's first pixel."""
    cdef const Table *table = table_of(isa, 8 * itemsize)
    cdef View views[2]
    memset(views, 0, sizeof(views))
    cdef WinogradKernel call
    cdef int64_t padded = ceil_div(cout, table.lanes) * table.lanes
    cdef uint64_t mode
    cdef int i
    try:
        call.kernel = <const char *> borrow(kernel, &views[0], 9 * cin * cout * itemsize, False, "kernel") + first * itemsize
        call.panels = borrow(packed, &views[1], (m + 2) * (m + 2) * cin * padded * itemsize, True, "packed")
        call.row_step, call.column_step, call.k_step, call.l_step = row_step, column_step, k_step, l_step
        call.cin, call.cout = cin, cout
        with nogil:
            mode = float_mode_enter(FLUSH)
            table.winograd[m].kernel(&call)
            float_mode_leave(mode)
    finally:
        for i in range(2):
            PyBuffer_Release(&views[i])
