# Strided tiles: runs of neighbouring pixels, addressed by a base and a step (isa/microkernel.h).
#
# A line is one row of a phase pair's outputs. A line of more than mr/2 pixels is cut into tiles of nearly equal length; of
# shorter lines, two make a tile, one run each. The neighbouring pixels of a run read inputs in_step pixels apart, so each tap
# needs one address for each run.
#
# Edges: taps above and below the image are left out (a tile of one line has none of them; in a tile of two lines, those of the
# outer line are zeros). If the columns reach outside, the piece of the input row is copied between its zeros; the lines of a
# block share the copies. Or the tile is thinned (edges.pxi).
#
# Powers of two: if the pixels of a tile lie 4096 bytes apart, they fall into one set of the L1 cache and evict each other; then
# all pieces are copied, with one more cache line for each pixel (`spread`).
#
# Few channels: in NHWC the taps of one kernel row read neighbouring pixels, so with dilation 1 they are one run of
# kw*cin numbers, and the weights [kh*kw][cin] are [kh][kw*cin] as they lie. The plan then fuses each kernel row into
# one tap (`fused` = kw): a 7x7 kernel on 3 channels is 7 taps of 21 numbers instead of 49 of 3.
#
# Merged phases (plan/merged_phases.py): the outputs of the column phases lie side by side, so phases with the same taps are one
# phase of stride*cout channels.


cdef enum:
    # Bytes of x and the output, and products of a sum, from which on tiles fetch their output before they begin, and those of the
    # last panel what the next block reads first. Layers of 3x3 on 64 channels from 112x112 on 2 to 4%, VGG-16 1.6%, U-Net 1%
    # (Zen 4, one thread); without these bounds -1% where all lies in caches.
    FAR_BYTES = 4 * 1024 * 1024
    FAR_PRODUCTS = 128
    LINE = 64                  # bytes of a cache line

cdef extern from *:
    """
    #ifdef __GNUC__
    #define CONVLITE_PREFETCH(p) __builtin_prefetch(p)
    #else
    #define CONVLITE_PREFETCH(p) ((void)(p))
    #endif
    #if defined(__SSE__) || defined(_M_X64)
    #include <xmmintrin.h>
    #define CONVLITE_STREAM_FENCE(streams) ((streams) ? _mm_sfence() : (void)0)
    #else
    #define CONVLITE_STREAM_FENCE(streams) ((void)(streams))
    #endif
    """
    void prefetch "CONVLITE_PREFETCH"(const char *) noexcept nogil
    void stream_fence "CONVLITE_STREAM_FENCE"(int) noexcept nogil  # other threads see streams before what is stored after it

cdef struct Spot:
    void *out[2]
    int64_t step               # bytes between neighbouring pixels' inputs
    int64_t tap, taps          # the taps that reach the image
    int64_t mr
    int64_t p0, count          # the first pixel in its line, and how many of each line
    int64_t pixel              # bytes between neighbouring inputs
    int64_t out_step           # bytes between neighbouring outputs
    bint thinned               # some of its pixels leave out some taps:
    char *steps                # its calls, and how many; see edges.pxi
    int64_t step_count
    bint two_lines
    bint clipped               # merged phases: its first or its last pixel reaches over the line's ends


cdef inline int64_t tile_start(const AxisPhase *cp, int64_t piece) noexcept nogil:
    """The first pixel of a line's piece."""
    return share_start(piece, cp.pieces, cp.count) if piece else 0


cdef inline int64_t span_pixels(const AxisPhase *cp, int64_t count) noexcept nogil:
    """Input pixels from the first to the last that a run of outputs reads."""
    return (count - 1) * cp.in_step + cp.reach


cdef inline int64_t first_input_row(const Job *job, const AxisPhase *rp, int64_t line) noexcept nogil:
    """The first input row that a line reads, counted through all images."""
    cdef int64_t r = line % rp.count * rp.in_step + rp.least
    return line // rp.count * job.h + (0 if r < 0 else smaller(r, job.h - 1))


