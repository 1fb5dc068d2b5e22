# The direct form: convolution, its transpose, depthwise and dense alike, as phases.
#
# What it computes, for every pair of phases (one of the rows, one of the columns), image n, group g and output channel l:
#
#     for i < count_h: for j < count_w:
#         s = 0, in pieces and sections as sums.py cuts it
#         for t over (taps of the row phase) x (taps of the column phase):
#             (r, c) = (i*in_step_h + offset_h[t], j*in_step_w + offset_w[t])
#             if inside(r, c): for k < kc: s = fma(x[n, r, c, g*kc + k], w[t, k, l], s)
#         out[n, start_h + i*step_h, start_w + j*step_w, g*cout + l] = act(s + bias[l])
#
# How: the outputs of a phase pair are cut into tiles of up to `mr` pixels; a block is some tiles, and a task is (block, group,
# span of panels). A task first writes down where each tile finds its input at each tap. Then it runs panel by panel, so that a
# panel of weights stays in L2 while the tiles of the block use it. It computes one section of the sum at a time, so that panel
# and table stay small; between sections the sums are in the output, and their rounding errors in `low`. The micro-kernel
# cuts a section into pieces (`set_pieces`).
#
# The table of inputs has two forms. Strided (strided.pxi): a tile is one or two runs of neighbouring pixels, so two addresses and
# a step are enough. Gathered (gathered.pxi): a tile is any `mr` pixels, with an address for each. Depthwise operations are
# gathered, or go along lines (depthwise_lines.pxi).
#
# Zeros stand for padding only where this does not change the result: 0 * weight is 0 unless the weight is Inf or NaN. For kernels
# with such weights (the packing looks for them) gathered.pxi has a task that visits the taps inside the image one by one.


cdef struct Cuts:              # in products from the first tap on; see sums.py
    int64_t part, period
    int64_t taps, row, channels  # of a section; if taps are fused, fused taps are counted

cdef struct AxisPhase:
    int64_t start, step, count, in_step
    int64_t taps
    int64_t before             # taps of the phases packed earlier: where this phase's weights start
    int64_t *offsets           # [taps]
    int64_t low, high          # i*in_step + offset is inside the input for every tap if low <= i*in_step < high
    int64_t least, reach       # the smallest offset, and how many inputs lie from it to the largest
    # strided columns: a line is cut into this many tiles (0: two lines make one tile); some touch the left or right edge
    int64_t pieces, left, right
    int64_t copied             # pieces of a line whose input is copied
    Cuts cuts                  # where its sums are cut
    bint thins                 # edge tiles leave out, for each tap, the pixels that read outside the image

cdef struct Block:
    int row_phase, column_phase
    int64_t first_tile, tiles  # tiles of this block
    int64_t all_tiles          # of the phase pair

cdef struct Job:
    const Table *table
    int64_t images, h, w, cin, ho, wo, cout     # whole arrays; cin and cout over all groups
    int64_t groups, kc, width                   # channels read and written by one group
    int64_t padded                              # width, rounded up to whole vectors
    int64_t kernel_w, kernel_taps
    int64_t phases             # merged phases: output pixels that one of the loops' pixels is; else 1
    int64_t phase_width        # channels of each
    int64_t line               # output pixels of a line
    int64_t lead               # merged phases: this many output pixels of the first pixel lie before its line
    int clips                  # merged phases: the first or the last pixel of a line reaches over its end
    int64_t group_step         # input channels from one group to the next
    int64_t fused              # neighbouring pixels in one tap's run of kc numbers: see strided.pxi
    int64_t mr
    int depthwise, strided
    int fetch                  # weights are larger than L2: prefetch the next panel
    int far                    # x and the output are larger than L2, and sums are long enough to fetch both meanwhile
    int spread                 # strided: copy inputs whose pixels fall into one set of the L1 cache
    int64_t call_work          # multiply-adds of vectors that another call of a tile costs
    AxisPhase *row
    AxisPhase *column
    Block *blocks
    const char *zeros
    # of one call:
    Image x, out
    int64_t out_pixel          # bytes from one of the loops' pixels to the next: `phases` of the output's
    bint apart                 # merged phases: a panel holds channels of pixels between which there are gaps
    int64_t panel_bytes        # if the kernel is not packed: room for a section of a panel; else 0
    const char *weights
    const char *residual
    Epilogue end               # bias and alpha padded to `padded` for each group; depthwise: as given
    int64_t spans, panels, block_count
    bint streams               # tiles that lie on cache lines write past the caches
    bint by_panels             # neighbouring tasks share panels, not pixels

