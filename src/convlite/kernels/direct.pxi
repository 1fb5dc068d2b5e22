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
# How: the outputs of a phase pair are cut into tiles of up to `mr` pixels, a block is some tiles, and a task is (block, group,
# span of panels). A task first writes down where each tile finds its input at each tap, then runs panel by panel, so that a
# panel of weights stays in L2 while the tiles of the block pass over it. A section of the sum at a time, so that panel and table
# stay small; between sections the sums rest in the output, and what their additions rounded off in `low`. Each piece of a section
# is a call of the micro-kernel (pieces.pxi).
#
# There are two ways to write down where the input is. Strided (strided.pxi): a tile is one or two runs of neighbouring pixels,
# and two addresses and a step say it all. Gathered (gathered.pxi): a tile is any `mr` pixels, with an address for each. Depthwise
# operations are gathered, or go along lines (depthwise_lines.pxi).
#
# Zeros stand for padding only where that cannot be seen: 0 * weight is 0 unless the weight is Inf or NaN. For such kernels (the
# packing looks for them) gathered.pxi has a task that visits the taps inside the image one by one.


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b

cdef inline int64_t smaller(int64_t a, int64_t b) noexcept nogil:
    return a if a < b else b


include "pieces.pxi"


cdef struct AxisPhase:
    int64_t start, step, count, in_step
    int64_t taps
    int64_t before             # taps of the phases packed earlier: where this phase's weights start
    int64_t *offsets           # [taps]
    int64_t low, high          # i*in_step + offset is inside the input for every tap if low <= i*in_step < high
    int64_t least, reach       # the smallest offset, and how many inputs lie from it to the largest
    # strided columns: a line is cut into so many tiles (0: two lines make one tile), of which some touch the left and right edge
    int64_t pieces, left, right
    int64_t copied             # pieces of a line whose input is copied
    Cuts cuts                  # of sums
    bint cut                   # the pixels of edge tiles that a tap reads outside are left out

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
    int64_t lead               # merged phases: so many output pixels of the first pixel lie before its line
    int clips                  # merged phases: the first or the last pixel of a line reaches over its end
    int64_t group_step         # input channels from one group to the next
    int64_t fused              # neighbouring pixels in one tap's run of kc numbers: see strided.pxi
    int64_t mr
    int depthwise, strided
    int fetch                  # weights are larger than L2: prefetch the next panel
    int spread                 # strided: copy inputs whose pixels meet in one set of the L1 cache
    int64_t call_work          # multiply-adds of vectors that another call of a tile costs
    AxisPhase *row
    AxisPhase *column
    Block *blocks
    const char *zeros
    # of one call
    Image x, out
    int64_t out_pixel          # bytes from one of the loops' pixels to the next: `phases` of the output's
    bint apart                 # merged phases: a panel holds channels of pixels between which there are gaps
    int64_t panel_bytes        # the kernel lies as it was given: room for a section of a panel; else 0
    const char *weights
    const char *residual
    Epilogue end               # bias and alpha padded to `padded` for each group; depthwise: as given
    int64_t spans, panels

cdef struct Span:              # a section of a sum
    int64_t tap0, taps, k0, kc
    bint accumulate, finish
    const Cuts *cuts           # NULL: the whole sum is one piece
    char *low                  # [panel][tile][mr][nr*lanes]: what sections leave over; NULL: there is one
    int64_t tile_step          # bytes from one tile to the next
    char *sums                 # depthwise: see pieces.pxi
    char *panel                # room for a section of a panel


cdef inline bint is_cut(const Job *job, const AxisPhase *rp, const AxisPhase *cp) noexcept nogil:
    """Whether the sums of a phase pair are more than one piece."""
    return rp.taps * cp.taps * (1 if job.depthwise else job.kc) > cp.cuts.part


cdef inline bint has_sections(const Job *job, const AxisPhase *rp, const AxisPhase *cp) noexcept nogil:
    """Whether they are more than one section."""
    cdef int64_t taps = rp.taps * cp.taps
    return taps > cp.cuts.taps or (cp.cuts.row and taps > cp.cuts.row) or (taps and job.kc > cp.cuts.channels)