cdef inline int64_t last_input_row(const Job *job, const AxisPhase *rp, int64_t line) noexcept nogil:
    """The last one."""
    cdef int64_t r = line % rp.count * rp.in_step + rp.least + rp.reach - 1
    return line // rp.count * job.h + (0 if r < 0 else smaller(r, job.h - 1))


cdef inline void next_line(const AxisPhase *rp, int64_t *q, int64_t *n) noexcept nogil:
    """From line q of image n on to the next."""
    q[0] += 1
    if q[0] == rp.count:
        q[0] = 0
        n[0] += 1


cdef inline int64_t first_line(const AxisPhase *cp, int64_t tile) noexcept nogil:
    return tile // cp.pieces if cp.pieces else 2 * tile


cdef inline bint is_clipped(const Job *job, int64_t p0, int64_t count) noexcept nogil:
    """Whether a line's pixels from p0 on are computed in the buffer."""
    return job.apart or (job.clips and (p0 == 0 or (p0 + count) * job.phases - job.lead > job.line))


@cython.cdivision(True)
cdef inline int64_t panel_offset(const Job *job, int64_t first) noexcept nogil:
    """Elements from a pixel of the loops to its channel `first` in the output."""
    if job.phases == 1:
        return first
    return first // job.phase_width * (job.out.pixel // job.table.itemsize) + first % job.phase_width


cdef inline int64_t tile_bytes(const Job *job, const AxisPhase *cp) noexcept nogil:
    """Bytes of the buffer for a clipped tile, or for a piece and those before of a tile that is thinned."""
    return (2 if cp.thins else 1 if job.phases > 1 else 0) * (job.mr * job.table.nr * job.table.lanes * job.table.itemsize + 32)


include "edges.pxi"


cdef inline void move_along(const Job *job, Spot *spot, const char **bases, int64_t room, int64_t count) noexcept nogil:
    """The tile after spot[0] in its line, into spot[1]: the same taps of the same rows, further to the right.

    bases are spot[0]'s addresses; spot[1]'s lie `room` behind them.
    """
    cdef int64_t half = (count + 1) // 2, out_step = spot.out_step, t
    cdef int64_t shift = spot.count * spot.step
    # field by field: a compiler copies a whole struct in vectors, whose loads wait for the fields just stored
    spot[1].step, spot[1].out_step, spot[1].pixel = spot.step, out_step, spot.pixel
    spot[1].tap, spot[1].taps = spot.tap, spot.taps
    spot[1].thinned = spot[1].two_lines = False
    spot[1].p0, spot[1].count, spot[1].mr = spot.p0 + spot.count, count, count
    spot[1].clipped = is_clipped(job, spot[1].p0, count)
    spot[1].out[0] = <char *> spot.out[0] + spot.count * out_step
    spot[1].out[1] = <char *> spot[1].out[0] + half * out_step
    half *= spot.step
    for t in range(spot.taps):
        bases[room + 2 * t] = bases[2 * t] + shift
        bases[room + 2 * t + 1] = bases[room + 2 * t] + half


cdef int64_t copied_pixel(const Job *job, int64_t kc) noexcept nogil:
    """Bytes of a pixel in a copied run; plus a cache line where powers of two would fall into one set of the cache."""
    cdef int64_t size = job.table.itemsize
    if job.fused > 1:
        return job.cin * size
    return kc * size + (64 if kc * size % 1024 == 0 else 0)