cdef struct Span:              # a section of a sum
    int64_t tap0, taps, k0, kc
    bint accumulate, finish
    const Cuts *cuts           # NULL: the whole sum is one piece
    char *low                  # [panel][tile][mr][nr*lanes]: rounding errors of the sections; NULL: there is one
    int64_t tile_step          # bytes from one tile to the next
    char *sums                 # depthwise: see depthwise_in_pieces
    char *panel                # room for a section of a panel


cdef inline bint has_pieces(const Job *job, const AxisPhase *rp, const AxisPhase *cp) noexcept nogil:
    """Whether the sums of a phase pair have more than one piece."""
    return rp.taps * cp.taps * (1 if job.depthwise else job.kc) > cp.cuts.part


cdef inline bint has_sections(const Job *job, const AxisPhase *rp, const AxisPhase *cp) noexcept nogil:
    """Whether they have more than one section."""
    cdef int64_t taps = rp.taps * cp.taps
    return taps > cp.cuts.taps or (cp.cuts.row and taps > cp.cuts.row) or (taps and job.kc > cp.cuts.channels)


cdef inline int64_t pixel_bytes_of(const Job *job) noexcept nogil:
    """Bytes of a pixel's sums in whole vectors, of all panels; depthwise: of all channels."""
    cdef int64_t lanes = job.table.lanes
    return (ceil_div(job.cout, lanes) if job.depthwise else job.panels * job.table.nr) * lanes * job.table.itemsize


cdef inline int64_t sums_bytes(const Job *job, const Block *block) noexcept nogil:
    """Bytes for the pieces of a depthwise tile."""
    cdef bint several = has_pieces(job, &job.row[block.row_phase], &job.column[block.column_phase])
    return job.mr * pixel_bytes_of(job) if job.depthwise and several else 0


cdef inline int64_t low_bytes(const Job *job, const Block *block) noexcept nogil:
    """Bytes for the rounding errors of the sections."""
    cdef bint several = has_sections(job, &job.row[block.row_phase], &job.column[block.column_phase])
    return block.tiles * job.mr * pixel_bytes_of(job) if several else 0


# ---- long sums in pieces and sections, as sums.py cuts them ----
#
# The micro-kernel adds the pieces of a section (`set_pieces` says where they end): their sum so far lies on its stack, which
# stays in L1 wherever the outputs are. The sum of a section is complete in a buffer, and `add_low` adds it to the output.


@cython.cdivision(True)
cdef inline int64_t piece_left(const Cuts *cuts, int64_t at) noexcept nogil:
    """How many products there are from product `at` to the end of its piece."""
    cdef int64_t place
    if at == 0:
        return smaller(cuts.part, cuts.period)
    place = at % cuts.period
    return smaller(cuts.part - place % cuts.part, cuts.period - place)


@cython.cdivision(True)
cdef inline bint ends_section(const Cuts *cuts, int64_t tap, int64_t k, int64_t kc) noexcept nogil:
    """Whether a section ends where a piece does, before channel k of a tap."""
    if k < kc:
        return k % cuts.channels == 0
    tap += 1
    return (tap % cuts.row if cuts.row else tap) % cuts.taps == 0


