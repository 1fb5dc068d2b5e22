# Strided tiles: runs of neighbouring pixels, addressed from a base and a step (isa/microkernel.h).
#
# A line is one row of a phase pair's outputs. A line of more than mr/2 pixels is cut into tiles of nearly equal
# length; of shorter lines, two make a tile, one run each. The neighbouring pixels of a run read inputs in_step pixels
# apart, so a tap needs one address a run.
#
# Edges: taps above and below the image are left out (a tile of one line has none of them; of two lines, the outer
# one's are zeros). Where the columns reach outside, the piece of the input row is copied between its zeros; the
# block's lines share the copies. Where that multiplies more zeros than a few more calls cost, the tile is cut instead:
# tap by tap, a smaller tile of the pixels that the tap reads inside (run_cut). On maps of 4x4 to 14x14 these zeros are
# 31 to 9% of the products.
#
# Powers of two: where the pixels of a tile lie 4096 bytes apart, they meet in one set of the L1 cache and drive each
# other out; all pieces are then copied, with a line more for each pixel (`spread`).
#
# Few channels: in NHWC the taps of one kernel row read neighbouring pixels, so with dilation 1 they are one run of
# kw*cin numbers, and the weights [kh*kw][cin] are [kh][kw*cin] as they lie. The plan then fuses each kernel row into
# one tap (`fused` = kw): a 7x7 kernel on 3 channels is 7 taps of 21 numbers instead of 49 of 3.
#
# Merged phases (plan/merged_phases.py): the outputs of the column phases lie side by side, so phases with the same taps are one
# phase of stride*cout channels. With padding, its first and last pixel reach over the line's ends; the tiles that hold
# them are computed in a buffer, and what lies inside the line is copied.


cdef struct Spot:
    void *out[2]
    int64_t step               # bytes between neighbouring pixels' inputs
    int64_t tap, taps          # the taps that reach the image
    int64_t mr
    int64_t p0, count          # the first pixel in its line, and how many of each line
    int64_t pixel              # bytes between neighbouring inputs
    int64_t out_step           # bytes between neighbouring outputs
    bint cut                   # some of its pixels leave out some taps
    bint two_lines
    bint clipped               # merged phases: its first or its last pixel reaches over the line's ends


cdef inline int64_t tile_start(const AxisPhase *cp, int64_t piece) noexcept nogil:
    """The first pixel of a line's piece."""
    return cut(piece, cp.pieces, cp.count)


cdef void cut_line(const Job *job, AxisPhase *cp) noexcept nogil:
    """Decide how the lines of a column phase become tiles, which pieces reach outside the image, and what is copied."""
    cdef int64_t j
    cp.pieces = ceil_div(cp.count, job.mr) if cp.count > (job.mr + 1) // 2 else 0
    cp.left = cp.right = 0
    if cp.pieces == 0:
        cp.left = 0 if cp.least >= 0 and (cp.count - 1) * cp.in_step + cp.least + cp.reach <= job.w else 1
    else:
        while cp.left < cp.pieces and tile_start(cp, cp.left) * cp.in_step + cp.least < 0:
            cp.left += 1
        while cp.left + cp.right < cp.pieces:
            j = cp.pieces - cp.right
            if (tile_start(cp, j) - 1) * cp.in_step + cp.least + cp.reach <= job.w:
                break
            cp.right += 1
    cp.cut = job.strided and pays_to_cut(job, cp)
    cp.copied = 0 if cp.cut else cp.left + cp.right
    if job.spread:
        cp.copied = max(cp.pieces, 1)