cdef int64_t strided_scratch(const Job *job, const Block *block, int64_t taps) noexcept nogil:
    """Bytes that a task on this block needs: spots, addresses, the table of copies, the copies."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t lines = job.images * rp.count, slots, copies, longest
    cdef int64_t last = smaller(lines - 1, first_line(cp, block.first_tile + block.tiles - 1) + (0 if cp.pieces else 1))
    slots = copies = 0
    if cp.copied and job.h:
        copies = block.tiles * (1 if cp.pieces else 2) * rp.taps
        if rp.taps > 1:
            slots = last_input_row(job, rp, last) - first_input_row(job, rp, first_line(cp, block.first_tile)) + 1
            slots *= cp.copied
            copies = smaller(copies, slots)
    longest = ceil_div(cp.count, cp.pieces) if cp.pieces else cp.count
    return (tile_bytes(job, cp) + block.tiles * (sizeof(Spot) + 2 * taps * sizeof(void *)) + slots * sizeof(void *)
            + block.tiles * schedule_bytes(job, cp, taps)
            + copies * span_pixels(cp, longest) * (job.kc * job.table.itemsize + 64) + 64)


cdef const char *copy_piece(const Job *job, const char *row, int64_t first, int64_t count, int64_t k0, int64_t bytes,
                            int64_t pixel, char *into) noexcept nogil:
    """Copy `bytes` of each of the pixels first .. first+count of an input row, zeros where they lie outside."""
    cdef int64_t c, size = job.table.itemsize, left = 0 if first > 0 else smaller(-first, count)
    cdef int64_t right = smaller(first + count, job.w) - first
    if right < left:
        right = left
    memset(into, 0, left * pixel)
    if bytes == job.x.pixel and pixel == bytes:  # whole pixels, side by side
        memcpy(into + left * pixel, row + (first + left) * pixel, (right - left) * pixel)
    else:
        row += first * job.x.pixel + k0 * size
        if bytes == 32:  # groups of few channels: a call of memcpy for each pixel takes longer than the copy
            for c in range(left, right):
                memcpy(into + c * pixel, row + c * job.x.pixel, 32)
        elif bytes == 64:
            for c in range(left, right):
                memcpy(into + c * pixel, row + c * job.x.pixel, 64)
        else:
            for c in range(left, right):
                memcpy(into + c * pixel, row + c * job.x.pixel, bytes)
    memset(into + right * pixel, 0, (count - right) * pixel)
    return into


cdef struct Placing:           # where the next tile is to be placed, while the tiles of a section are
    const Job *job
    const AxisPhase *rp
    const AxisPhase *cp
    int64_t k_first, k0        # the section's first channel of a pixel, and of a group
    int64_t tap0, taps         # its taps
    int64_t first_channel      # bytes from an output pixel to the group's channels
    int64_t n, q               # image and line
    int64_t piece, p0          # a piece of the line, and its first pixel
    int64_t shortest, longer   # pixels of a piece; how many pieces have one more
    bint along                 # the tile before touches no edge, so this one may have its addresses plus a step
    int64_t copy_bytes, copy_step  # of a pixel
    int64_t first_row
    const char **slots         # [rows from first_row on][copied]: copies that tiles share; NULL: each has its own
    char *room                 # for the next copy


@cython.cdivision(True)
cdef inline void begin_placing(Placing *at, const Job *job, const Block *block, int64_t group, const Span *part,
                               const char **slots) noexcept nogil:
    """Start a block; the table of copies and the copies are stored from `slots` on."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, line = first_line(cp, block.first_tile), last, rows
    at.job, at.rp, at.cp, at.tap0, at.taps, at.k0 = job, rp, cp, part.tap0, part.taps, part.k0
    at.k_first, at.first_channel = group * job.group_step + part.k0, group * job.width * size
    at.n = at.q = at.piece = at.p0 = at.shortest = at.longer = 0
    if line:
        at.n, at.q = line // rp.count, line % rp.count
    if cp.pieces:
        at.piece = block.first_tile - line * cp.pieces
        at.p0, at.shortest, at.longer = tile_start(cp, at.piece), cp.count // cp.pieces, cp.count % cp.pieces
    at.along, at.copy_bytes, at.copy_step = False, (job.cin if job.fused > 1 else part.kc) * size, copied_pixel(job, part.kc)
    at.slots, at.room, at.first_row = NULL, <char *> slots, 0
    if cp.copied > 0 and job.h > 0 and rp.taps > 1:  # kernels of one row read no input row twice
        last = smaller(job.images * rp.count - 1, first_line(cp, block.first_tile + block.tiles - 1) + (0 if cp.pieces else 1))
        at.first_row = first_input_row(job, rp, line)
        rows = last_input_row(job, rp, last) - at.first_row + 1
        memset(slots, 0, rows * cp.copied * sizeof(void *))
        at.slots, at.room = slots, <char *> (slots + rows * cp.copied)