cdef inline char *pixel_out(const Tile *tile, int64_t mr, bint strided, int64_t i) noexcept nogil:
    """Where pixel i of a tile is stored, before the panel's offset is added."""
    cdef int64_t half = (mr + 1) // 2
    if not strided:
        return <char *> tile.out[i]
    return <char *> tile.out[i >= half] + (i - half if i >= half else i) * tile.out_step


cdef void end_section(const Table *table, TileKernel kernel, const Tile *tile, const char *sums, char *low, int64_t mr,
                      int64_t nr, bint strided) noexcept nogil:
    """A section's sums, [mr][nr*lanes], to outputs and `low`: the first ones unless `accumulate`, the last with `finish`."""
    cdef int64_t row_bytes = nr * table.lanes * table.itemsize, i
    cdef char *to
    cdef Tile call = tile[0]
    for i in range(mr):
        to = pixel_out(tile, mr, strided, i) + tile.out_offset * table.itemsize
        table.add_low(to, low + i * row_bytes, sums + i * row_bytes, tile.channels, not tile.accumulate, tile.finish)
    if tile.finish:
        call.taps, call.piece_taps, call.cut, call.accumulate = 0, 0, False, True
        kernel(&call)


cdef void run_section(const Table *table, TileKernel kernel, Tile *call, int64_t mr, int64_t nr, bint strided,
                      char *low) noexcept nogil:
    """A tile whose sums are a section, the first or to `accumulate`; low: [mr][nr*lanes].

    The call is changed and then restored: a copy of it in vectors would wait for the fields just stored.
    """
    cdef int64_t row_bytes = nr * table.lanes * table.itemsize, half = (mr + 1) // 2, i
    cdef int64_t channels = call.channels, out_offset = call.out_offset, out_step = call.out_step
    cdef int accumulate = call.accumulate, finish = call.finish
    cdef char room[29 * 64]    # at most 14 x 2 vectors
    cdef char *sums = room + (64 - <uintptr_t> room % 64)
    cdef void *to[14]
    cdef void *const *out = call.out
    for i in range(2 if strided else mr):
        to[i] = sums + (i * half if strided else i) * row_bytes
    call.out, call.out_step, call.out_offset, call.channels = to, row_bytes, 0, nr * table.lanes
    call.accumulate = call.finish = False
    kernel(call)
    call.out, call.out_step, call.out_offset, call.channels = out, out_step, out_offset, channels
    call.accumulate, call.finish = accumulate, finish
    end_section(table, kernel, call, sums, low, mr, nr, strided)


@cython.cdivision(True)
cdef inline void set_pieces(Tile *tile, const Cuts *cuts) noexcept nogil:
    """Where the sums of tiles of `kc` channels are cut; NULL: they are one piece."""
    tile.cut, tile.piece_kc = cuts != NULL, tile.kc
    if cuts == NULL:
        return
    if cuts.part < tile.kc:    # a tap has whole periods, or is a part of one
        tile.piece_kc, tile.part, tile.period = cuts.part, 1, cuts.period
    else:
        tile.part, tile.period = cuts.part // tile.kc, cuts.period // tile.kc


@cython.cdivision(True)
cdef inline void run_tile(const Table *table, TileKernel kernel, Tile *tile, const Cuts *cuts, int64_t at, int64_t mr,
                          int64_t nr, bint strided, char *low) noexcept nogil:
    """A tile whose sums begin with product `at`, after set_pieces; with `low` they are a section."""
    tile.piece_taps = tile.taps
    if cuts != NULL:
        tile.piece_taps, tile.rest = tile.part, tile.period
        if at and tile.piece_kc == tile.kc:
            tile.piece_taps, tile.rest = piece_left(cuts, at) // tile.kc, tile.period - at % cuts.period // tile.kc
        tile.piece_taps = smaller(tile.piece_taps, tile.taps)
    if low == NULL:
        kernel(tile)
    else:
        run_section(table, kernel, tile, mr, nr, strided, low)