@cython.cdivision(True)
cdef inline int64_t share_start(int64_t i, int64_t shares, int64_t total) noexcept nogil:
    """Where share i starts when `total` is cut into nearly equal ones; never overflows."""
    return i * (total // shares) + smaller(i, total % shares)


cdef inline int64_t pixel_bytes_of(const Job *job) noexcept nogil:
    """Bytes of a pixel's sums in whole vectors, of all panels; depthwise: of all channels."""
    cdef int64_t lanes = job.table.lanes
    return (ceil_div(job.cout, lanes) if job.depthwise else job.panels * job.table.nr) * lanes * job.table.itemsize


cdef inline int64_t sums_bytes(const Job *job, const Block *block) noexcept nogil:
    """Bytes for the pieces of a depthwise tile."""
    cdef bint cut = is_cut(job, &job.row[block.row_phase], &job.column[block.column_phase])
    return job.mr * pixel_bytes_of(job) if job.depthwise and cut else 0


cdef inline int64_t low_bytes(const Job *job, const Block *block) noexcept nogil:
    """Bytes for what sections leave over."""
    cdef bint several = has_sections(job, &job.row[block.row_phase], &job.column[block.column_phase])
    return block.tiles * job.mr * pixel_bytes_of(job) if several else 0


include "gathered.pxi"
include "strided.pxi"


@cython.cdivision(True)
cdef void direct_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """LOOP tasks: one block of one group, over a span of panels."""
    cdef const Job *job = <const Job *> of
    cdef int64_t span = task % job.spans, group = task // job.spans % job.groups
    cdef const Block *block = &job.blocks[task // job.spans // job.groups]
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
    if is_cut(job, rp, cp):
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


@cython.final
cdef class Direct(Runner):
    """A plan made ready to run: phases and blocks as C arrays."""

    cdef Job job
    cdef int64_t block_count, scratch_bytes, packed_bias_bytes
    cdef bint padding
    cdef int64_t *offsets

    def __cinit__(self, plan):
        cdef int64_t i, j, k, tiles, done, total, size, row_phases, column_phases, block_tiles = plan.block_tiles
        geometry = plan.loops
        rows, columns = geometry.rows, geometry.columns
        self.table = self.job.table = table_of(plan.isa, plan.bits)
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
        row_phases, column_phases = len(rows.phases), len(columns.phases)
        total = sum([len(p.offsets) for p in rows.phases]) + sum([len(p.offsets) for p in columns.phases])
        self.offsets = <int64_t *> malloc((total + 1) * sizeof(int64_t))
        self.job.row = <AxisPhase *> calloc(row_phases + 1, sizeof(AxisPhase))
        self.job.column = <AxisPhase *> calloc(column_phases + 1, sizeof(AxisPhase))
        if not (self.offsets and self.job.row and self.job.column):
            raise MemoryError("no memory for a plan")
        for i in range(column_phases):
            self._fill_cuts(plan.cuts[i], &self.job.column[i])
        k = self._fill_axis(rows, self.job.row, 0, 1)
        k = self._fill_axis(columns, self.job.column, k, self.job.fused)

        # the blocks
        self.block_count = 0
        for i in range(row_phases):
            for j in range(column_phases):
                self.block_count += ceil_div(self._tiles(i, j), block_tiles)
        self.job.blocks = <Block *> calloc(self.block_count + 1, sizeof(Block))
        if not self.job.blocks:
            raise MemoryError("no memory for a plan")
        self.scratch_bytes, self.padding = 0, plan.padding
        k = 0
        for i in range(row_phases):
            for j in range(column_phases):
                tiles, done = self._tiles(i, j), 0
                while done < tiles:
                    self.job.blocks[k].row_phase, self.job.blocks[k].column_phase = i, j
                    self.job.blocks[k].first_tile, self.job.blocks[k].all_tiles = done, tiles
                    self.job.blocks[k].tiles = smaller(block_tiles, tiles - done)
                    self.scratch_bytes = max(self.scratch_bytes, self._scratch(&self.job.blocks[k]))
                    done += self.job.blocks[k].tiles
                    k += 1
        self.job.zeros = <const char *> calloc(self._zeros(self.job.cin + 16) + 1, size)
        if not self.job.zeros:
            raise MemoryError("no memory for a plan")
        self.x_bytes = self.bytes_of(&self.x, self.job.images, self.job.h, self.job.w, self.job.cin)
        self.out_bytes = self.bytes_of(&self.out, self.job.images, self.job.ho, self.job.wo, self.job.cout)
        if self.job.phases > 1:
            self.out_bytes = self.bytes_of(&self.out, self.job.images, self.job.ho, self.job.line, self.job.phase_width)
        self.bias_bytes = plan.geometry.cout * size
        self.packed_bias_bytes = self.job.groups * self.job.padded * size
        self.weight_bytes = (self.job.kernel_taps * self.job.cout if self.job.depthwise
                             else self.job.groups * self.job.kernel_taps * self.job.kc * self.job.padded) * size
        self.job.fetch = self.weight_bytes > plan.fetch_bytes
        if self.job.strided and plan.takes:
            self._take(size)
        self.adds = plan.form != "merged_phases"
        self.describe_work(plan.nanoseconds)

    cdef int _fill_cuts(self, object cuts, AxisPhase *ap) except -1:
        """Where sums are cut, from products and taps to those of fused taps, of which a section has whole ones."""
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
        """The kernel lies as it was given, [taps][kc][groups][width]."""
        cdef const Cuts *cuts = &self.job.column[0].cuts
        cdef int64_t rows = smaller(self.job.kernel_taps, cuts.taps) * smaller(self.job.kc, cuts.channels)
        self.job.panel_bytes = rows * self.job.table.nr * self.job.table.lanes * size + 64
        self.scratch_bytes += self.job.panel_bytes
        self.weight_bytes = self.job.groups * self.job.kernel_taps * self.job.kc * self.job.width * size

    cdef int64_t _tiles(self, int64_t i, int64_t j) noexcept:
        cdef int64_t lines = self.job.images * self.job.row[i].count, pieces = self.job.column[j].pieces
        if self.job.strided:
            return lines * pieces if pieces else ceil_div(lines, 2)
        return ceil_div(lines * self.job.column[j].count, self.job.mr)

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
        """Numbers in the row of zeros, if pixels are so many apart; a strided tile of two lines walks over it."""
        cdef bint walks = self.job.strided and self.padding
        return (self.job.mr * self.job.column[0].in_step * pixel if walks else 0) + self.job.kc

    def __dealloc__(self):
        free(self.offsets)
        free(self.job.row)
        free(self.job.column)
        free(self.job.blocks)
        free(<void *> self.job.zeros)

    cdef const char *_pad(self, const char *values, char *into) noexcept:
        """[groups][width] -> [groups][padded], so that the micro-kernel loads whole vectors."""
        cdef int64_t g, i, size = self.job.table.itemsize, width = self.job.width * size, padded = self.job.padded * size
        if values == NULL or self.job.depthwise or self.bias_bytes == self.packed_bias_bytes:
            return values
        for g in range(self.job.groups):
            if self.bias_bytes < width:  # merged phases: the same for each
                for i in range(width // self.bias_bytes):
                    memcpy(into + i * self.bias_bytes, values, self.bias_bytes)
            else:
                memcpy(into + g * padded, values + g * width, width)
            memset(into + g * padded + width, 0, padded - width)
        return into

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef Job job = self.job
        cdef char *memory
        cdef void *small[256]
        cdef int64_t tasks, lane_bytes, bytes, held = 2 * self.packed_bias_bytes, size = self.table.itemsize
        cdef int threads = on.threads
        cdef bint taps_inside = self.padding and not on.finite and not job.strided
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end, job.residual = on.x, on.weights, on.out, on.end, on.residual
        if job.fused > 1 and job.x.pixel != job.cin * size:
            raise ValueError("internal error: the taps of a kernel row are not one run of numbers")
        job.out_pixel = job.phases * job.out.pixel
        job.apart = job.phases > 1 and job.out.pixel != job.phase_width * size
        job.apart = job.apart and job.phase_width % (job.table.nr * job.table.lanes) > 0
        if job.strided and job.x.pixel > (job.cin + 16) * size:
            held += self._zeros(job.x.pixel // size) * size
        # enough tasks for the threads: split by panels where there are few blocks
        job.spans = 1
        if threads > 1 and not job.depthwise and self.block_count * job.groups < <int64_t> 4 * threads:
            job.spans = max(1, min(job.panels, ceil_div(<int64_t> 4 * threads, self.block_count * job.groups)))
        tasks = self.block_count * job.groups * job.spans
        if tasks < threads:
            threads = <int> tasks
        lane_bytes = ceil_div(self.scratch_bytes, 64) * 64 + 64  # + a line, so that threads share none
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