cdef inline void pass_piece(Placing *at, int64_t count, bint along) noexcept nogil:
    """After a piece of `count` pixels was placed: go on to the next piece, or to the next line."""
    at.p0 += count
    at.piece += 1
    at.along = along
    if at.piece == at.cp.pieces:
        at.piece = at.p0 = 0
        at.along = False
        next_line(at.rp, &at.q, &at.n)


cdef inline const char *input_run(Placing *at, const Spot *spot, int64_t r, int64_t edge) noexcept nogil:
    """The address of what a run reads of input row r: in the input, or in copy `edge` of those for this line (-1: none)."""
    cdef const Job *job = at.job
    cdef int64_t size = job.table.itemsize, c0 = spot.p0 * at.cp.in_step + at.cp.least, pixels
    cdef const char *row = job.x.at + at.n * job.x.image + r * job.x.row
    cdef const char *copy = NULL
    cdef const char **slot = NULL
    if edge < 0:
        return row + c0 * job.x.pixel + at.k_first * size
    if at.slots != NULL:
        slot = at.slots + (at.n * job.h + r - at.first_row) * at.cp.copied + edge
        copy = slot[0]
    if copy == NULL:
        pixels = span_pixels(at.cp, spot.count)
        copy = copy_piece(job, row, c0, pixels, at.k_first, at.copy_bytes, at.copy_step, at.room)
        at.room += pixels * at.copy_step
        if slot != NULL:
            slot[0] = copy
    return copy + (at.k0 * size if job.fused > 1 else 0)


cdef inline void place_run(Placing *at, const Spot *spot, const char **bases, int64_t edge) noexcept nogil:
    """Write where a run of the current line begins at each of the spot's taps to every other element of `bases`."""
    cdef const AxisPhase *cp = at.cp
    cdef int64_t t = spot.tap, last = spot.tap + spot.taps, a = t // cp.taps if t else 0, b = t - a * cp.taps, r
    cdef const char *base
    cdef bint inside
    while t < last:
        r = at.q * at.rp.in_step + at.rp.offsets[a]
        inside = 0 <= r < at.job.h
        if inside:
            base = input_run(at, spot, r, edge)
        elif spot.thinned:
            base = NULL
        else:
            base = at.job.zeros
        while b < cp.taps and t < last:
            bases[2 * (t - spot.tap)] = base + (cp.offsets[b] - cp.least) * spot.pixel if inside else base
            b += 1
            t += 1
        b = 0
        a += 1


cdef inline void reached_taps(const Placing *at, Spot *spot, int runs) noexcept nogil:
    """The taps of the section for which the row of at least one run is inside."""
    cdef int64_t low = at.rp.taps, high = 0, a, r, q
    cdef int run
    for run in range(runs):
        q = at.q + run if at.q + run < at.rp.count else 0
        for a in range(at.rp.taps):
            r = q * at.rp.in_step + at.rp.offsets[a]
            if 0 <= r < at.job.h:
                low, high = smaller(low, a), (high if high > a + 1 else a + 1)
    low, high = low * at.cp.taps, high * at.cp.taps
    low = low if low > at.tap0 else at.tap0
    high = smaller(high, at.tap0 + at.taps)
    spot.tap, spot.taps = low, (high - low if high > low else 0)