@cython.cdivision(True)
cdef inline const Block *place_task(const Job *job, int64_t task, int64_t *group, int64_t *span) noexcept nogil:
    """The block, group and span of panels of a task."""
    if task == 0:  # without divisions: with those of strided.pxi that zeros save, 2 to 4% of a call on a few numbers
        span[0] = group[0] = 0
        return job.blocks
    if job.by_panels:
        span[0], group[0] = task // job.block_count // job.groups, task // job.block_count % job.groups
        return &job.blocks[task % job.block_count]
    span[0], group[0] = task % job.spans, task // job.spans % job.groups
    return &job.blocks[task // job.spans // job.groups]


include "gathered.pxi"
include "strided.pxi"


@cython.cdivision(True)
cdef void direct_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """LOOP tasks: one block of one group, over a span of panels."""
    cdef const Job *job = <const Job *> of
    cdef int64_t span, group
    cdef const Block *block = place_task(job, task, &group, &span)
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef const Cuts *cuts = &cp.cuts
    cdef int64_t all_taps = rp.taps * cp.taps, low = low_bytes(job, block)
    cdef Span part
    part.panel = scratch + (64 - <uintptr_t> scratch % 64) % 64 if job.panel_bytes else NULL
    scratch += job.panel_bytes
    cdef char **out = <char **> (scratch + low + sums_bytes(job, block))
    cdef const char **rows = <const char **> out + block.tiles * job.mr
    part.tap0, part.accumulate, part.cuts, part.low, part.sums, part.tile_step = 0, False, NULL, NULL, scratch + low, 0
    if has_pieces(job, rp, cp):
        part.cuts = cuts
    if low:
        part.low, part.tile_step = scratch, job.mr * pixel_bytes_of(job) // (1 if job.depthwise else job.panels)
    while True:  # LOOP sections: taps
        part.taps, part.k0 = smaller(cuts.taps, all_taps - part.tap0), 0
        if cuts.row:
            part.taps = smaller(part.taps, cuts.row - part.tap0 % cuts.row)
        while True:  # LOOP sections: channels
            part.kc = smaller(cuts.channels, job.kc - part.k0)
            part.finish = part.tap0 + part.taps >= all_taps and part.k0 + part.kc >= job.kc
            if job.strided:
                run_strided(job, block, group, span, &part, <char *> out)
            else:
                locate(job, block, group, part.tap0, part.taps, part.k0, rows, out)
                run_tiles(job, block, group, span, &part, rows, out)
            part.accumulate = True
            part.k0 += part.kc
            if part.k0 >= job.kc:
                break
        part.tap0 += part.taps
        if part.tap0 >= all_taps:
            break


cdef enum:
    TASK_NANOSECONDS = 16000   # a thread may have to wait this long for another
    BLOCK_TILES = 4            # a block with fewer tiles reads its weights too often
    SMALL_WEIGHT_BYTES = 1024 * 1024  # of larger weights, one block more costs one thread 2% (34 MB)


@cython.final
cdef class Direct(Runner):
    """A plan made ready to run: phases and blocks as C arrays."""

    cdef Job job
    cdef int64_t row_phases, column_phases, block_tiles, scratch_bytes, packed_bias_bytes
    cdef bint padding
    cdef int64_t *offsets

    def __cinit__(self, plan):
        cdef int64_t i, k, total, size, shares
        geometry = plan.loops
        rows, columns = geometry.rows, geometry.columns
        self.table = self.job.table = table_of(plan.isa, kind_code(plan.kind))
        size = self.table.itemsize
        self.job.images, self.job.h, self.job.w, self.job.cin = geometry.images, rows.in_size, columns.in_size, geometry.cin
        self.job.ho, self.job.wo, self.job.cout = rows.out_size, columns.out_size, geometry.cout
        self.job.line, self.job.phase_width = plan.geometry.columns.out_size, plan.geometry.cout
        self.job.phases = 1
        if plan.form == "merged_phases":
            self.job.phases, self.job.lead = geometry.cout // plan.geometry.cout, plan.lead // plan.geometry.cout
            self.job.clips = plan.lead > 0 or self.job.line < self.job.wo * self.job.phases
        self.job.depthwise = plan.form == "depthwise_tiles"
        self.job.strided = not self.job.depthwise and plan.form != "gathered"
        self.job.fused = 1
        if self.job.strided:
            self.job.spread, self.job.call_work = plan.spread, plan.call_work
            self.job.fused = columns.kernel if plan.fused else 1
        self.job.groups = 1 if self.job.depthwise else geometry.groups
        self.job.group_step = geometry.cin // self.job.groups
        self.job.kc = self.job.group_step * self.job.fused
        self.job.width = geometry.cout // self.job.groups
        self.job.padded = ceil_div(self.job.width, self.job.table.lanes) * self.job.table.lanes
        self.job.panels = ceil_div(self.job.width, self.job.table.nr * self.job.table.lanes)
        self.job.kernel_w = columns.kernel // self.job.fused
        self.job.kernel_taps = rows.kernel * self.job.kernel_w
        self.job.mr = plan.tile_pixels

        # the axes
        self.row_phases, self.column_phases = len(rows.phases), len(columns.phases)
        total = sum([len(p.offsets) for p in rows.phases]) + sum([len(p.offsets) for p in columns.phases])
        self.offsets = <int64_t *> malloc((total + 1) * sizeof(int64_t))
        self.job.row = <AxisPhase *> calloc(self.row_phases + 1, sizeof(AxisPhase))
        self.job.column = <AxisPhase *> calloc(self.column_phases + 1, sizeof(AxisPhase))
        if not (self.offsets and self.job.row and self.job.column):
            raise MemoryError("no memory for a plan")
        for i in range(self.column_phases):
            self._fill_cuts(plan.cuts[i], &self.job.column[i])
        k = self._fill_axis(rows, self.job.row, 0, 1)
        k = self._fill_axis(columns, self.job.column, k, self.job.fused)

        self.weight_bytes = (self.job.kernel_taps * self.job.cout if self.job.depthwise
                             else self.job.groups * self.job.kernel_taps * self.job.kc * self.job.padded) * size

        # the blocks
        self.padding, self.block_tiles = plan.padding, plan.block_tiles
        self.job.block_count = self._cut_blocks(self.block_tiles, 1, NULL)
        shares = 1
        if self.row_phases * self.column_phases == 1 and self.job.block_count > 2 and self.weight_bytes <= SMALL_WEIGHT_BYTES:
            # single calls share these blocks: 7, 17 and 25 took two threads 1.2, 1.08 and 1.04 times as long as 8, 20 and 28
            shares = 4 if self.job.block_count >= 16 else 2
            self.job.block_count = self._cut_blocks(self.block_tiles, shares, NULL)
        self.job.blocks = <Block *> calloc(self.job.block_count + 1, sizeof(Block))
        if not self.job.blocks:
            raise MemoryError("no memory for a plan")
        self._cut_blocks(self.block_tiles, shares, self.job.blocks)
        self.job.zeros = <const char *> calloc(self._zeros(self.job.cin + 16) + 1, size)
        if not self.job.zeros:
            raise MemoryError("no memory for a plan")
        self.x_bytes = self.bytes_of(&self.x, self.job.images, self.job.h, self.job.w, self.job.cin)
        self.out_bytes = self.bytes_of(&self.out, self.job.images, self.job.ho, self.job.wo, self.job.cout)
        if self.job.phases > 1:
            self.out_bytes = self.bytes_of(&self.out, self.job.images, self.job.ho, self.job.line, self.job.phase_width)
        self.bias_bytes = plan.geometry.cout * size
        self.packed_bias_bytes = self.job.groups * self.job.padded * size
        self.job.fetch = self.weight_bytes > plan.fetch_bytes
        self.job.far = self.x_bytes + self.out_bytes > FAR_BYTES and self.job.kernel_taps * self.job.kc >= FAR_PRODUCTS
        if self.job.strided and plan.takes:
            self._take(size)
        self.scratch_bytes = self._most_scratch(&self.job)
        self.adds = plan.form != "merged_phases"
        self.describe_work(plan.nanoseconds)

    cdef int _fill_cuts(self, object cuts, AxisPhase *ap) except -1:
        """Convert cuts to fused taps, of which a section has whole ones."""
        ap.cuts.part, ap.cuts.period = cuts.part, cuts.period
        ap.cuts.taps, ap.cuts.row, ap.cuts.channels = cuts.taps // self.job.fused, cuts.row // self.job.fused, cuts.channels
        if self.job.depthwise or cuts.channels * self.job.fused >= self.job.kc:
            ap.cuts.channels = max(self.job.kc, 1)
        if ap.cuts.part < 1 or ap.cuts.taps < 1 or (self.job.fused > 1 and cuts.row):
            raise ValueError("internal error: sums that cannot be cut so")
        return 0

    cdef int64_t _fill_axis(self, object axis, AxisPhase *ap, int64_t k, int64_t fused) except -1:
        """Phases to C; `fused` neighbouring offsets become the first of them."""
        cdef int64_t in_size = axis.in_size, first, last, i
        cdef tuple offsets
        for phase in axis.phases:
            ap.start, ap.step, ap.count, ap.in_step = phase.start, phase.step, phase.count, phase.in_step
            offsets = phase.offsets
            ap.taps, ap.before, ap.offsets = len(offsets) // fused, phase.before, self.offsets + k
            for i in range(ap.taps):
                self.offsets[k] = offsets[i * fused]
                k += 1
            first = last = 0
            if len(offsets) > 0:
                first, last = offsets[0], offsets[len(offsets) - 1]
            ap.least, ap.reach = smaller(first, last), max(first, last) - smaller(first, last) + 1
            ap.low = -ap.least
            ap.high = in_size - (ap.least + ap.reach - 1)
            cut_line(&self.job, ap)
            ap += 1
        return k

    cdef void _take(self, int64_t size) noexcept:
        """Use the unpacked kernel, [taps][kc][groups][width]."""
        cdef const Cuts *cuts = &self.job.column[0].cuts
        cdef int64_t rows = smaller(self.job.kernel_taps, cuts.taps) * smaller(self.job.kc, cuts.channels)
        self.job.panel_bytes = rows * self.job.table.nr * self.job.table.lanes * size + 64
        self.weight_bytes = self.job.groups * self.job.kernel_taps * self.job.kc * self.job.width * size

    cdef int64_t _tiles(self, int64_t i, int64_t j) noexcept:
        cdef int64_t lines = self.job.images * self.job.row[i].count, pieces = self.job.column[j].pieces
        if self.job.strided:
            return lines * pieces if pieces else ceil_div(lines, 2)
        return ceil_div(lines * self.job.column[j].count, self.job.mr)

    cdef int64_t _cut_blocks(self, int64_t most_tiles, int64_t shares, Block *blocks) noexcept:
        """Write the blocks, unless `blocks` is NULL; return how many. Each phase pair has a number that can be shared equally,
        if it has enough tiles, and no block is much larger than another."""
        cdef int64_t i, j, k, tiles, count, total = 0
        for i in range(self.row_phases):
            for j in range(self.column_phases):
                tiles = self._tiles(i, j)
                count = smaller(ceil_div(ceil_div(tiles, most_tiles), shares) * shares, tiles)
                for k in range(count if blocks != NULL else 0):
                    blocks.row_phase, blocks.column_phase, blocks.all_tiles = <int> i, <int> j, tiles
                    blocks.first_tile = k * tiles // count
                    blocks.tiles = (k + 1) * tiles // count - blocks.first_tile
                    blocks += 1
                total += count
        return total

    cdef int64_t _most_scratch(self, const Job *job) noexcept:
        """How many bytes a task needs."""
        cdef int64_t i, most = 0
        for i in range(job.block_count):
            most = max(most, self._scratch(&job.blocks[i]))
        return most + job.panel_bytes

    cdef int64_t _share(self, Job *job, int64_t threads, Script into) except -1:
        """Cut the work for threads; how many tasks.

        Each thread gets neighbouring tasks: of pixels, which the next step reads, or, if the weights are larger than the pixels,
        of panels. Long tasks are cut further, so that other threads can help one that is disturbed.
        """
        cdef int64_t i, most, tiles = 0, spans
        cdef int64_t wanted = min(8 * threads, max(2 * threads, self.nanoseconds // TASK_NANOSECONDS))
        job.spans, job.by_panels = 1, False
        if job.spread:  # each task copies its pixels first
            wanted = 2 * threads
        if threads > 1:
            job.by_panels = not job.depthwise and self.weight_bytes > self.x_bytes + self.out_bytes
            if into is not None and not (job.by_panels and job.panels % threads == 0):
                most = self.block_tiles
                if not job.by_panels:
                    for i in range(job.block_count):
                        tiles += job.blocks[i].tiles * job.groups
                    most = smaller(most, max(tiles // wanted, BLOCK_TILES))
                job.block_count = self._cut_blocks(most, threads, NULL)
                job.blocks = <Block *> into.hold(job.block_count * sizeof(Block))
                self._cut_blocks(most, threads, job.blocks)
            if not job.depthwise:
                spans = ceil_div(wanted, job.block_count * job.groups)
                if job.by_panels:
                    spans = ceil_div(spans, threads) * threads
                job.spans = max(1, min(job.panels, spans))
        return job.block_count * job.groups * job.spans

    cdef int64_t _scratch(self, const Block *block) noexcept:
        """Bytes that a task on this block needs."""
        cdef int64_t all_taps = self.job.row[block.row_phase].taps * self.job.column[block.column_phase].taps
        cdef int64_t taps = smaller(all_taps, self.job.column[block.column_phase].cuts.taps)
        cdef int64_t sums = low_bytes(&self.job, block) + sums_bytes(&self.job, block)
        if self.job.strided:
            return sums + strided_scratch(&self.job, block, taps)
        sums += block.tiles * self.job.mr * (1 + taps) * sizeof(void *)
        return max(sums, 3 * pixel_bytes_of(&self.job) if self.padding else 0)

    cdef int64_t _zeros(self, int64_t pixel) noexcept:
        """Numbers in the row of zeros, if pixels are this far apart; a strided tile of two lines walks over it."""
        cdef bint walks = self.job.strided and self.padding
        return (self.job.mr * self.job.column[0].in_step * pixel if walks else 0) + self.job.kc

    def __dealloc__(self):
        free(self.offsets)
        free(self.job.row)
        free(self.job.column)
        free(self.job.blocks)
        free(<void *> self.job.zeros)

    cdef const char *_pad(self, const char *values, char *into) noexcept:
        """[groups][width] -> [groups][padded], so that the micro-kernel loads whole vectors.

        This runs at each call, since a bias is an argument: too short to measure in a call of 1.3 us. In a network it runs once.
        """
        cdef int64_t g, i, size = self.job.table.itemsize, width = self.job.width * size, padded = self.job.padded * size
        if values == NULL or self.job.depthwise or self.bias_bytes == self.packed_bias_bytes:
            return values
        for g in range(self.job.groups):
            if self.bias_bytes < width:  # merged phases: repeat it for each
                for i in range(width // self.bias_bytes):
                    memcpy(into + i * self.bias_bytes, values, self.bias_bytes)
            else:
                memcpy(into + g * padded, values + g * width, width)
            memset(into + g * padded + width, 0, padded - width)
        return into

    cdef bint _streams(self, const Job *job, int threads) noexcept:
        """Whether tiles may write whole cache lines past the caches: a store that misses all of them reads its line first.

        So it is for outputs larger than half of the last-level cache: with another array as large, the input or the next
        step's output, they do not fit in there. As many caches count as so many threads have at least. A virtual machine that
        says it is a Zen 1 with 8 MB of L3, AVX2: 3x3 from 3 to 64 channels of 224x224 1.25 to 1.55 times as fast, transposed
        2x2 with stride 2 to 24 channels of 320x320 1.25 to 1.55; chains of layers, each of which reads at once what the one
        before wrote: 1x1 on 32 and 64 channels, of 4 to 12 MB 1.15 to 1.27, of 3.3 MB 0.98 to 1.23, of 1.5 MB 0.91 to 1.06;
        3x3 on 32, of 4 to 12 MB 1.02 to 1.03. Five networks 0.99 to 1.06, four of them on two threads 1.00 to 1.03.
        """
        cdef int64_t size = job.table.itemsize, steps = job.out.image | job.out.row | job.out.pixel | job.width * size
        if job.phases > 1 and job.out.pixel == job.phase_width * size:  # side by side
            steps = job.out.image | job.out.row | job.out_pixel | job.lead * job.out.pixel
        return (job.table.streams and job.strided and job.residual == NULL and job.end.act.code <= ACT_CLIP and steps % LINE == 0
                and self.out_bytes > stream_bytes * ceil_div(threads, cache_sharers))

    def streams(self, out, int threads=1):
        """Whether a call without residual and activation that begins now writes `out` past the caches: for the tests."""
        cdef View view
        cdef Job job
        memcpy(&job, &self.job, sizeof(job))
        borrow_image(out, &view, &self.out, self.table.itemsize, True, &job.out, "out")
        PyBuffer_Release(&view)
        job.residual, job.end.act.code, job.out_pixel = NULL, ACT_NONE, job.phases * job.out.pixel
        return bool(self._streams(&job, threads)) and <uintptr_t> job.out.at % LINE == 0

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef Job job
        cdef char *memory
        cdef void *small[256]
        cdef int64_t tasks, lane_bytes, bytes, held = 2 * self.packed_bias_bytes, size = self.table.itemsize
        cdef int threads = on.threads
        cdef bint taps_inside = self.padding and not on.finite and not self.job.strided
        copy_struct(&job, &self.job, sizeof(job))
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        if job.fused > 1 and job.x.pixel != job.cin * size:
            raise ValueError("internal error: the taps of a kernel row are not one run of numbers")
        job.out_pixel = job.phases * job.out.pixel
        job.apart = job.phases > 1 and job.out.pixel != job.phase_width * size
        job.apart = job.apart and job.phase_width % (job.table.nr * job.table.lanes) > 0
        job.streams = self._streams(&job, threads)
        if job.strided and job.x.pixel > (job.cin + 16) * size:
            held += self._zeros(job.x.pixel // size) * size
        tasks = self._share(&job, threads, into)
        threads = <int> smaller(threads, tasks)
        bytes = self.scratch_bytes if job.blocks == self.job.blocks else self._most_scratch(&job)
        lane_bytes = ceil_div(bytes, 64) * 64 + 64  # + a cache line, so that threads share none
        bytes = held + threads * lane_bytes
        if into is not None:
            memory = into.hold(held)
        else:
            memory = <char *> small if bytes <= <int64_t> sizeof(small) else <char *> malloc(bytes)
        if memory == NULL:
            raise MemoryError("no memory for scratch")
        job.end.bias = self._pad(<const char *> on.end.bias, memory)
        job.end.alpha = self._pad(<const char *> on.end.alpha, memory + self.packed_bias_bytes)
        if held > 2 * self.packed_bias_bytes:
            job.zeros = memory + 2 * self.packed_bias_bytes
            memset(<void *> job.zeros, 0, held - 2 * self.packed_bias_bytes)
        self.deal(into, direct_inside_task if taps_inside else direct_task, &job, sizeof(job), tasks, threads, memory + held,
                  lane_bytes, &job.x.at, &job.out.at, &job.residual)
        if memory != <char *> small and into is None:
            free(memory)
        return 0