@cython.cdivision(True)
cdef inline int64_t column_offset(const Job *job, const AxisPhase *cp, int64_t b) noexcept nogil:
    """Of column tap b, fused or not."""
    return cp.offsets[b // job.fused] + b % job.fused


@cython.cdivision(True)
cdef inline void outside(const Job *job, const AxisPhase *cp, int64_t p0, int64_t count, int64_t offset, int64_t *low,
                         int64_t *high) noexcept nogil:
    """How many of a run's first and last pixels a tap reads outside the image."""
    cdef int64_t first = p0 * cp.in_step + offset, last = first + (count - 1) * cp.in_step - job.w
    low[0] = smaller(ceil_div(-first, cp.in_step), count) if first < 0 else 0
    high[0] = smaller(last // cp.in_step + 1, count - low[0]) if last >= 0 else 0


cdef inline int64_t tile_work(const Job *job, int64_t pixels) noexcept nogil:
    """What a step of the sum costs a tile, in multiply-adds of vectors: fewer than eight sums wait for each other."""
    return max(pixels * job.table.nr, 8) if pixels else 0


cdef bint pays_to_cut(const Job *job, const AxisPhase *cp) noexcept nogil:
    """Whether the multiplications by zeros that the edge tiles of a line save cost more than the calls they add."""
    cdef int64_t piece, p0, count, b, low, high, last_low, last_high, saved = 0, calls = 0, lines = 1 if cp.pieces else 2
    if job.call_work < 0:
        return True
    if job.clips or cp.cuts.channels < job.kc:
        return False
    for piece in range(max(cp.pieces, 1)):
        if cp.left <= piece < cp.pieces - cp.right:
            continue
        p0 = tile_start(cp, piece) if cp.pieces else 0
        count = tile_start(cp, piece + 1) - p0 if cp.pieces else cp.count
        last_low, last_high = -1, -1
        for b in range(cp.taps * job.fused):
            outside(job, cp, p0, count, column_offset(job, cp, b), &low, &high)
            saved += tile_work(job, count * lines) - tile_work(job, (count - low - high) * lines)
            calls += low != last_low or high != last_high
            last_low, last_high = low, high
    return saved * (job.kc // job.fused) > calls * job.call_work


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


cdef inline void move_along(Spot *spot, const char **bases, int64_t room, int64_t count) noexcept nogil:
    """The tile after spot[0] in its line, into spot[1]: the same taps of the same rows, further to the right.

    bases are spot[0]'s addresses; spot[1]'s lie `room` behind them.
    """
    cdef int64_t half = (count + 1) // 2, out_step = spot.out_step, t
    cdef int64_t shift = spot.count * spot.step
    # field by field: vectors, in which a compiler copies a whole struct, wait for the fields just stored
    spot[1].step, spot[1].out_step, spot[1].pixel = spot.step, out_step, spot.pixel
    spot[1].tap, spot[1].taps = spot.tap, spot.taps
    spot[1].cut = spot[1].two_lines = False
    spot[1].p0, spot[1].count, spot[1].mr = spot.p0 + spot.count, count, count
    spot[1].out[0] = <char *> spot.out[0] + spot.count * out_step
    spot[1].out[1] = <char *> spot[1].out[0] + half * out_step
    half *= spot.step
    for t in range(spot.taps):
        bases[room + 2 * t] = bases[2 * t] + shift
        bases[room + 2 * t + 1] = bases[room + 2 * t] + half


cdef inline bint is_clipped(const Job *job, int64_t p0, int64_t count) noexcept nogil:
    """Whether a line's pixels from p0 on are computed in the buffer."""
    return job.apart or (job.clips and (p0 == 0 or (p0 + count) * job.phases - job.lead > job.line))


@cython.cdivision(True)
cdef inline int64_t panel_offset(const Job *job, int64_t first) noexcept nogil:
    """Elements from a pixel of the loops to its channel `first` in the output."""
    if job.phases == 1:
        return first
    return first // job.phase_width * (job.out.pixel // job.table.itemsize) + first % job.phase_width


cdef inline int64_t first_line(const AxisPhase *cp, int64_t tile) noexcept nogil:
    return tile // cp.pieces if cp.pieces else 2 * tile


cdef int64_t copied_pixel(const Job *job, int64_t kc) noexcept nogil:
    """Bytes of a pixel in a copied run; a line more where powers of two would meet in one set of the cache."""
    cdef int64_t size = job.table.itemsize
    if job.fused > 1:
        return job.cin * size
    return kc * size + (64 if kc * size % 1024 == 0 else 0)


cdef inline int64_t tile_bytes(const Job *job, const AxisPhase *cp) noexcept nogil:
    """Bytes of the buffer for a clipped tile, or for a piece and those before of a tile that is cut."""
    return (2 if cp.cut else 1 if job.phases > 1 else 0) * (job.mr * job.table.nr * job.table.lanes * job.table.itemsize + 32)


@cython.cdivision(True)
cdef void move_channels(const Job *job, char *pixel, int64_t first, int64_t last, char *to, bint load) noexcept nogil:
    """Channels of one of the loops' pixels between the output and a row of the buffer: from there with `load`, or back."""
    cdef int64_t size = job.table.itemsize, count = last - first
    cdef char *at
    while first < last:
        at = pixel + panel_offset(job, first) * size
        if job.apart:
            count = smaller(job.phase_width - first % job.phase_width, last - first)
        if load:
            memcpy(to, at, count * size)
        else:
            memcpy(at, to, count * size)
        first += count
        to += count * size


cdef void run_clipped(const Job *job, const TileKernel *kernels, const Tile *tile, const Spot *spot, int64_t nr, const Cuts *cuts,
                      int64_t product, int64_t channel, char *low_sums, char *buffer) noexcept nogil:
    """A tile of a panel, from `channel` on, through the buffer: only what lies inside its line is read and written."""
    cdef int64_t size = job.table.itemsize, half = (spot.mr + 1) // 2, row_bytes = nr * job.table.lanes * size
    cdef int64_t i, p, low, high
    cdef int turn
    cdef void *out[2]
    cdef Tile call = tile[0]
    out[0], out[1] = buffer, buffer + half * row_bytes
    call.out, call.out_step, call.out_offset = out, row_bytes, 0
    for turn in range(2):
        if turn == 0 and not tile.accumulate:
            continue
        if turn == 1:
            run_tile(job.table, kernels[spot.mr], &call, cuts, product, spot.mr, nr, True, low_sums)
        for i in range(spot.mr):
            p = spot.p0 + i - (half if spot.two_lines and i >= half else 0)
            low = max(channel, (job.lead - p * job.phases) * job.phase_width)
            high = smaller(channel + tile.lanes, (job.line + job.lead - p * job.phases) * job.phase_width)
            move_channels(job, pixel_out(tile, spot.mr, True, i), low, high, buffer + i * row_bytes + (low - channel) * size,
                          turn == 0)


@cython.cdivision(True)
cdef void run_cut(const Job *job, const AxisPhase *cp, const TileKernel *kernels, const Tile *tile, const Spot *spot, int64_t nr,
                  const Cuts *cuts, char *low_sums, char *buffer) noexcept nogil:
    """A tile of a panel, tap by tap: the pixels that a tap reads inside the image make a smaller tile.

    Between the calls of a piece the sums rest in one half of the buffer, those of the last piece in the output; the other half
    is the total of the pieces before. Leaving out what would be multiplied by zeros changes no bit.
    """
    cdef int64_t size = job.table.itemsize, row_bytes = nr * job.table.lanes * size, middle = (spot.mr + 1) // 2
    cdef int64_t fused = job.fused, subs = cp.taps * fused, taps = spot.taps * fused, kc = tile.kc // fused
    cdef int64_t s = 0, k = 0, left = 0, products = taps * kc, g, t, b, i, low, high, this_low, this_high, shift, n, half
    cdef int lines, these
    cdef bint begun = False, summed = False, added = False, last = False, whole, ends, in_place
    cdef const char *rows[16]
    cdef const char *const *bases = <const char *const *> tile.rows
    cdef char *total[2]
    cdef char *piece[2]
    cdef char *out[2]
    cdef Tile call = tile[0]
    if cuts != NULL:
        buffer += 64 - <uintptr_t> buffer % 64
    total[0], total[1] = buffer, buffer + middle * row_bytes
    while s < taps:
        if left == 0:          # a piece begins
            left = products if cuts == NULL else piece_left(cuts, (spot.tap * fused + s) * kc + k)
            begun, added, last = False, False, left >= products and low_sums == NULL
            piece[0], piece[1] = <char *> tile.out[0], <char *> tile.out[1]
            call.out_step, call.out_offset, call.lanes = tile.out_step, tile.out_offset, tile.lanes
            if not last:
                piece[0] = buffer + (spot.mr * row_bytes if total[0] == buffer else 0)
                piece[1] = piece[0] + middle * row_bytes
                call.out_step, call.out_offset, call.lanes = row_bytes, 0, nr * job.table.lanes
        low = high = lines = g = n = half = 0
        while s + g < taps and g < 8 and (g == 0 or (g + 1) * kc <= left):  # taps that meet the same pixels are one call
            t = (s + g) // fused
            b = (spot.tap * fused + s + g) % subs
            outside(job, cp, spot.p0, spot.count, column_offset(job, cp, b), &this_low, &this_high)
            these = (1 if bases[2 * t] else 0) + (2 if spot.two_lines and bases[2 * t + 1] else 0)
            if g == 0:
                low, high, lines = this_low, this_high, these
                n = spot.count - low - high
                half = (n + 1) // 2
            elif low != this_low or high != this_high or lines != these:
                break
            shift = (s + g) % fused * spot.pixel + low * spot.step + k * size
            rows[2 * g] = bases[2 * t + (1 if lines == 2 else 0)] + shift
            rows[2 * g + 1] = bases[2 * t + 1] + shift if lines == 3 else rows[2 * g] + half * spot.step
            g += 1
        call.rows, call.taps, call.kc = <const void **> rows, g, smaller(kc - k, left)
        left -= g * call.kc
        products -= g * call.kc
        ends = left == 0 or products == 0
        whole = n == spot.count and lines == (3 if spot.two_lines else 1)
        if n > 0 and lines:
            in_place = summed and ends and not begun and not whole
            if in_place:       # a piece by itself
                piece[0], piece[1] = total[0], total[1]
                call.out_step, call.out_offset, call.lanes = row_bytes, 0, nr * job.table.lanes
            elif not begun and not whole:
                for i in range(spot.mr):
                    memset(piece[i >= middle] + (i - middle if i >= middle else i) * call.out_step + call.out_offset * size, 0,
                           call.lanes * size)
                begun = True
            added = summed and ends and (whole or in_place)
            out[0] = piece[1 if lines == 2 else 0] + low * call.out_step
            out[1] = piece[1] + low * call.out_step if lines == 3 else out[0] + half * call.out_step
            call.out, call.total = <void *const *> out, NULL
            if in_place:
                call.total = call.out
            elif added:
                call.total = <void *const *> total
            call.panel = <const char *> tile.panel + (s * kc + k) * row_bytes
            call.ahead = <const char *> tile.ahead + (s * kc + k) * 32
            call.accumulate, call.finish = begun, last and ends and whole and tile.finish
            kernels[2 * n if lines == 3 else n](&call)
            if call.finish:
                return
            begun = not in_place
        if ends and begun and not last:
            if summed and not added:
                call.out, call.total, call.taps, call.accumulate = <void *const *> piece, <void *const *> total, 0, True
                kernels[spot.mr](&call)
            total[0], total[1], summed = piece[0], piece[1], True
        k += call.kc
        if k == kc:
            k = 0
            s += g
    call = tile[0]
    call.taps = 0
    if low_sums != NULL:
        if not summed:
            memset(total[0], 0, spot.mr * row_bytes)
        end_section(job.table, kernels[spot.mr], &call, total[0], low_sums, spot.mr, nr, True)
        return
    call.accumulate = last and begun
    if summed:
        call.total = <void *const *> total
    kernels[spot.mr](&call)


cdef int64_t segment_scratch(const Job *job, const Block *block, int64_t taps) noexcept nogil:
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
        for c in range(left, right):
            memcpy(into + c * pixel, row + (first + c) * job.x.pixel + k0 * size, bytes)
    memset(into + right * pixel, 0, (count - right) * pixel)
    return into


@cython.cdivision(True)
cdef void run_segments(const Job *job, const Block *block, int64_t group, int64_t span, const Span *part,
                       char *scratch) noexcept nogil:
    """One section of the sum: where the tiles are, then LOOP panels, LOOP tiles."""
    cdef int64_t tap0 = part.tap0, taps = part.taps, k0 = part.k0, kc = part.kc
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, lines = job.images * rp.count
    cdef int64_t all_taps = rp.taps * cp.taps, before = rp.before * job.kernel_w + rp.taps * cp.before
    cdef int64_t wide = job.table.nr * job.table.lanes, pixel_bytes = job.x.pixel
    cdef int64_t copy_step = copied_pixel(job, kc), copy_bytes = (job.cin if job.fused > 1 else kc) * size
    cdef int64_t k_first = group * job.group_step + k0
    cdef char *buffer = scratch
    cdef Spot *spots = <Spot *> (scratch + tile_bytes(job, cp))
    cdef const char **bases = <const char **> (spots + block.tiles)
    cdef const char **slots = bases + 2 * taps * block.tiles
    cdef char *edge
    cdef Spot *spot
    cdef const char *at
    cdef const char *next_panel
    cdef int64_t slice_bytes, tap_bytes
    cdef int64_t tile, line, piece, p0, count, a, b, t, r, q, n, low, high, c0, half, edge_index, slot, panel
    cdef int64_t first_row = 0, rows = 0, p1 = 0, q1, shortest = 0, longer = 0
    cdef int64_t lanes, nr, pixel
    cdef int run, runs
    cdef bint inside, at_edge, copied, along = False, shared = cp.copied > 0 and job.h > 0 and rp.taps > 1
    cdef const TileKernel *kernels
    cdef Tile call
    cdef char *sums = part.low
    if shared:  # kernels of one row read no input row twice
        line = smaller(lines - 1, first_line(cp, block.first_tile + block.tiles - 1) + (0 if cp.pieces else 1))
        first_row = first_input_row(job, rp, first_line(cp, block.first_tile))
        rows = last_input_row(job, rp, line) - first_row + 1
        memset(slots, 0, rows * cp.copied * sizeof(void *))
    edge = <char *> (slots + rows * cp.copied)

    call.out_step = cp.step * job.out_pixel
    # Lines and pieces are counted up (a division for each tile was a sixth of the time of a first layer), and a tile whose
    # neighbour to the left touches no edge is that one moved along: this loop and the next took 20% of the time of a 3x3 first
    # layer with stride 2 before, take 12% (AVX2; 11 and 5% with AVX-512).
    line = first_line(cp, block.first_tile)
    n, q = line // rp.count, line % rp.count
    piece = block.first_tile % cp.pieces if cp.pieces else 0
    if cp.pieces:
        p1, shortest, longer = tile_start(cp, piece), cp.count // cp.pieces, cp.count % cp.pieces
    for tile in range(block.tiles):
        spot = &spots[tile]
        if cp.pieces:
            p0, count = p1, shortest + (piece < longer)
            p1 = p0 + count
            if along and piece < cp.pieces - cp.right:
                move_along(spot - 1, bases - 2 * taps, 2 * taps, count)
                spot.clipped = is_clipped(job, spot.p0, count)
                bases += 2 * taps
                piece += 1
                if piece == cp.pieces:
                    piece = p1 = 0
                    along = False
                    next_line(rp, &q, &n)
                continue
            runs, half = 1, (count + 1) // 2
            at_edge = piece < cp.left or piece >= cp.pieces - cp.right
            edge_index = piece if piece < cp.left or job.spread else cp.left + piece - (cp.pieces - cp.right)
            spot.mr = count
        else:
            p0, count, half, edge_index, at_edge = 0, cp.count, 0, 0, cp.left > 0
            runs = 2 if line + 1 < lines else 1
            spot.mr = runs * count
            if runs == 1:  # the last line, alone
                half = (count + 1) // 2
        copied = job.spread or (at_edge and not cp.cut)
        spot.p0, spot.count, spot.two_lines, spot.cut = p0, count, runs == 2, at_edge and cp.cut
        spot.clipped = is_clipped(job, p0, count)
        pixel = copy_step if copied else pixel_bytes
        spot.pixel, spot.step, spot.out_step = pixel, cp.in_step * pixel, call.out_step
        c0 = p0 * cp.in_step + cp.least

        # the taps of which at least one run's row is inside
        low, high = rp.taps, 0
        for run in range(runs):
            q1 = q + run if q + run < rp.count else 0
            for a in range(rp.taps):
                r = q1 * rp.in_step + rp.offsets[a]
                if 0 <= r < job.h:
                    low, high = smaller(low, a), (high if high > a + 1 else a + 1)
        low, high = low * cp.taps, high * cp.taps
        low = low if low > tap0 else tap0
        high = smaller(high, tap0 + taps)
        spot.tap, spot.taps = low, (high - low if high > low else 0)

        for run in range(runs):
            spot.out[run] = (job.out.at + n * job.out.image + (rp.start + q * rp.step) * job.out.row
                             + (cp.start + p0 * cp.step) * job.out_pixel - job.lead * job.out.pixel + group * job.width * size)
            t = spot.tap
            a = t // cp.taps if t else 0
            b = t - a * cp.taps
            while t < spot.tap + spot.taps:
                r = q * rp.in_step + rp.offsets[a]
                inside = 0 <= r < job.h
                if not inside:
                    at = job.zeros
                    if spot.cut:
                        at = NULL
                elif copied:
                    slot = (n * job.h + r - first_row) * cp.copied + edge_index
                    at = slots[slot] if shared else NULL
                    if at == NULL:
                        at = copy_piece(job, job.x.at + n * job.x.image + r * job.x.row, c0, span_pixels(cp, count), k_first,
                                        copy_bytes, copy_step, edge)
                        edge += span_pixels(cp, count) * copy_step
                        if shared:
                            slots[slot] = at
                    at += k0 * size if job.fused > 1 else 0
                else:
                    at = job.x.at + n * job.x.image + r * job.x.row + c0 * pixel_bytes + k_first * size
                while b < cp.taps and t < spot.tap + spot.taps:
                    bases[2 * t - 2 * spot.tap + run] = at + (cp.offsets[b] - cp.least) * pixel if inside else at
                    b += 1
                    t += 1
                b = 0
                a += 1
            if cp.pieces == 0:
                line += 1
                next_line(rp, &q, &n)
        if cp.pieces:
            piece += 1
            along = not copied and not at_edge
            if piece == cp.pieces:
                piece = p1 = 0
                along = False
                next_line(rp, &q, &n)
        if runs == 1:
            spot.out[1] = <char *> spot.out[0] + half * spot.out_step
            for t in range(0 if spot.cut else spot.taps):
                bases[2 * t + 1] = bases[2 * t] + half * spot.step
        bases += 2 * taps
    bases -= 2 * taps * block.tiles

    call.kc, call.act, call.accumulate, call.finish = kc, job.act, part.accumulate, part.finish
    call.total = NULL
    cdef const char *weights = job.weights + (before * job.groups + group * all_taps) * job.kc * job.padded * size
    # prefetching the next tile's outputs, 12.8 MB or less: 0 to -2%
    # tiles outside, panels inside was no faster where all weights stay in L1: 1x1 on 24 and 64 channels, first layers -2 to 0%
    for panel in range(span * job.panels // job.spans, (span + 1) * job.panels // job.spans):
        lanes = smaller(wide, job.width - panel * wide)
        nr = ceil_div(lanes, job.table.lanes)
        kernels = job.table.strided[ceil_div(2 * lanes, job.table.lanes)]
        at = weights + (panel * wide * all_taps * job.kc + k0 * nr * job.table.lanes) * size
        call.lanes = lanes
        call.out_offset = panel_offset(job, panel * wide)
        call.bias = job.bias + (group * job.padded + panel * wide) * size if job.bias else NULL
        call.alpha = job.alpha + (group * job.padded + panel * wide) * size if job.alpha else NULL
        tap_bytes = job.kc * nr * job.table.lanes * size
        slice_bytes = taps * kc * nr * job.table.lanes * size // (4 if block.tiles > 4 else block.tiles)
        next_panel = at + (all_taps * job.kc * wide + tap0 * job.kc * nr * job.table.lanes) * size if job.fetch else at
        for tile in range(block.tiles):
            spot = &spots[tile]
            call.panel = at + spot.tap * tap_bytes
            call.rows = <const void **> (bases + 2 * taps * tile)
            call.out = spot.out
            call.step = spot.step
            call.taps = spot.taps
            # the tiles of this panel fetch the next one: each k row of a panel is nr vectors, each tile fetches half of that
            call.ahead = next_panel + (tile * slice_bytes if tile < 4 else 0)
            if spot.clipped:
                run_clipped(job, kernels, &call, spot, nr, part.cuts, spot.tap * job.kc + k0, panel * wide, sums, buffer)
            elif spot.cut:
                run_cut(job, cp, kernels, &call, spot, nr, part.cuts, sums, buffer)
            elif part.cuts != NULL:
                in_pieces(job.table, kernels[spot.mr], &call, part.cuts, spot.tap * job.kc + k0, spot.mr, nr, True, sums)
            else:
                kernels[spot.mr](&call)
            sums += part.tile_step