cdef inline void place_tile(Placing *at, Spot *spot, const char **bases) noexcept nogil:
    """A tile of one piece, or of two short lines: two runs, one of each line, or the two halves of one."""
    cdef const Job *job = at.job
    cdef const AxisPhase *cp = at.cp
    cdef int64_t count = cp.count, edge = 0, half = 0, t
    cdef int run, runs = 1
    cdef bint at_edge = cp.left > 0, copied
    if cp.pieces:
        count = at.shortest + (at.piece < at.longer)
        at_edge = at.piece < cp.left or at.piece >= cp.pieces - cp.right
        edge = at.piece if at.piece < cp.left or job.spread else cp.left + at.piece - (cp.pieces - cp.right)
    elif at.n + 1 < job.images or at.q + 1 < at.rp.count:  # unless this is the last line
        runs = 2
    copied = job.spread or (at_edge and not cp.thins)
    edge = edge if copied else -1
    spot.p0, spot.count, spot.mr, spot.two_lines, spot.thinned = at.p0, count, runs * count, runs == 2, at_edge and cp.thins
    spot.clipped = is_clipped(job, at.p0, count)
    spot.pixel = at.copy_step if copied else job.x.pixel
    spot.step, spot.out_step = cp.in_step * spot.pixel, cp.step * job.out_pixel
    reached_taps(at, spot, runs)
    for run in range(runs):
        spot.out[run] = (job.out.at + at.n * job.out.image + (at.rp.start + at.q * at.rp.step) * job.out.row
                         + (cp.start + at.p0 * cp.step) * job.out_pixel - job.lead * job.out.pixel + at.first_channel)
        place_run(at, spot, bases + run, edge)
        if cp.pieces == 0:
            next_line(at.rp, &at.q, &at.n)
    if runs == 1:
        half = (count + 1) // 2
        spot.out[1] = <char *> spot.out[0] + half * spot.out_step
        for t in range(0 if spot.thinned else spot.taps):
            bases[2 * t + 1] = bases[2 * t] + half * spot.step
    if cp.pieces:
        pass_piece(at, count, not copied and not at_edge)


cdef void place_tiles(const Job *job, const Block *block, int64_t group, const Span *part, Spot *spots,
                      const char **bases) noexcept nogil:
    """Write where the tiles of a block find their inputs at a section's taps, [tile][taps][2], and their outputs.

    Lines and pieces are counted (a division for each tile was a sixth of the time of a first layer), and a tile whose left
    neighbour touches no edge gets that tile's addresses plus a step. Before, this loop and that of the panels took 20% of the
    time of a 3x3 first layer with stride 2; now they take 12% (AVX2; 11 and 5% with AVX-512).
    """
    cdef int64_t tile, count, room = 2 * part.taps
    cdef char *steps = <char *> (bases + room * block.tiles)
    cdef char *slots = steps + block.tiles * schedule_bytes(job, &job.column[block.column_phase], part.taps)
    cdef Placing at
    begin_placing(&at, job, block, group, part, <const char **> slots)
    for tile in range(block.tiles):
        if at.along and at.piece < at.cp.pieces - at.cp.right:
            count = at.shortest + (at.piece < at.longer)
            move_along(job, spots + tile - 1, bases - room, room, count)
            pass_piece(&at, count, True)
        else:
            place_tile(&at, spots + tile, bases)
            if spots[tile].thinned:
                steps = schedule_thinned(job, at.cp, part, spots + tile, bases, steps)
        bases += room


cdef inline void fetch_output(const Spot *spot, int64_t offset) noexcept nogil:
    """Fetch 128 bytes of each of a tile's outputs."""
    cdef int64_t half = (spot.mr + 1) // 2, i
    cdef const char *out
    for i in range(spot.mr):
        out = <const char *> spot.out[i >= half] + (i - half if i >= half else i) * spot.out_step + offset
        prefetch(out)
        prefetch(out + 64)


cdef inline int64_t join_next(const Job *job, Spot *spot, const char **bases, int64_t room) noexcept nogil:
    """Make a tile and the next one a single tile of one vector, if they are runs of the same taps; how many tiles it is now.

    Six sums in one register each wait for each other; twelve do not. Each tile gives its one run, in place of the two halves of
    it: a panel of one vector is the last one, so nobody reads the halves again.
    """
    cdef int64_t more = spot.mr - spot[1].mr, t
    if spot.mr + spot[1].mr > job.table.tall_mr or not 0 <= more <= 1 or spot.two_lines or spot[1].two_lines:
        return 1
    if spot.thinned or spot[1].thinned or spot.clipped or spot[1].clipped:
        return 1
    if spot.tap != spot[1].tap or spot.taps != spot[1].taps or spot.step != spot[1].step:
        return 1
    for t in range(spot.taps):
        bases[2 * t + 1] = bases[room + 2 * t]
    spot.out[1] = spot[1].out[0]
    spot.mr += spot[1].mr
    return 2


cdef inline void run_spot(const Job *job, const TileKernel *kernels, Tile *call, const Spot *spot, int64_t nr,
                          const Span *part, int64_t channel, char *sums, char *buffer) noexcept nogil:
    """Compute a tile of a panel that begins with `channel`."""
    cdef int64_t product = spot.tap * job.kc + part.k0
    if spot.clipped:
        run_clipped(job, kernels, call, spot, nr, part.cuts, product, channel, sums, buffer)
    elif spot.thinned:
        run_thinned(job, kernels, call, spot, nr, part.cuts, sums, buffer)
    else:
        run_tile(job.table, kernels[spot.mr], call, part.cuts, product, spot.mr, nr, True, sums)


cdef inline const char *panel_source(const Job *job, int64_t group, const Span *part, int64_t first) noexcept nogil:
    """The place, in an unpacked kernel, of a section of the panel that begins with channel `first`."""
    cdef int64_t product = part.tap0 * job.kc + part.k0
    return job.weights + ((product * job.groups + group) * job.width + first) * job.table.itemsize


cdef inline const char *take_panel(const Job *job, int64_t group, const Span *part, int64_t first, int64_t lanes,
                                   int64_t row_bytes) noexcept nogil:
    """Copy a section of a panel, from channel `first` on, of an unpacked kernel; return where the whole panel would begin."""
    cdef int64_t size = job.table.itemsize
    cdef const char *source = panel_source(job, group, part, first)
    job.table.take_panel(source, job.groups * job.width, part.taps * part.kc, lanes, part.panel, row_bytes // size)
    return part.panel - part.tap0 * job.kc * row_bytes


@cython.cdivision(True)
cdef inline const char *unread(const Job *job, const AxisPhase *rp, const AxisPhase *cp, int64_t tile,
                               int64_t share) noexcept nogil:
    """Where a tile begins to read what no line before its own reads: `share` bytes for each tile. Perhaps outside x."""
    cdef int64_t r = last_input_row(job, rp, first_line(cp, tile)) - rp.in_step + 1
    return job.x.at + r // job.h * job.x.image + r % job.h * job.x.row + (tile % cp.pieces * share if cp.pieces else 0)


cdef struct Ahead:             # what the tiles of a panel fetch meanwhile
    const char *at             # where the first begins; so do all others but these:
    int64_t slices, step, most  # so many begin a step after the one before, but none more than `most` after the first


@cython.cdivision(True)
cdef void fetch_next(Ahead *ahead, Tile *call, const Job *job, const Block *block, const Span *part, const char *next_panel,
                     int64_t row_bytes, const char *end, bint last) noexcept nogil:
    """The tiles of a panel fetch the next one, those of the last panel what the next block reads first.

    Nothing is fetched from beyond the weights, which end at `end`: see `ahead` in isa/table.h.
    """
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t rows = part.taps * part.kc, share
    if job.fetch and not last:  # each k row of a panel is nr vectors, each tile fetches half of that
        ahead.at, ahead.slices = next_panel, smaller(4, block.tiles)
        ahead.step, ahead.most = rows * row_bytes // ahead.slices, max(end - next_panel - 32 * rows, 0)
    elif last and job.far and job.h and block.first_tile + block.tiles < block.all_tiles:  # 128 bytes or less for each step
        share = rp.in_step * job.x.row * (1 if cp.pieces else 2) // (cp.pieces or 1)
        ahead.at = unread(job, rp, cp, block.first_tile + block.tiles, share)
        ahead.slices, ahead.step, ahead.most = block.tiles, share, block.tiles * share
        call.ahead_step = 4 * share // (rows + 1)


@cython.cdivision(True)
cdef void run_strided(const Job *job, const Block *block, int64_t group, int64_t span, const Span *part,
                      char *scratch) noexcept nogil:
    """Compute one section of the sum: place the tiles, then LOOP panels, LOOP tiles."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, panel_lanes = job.table.nr * job.table.lanes, all_taps = rp.taps * cp.taps
    cdef int64_t before = rp.before * job.kernel_w + rp.taps * cp.before, panel, tile, channels, nr
    cdef int64_t row_bytes, halves, joins, many, room = 2 * part.taps
    cdef const char *weights = job.weights + (before * job.groups + group * all_taps) * job.kc * job.padded * size
    cdef const char *end = weights + all_taps * job.kc * job.padded * size
    cdef Spot *spots = <Spot *> (scratch + tile_bytes(job, cp))
    cdef const char **bases = <const char **> (spots + block.tiles)
    cdef const char *at, *at_next
    cdef const TileKernel *kernels
    cdef char *sums = part.low
    cdef int64_t first = span * job.panels // job.spans if span else 0
    cdef int64_t last = ((span + 1) * job.panels // job.spans if job.spans > 1 else job.panels) - 1
    cdef Ahead ahead
    cdef Tile call
    place_tiles(job, block, group, part, spots, bases)
    call.out_step, call.streams = cp.step * job.out_pixel, job.streams and part.low == NULL and <uintptr_t> job.out.at % LINE == 0
    call.kc, call.accumulate, call.finish, call.by_runs, call.total = part.kc, part.accumulate, part.finish, True, NULL
    set_pieces(&call, part.cuts)
    # no faster: prefetching the next tile's outputs (0 to -2%), panels inside tiles where weights stay in L1 (-2 to 0%)
    for panel in range(first, last + 1):
        channels = smaller(panel_lanes, job.width - panel * panel_lanes)
        halves = ceil_div(2 * channels, job.table.lanes)
        nr, kernels = (halves + 1) // 2, job.table.strided[halves]
        row_bytes = nr * job.table.lanes * size
        at = weights + panel * panel_lanes * all_taps * job.kc * size + part.k0 * row_bytes
        if part.panel != NULL:
            at = take_panel(job, group, part, panel * panel_lanes, channels, row_bytes)
        call.channels, call.out_offset = channels, panel_offset(job, panel * panel_lanes)
        call.end = end_at(&job.end, job.residual, job.out.at, (group * job.padded + panel * panel_lanes) * size)
        ahead.at, ahead.slices, ahead.step, ahead.most, call.ahead_step = at, 0, 0, 0, 128
        if part.panel != NULL:  # the next panel lies beside this one; a tile fetches every fourth row
            ahead.slices, ahead.step = smaller(4, block.tiles), job.groups * job.width * size
            ahead.at = panel_source(job, group, part, (panel + 1) * panel_lanes)
            ahead.most = call.ahead_step = 4 * ahead.step
        elif job.fetch or job.far:
            at_next = at + all_taps * job.kc * panel_lanes * size + part.tap0 * job.kc * row_bytes
            fetch_next(&ahead, &call, job, block, part, at_next, row_bytes, end, panel == last)
        tile, joins = 0, nr == 1 and job.table.tall_mr > job.mr and part.low == NULL
        while tile < block.tiles:
            many = join_next(job, &spots[tile], bases + room * tile, room) if joins and tile + 1 < block.tiles else 1
            call.panel = at + spots[tile].tap * job.kc * row_bytes
            call.taps_at, call.out = <const void **> (bases + room * tile), spots[tile].out
            call.step, call.taps = spots[tile].step, spots[tile].taps
            call.ahead = ahead.at + (smaller(tile * ahead.step, ahead.most) if tile < ahead.slices else 0)
            if job.far and not call.streams:
                fetch_output(&spots[tile], call.out_offset * size)
            run_spot(job, kernels, &call, &spots[tile], nr, part, panel * panel_lanes, sums, scratch)
            sums += part.tile_step
            tile += many
    stream_fence(call.streams)
