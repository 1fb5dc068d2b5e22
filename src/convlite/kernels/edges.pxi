# Tiles at the edges of lines: which tiles touch one, what is copied there, and the two ways to compute tiles that reach over it.
#
# If the columns reach outside the image, the piece of the input row is copied between its zeros (strided.pxi). If this multiplies
# more zeros than a few more calls cost, the tile is thinned instead: for each tap, a smaller tile of the pixels that the tap
# reads inside the image (run_thinned). On maps of 4x4 to 14x14 these zeros are 31 to 9% of the products.
#
# Merged phases: the first and the last pixel of a line may reach over its ends, and there may be gaps between pixels of the
# output. Tiles with such pixels are computed in a buffer, and the part inside the line is copied (run_clipped).


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
    cp.thins = job.strided and pays_to_thin(job, cp)
    cp.copied = 0 if cp.thins else cp.left + cp.right
    if job.spread:
        cp.copied = max(cp.pieces, 1)


@cython.cdivision(True)
cdef inline int64_t steps_to(int64_t distance, int64_t step) noexcept nogil:
    """How many steps reach a distance above zero; most are of one, and a division takes as long as ten multiply-adds."""
    return distance if step == 1 else ceil_div(distance, step)


cdef inline void outside(const Job *job, const AxisPhase *cp, int64_t p0, int64_t count, int64_t offset, int64_t *low,
                         int64_t *high) noexcept nogil:
    """How many of a run's first and last pixels a tap reads outside the image."""
    cdef int64_t first = p0 * cp.in_step + offset, last = first + (count - 1) * cp.in_step - job.w
    low[0] = smaller(steps_to(-first, cp.in_step), count) if first < 0 else 0
    high[0] = smaller(steps_to(last + 1, cp.in_step), count - low[0]) if last >= 0 else 0


cdef inline int64_t tile_work(const Job *job, int64_t pixels) noexcept nogil:
    """The cost of a step of the sum in a tile, in multiply-adds of vectors: fewer than eight sums wait for each other."""
    return max(pixels * job.table.nr, 8) if pixels else 0


@cython.cdivision(True)
cdef bint pays_to_thin(const Job *job, const AxisPhase *cp) noexcept nogil:
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
            outside(job, cp, p0, count, cp.offsets[b // job.fused] + b % job.fused, &low, &high)
            saved += tile_work(job, count * lines) - tile_work(job, (count - low - high) * lines)
            calls += low != last_low or high != last_high
            last_low, last_high = low, high
    return saved * (job.kc // job.fused) > calls * job.call_work


@cython.cdivision(True)
cdef void move_channels(const Job *job, char *pixel, int64_t first, int64_t last, char *to, bint load) noexcept nogil:
    """Copy channels of one of the loops' pixels: from the output to a row of the buffer with `load`, else back."""
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
    """Compute a tile of a panel, from `channel` on, through the buffer: only what lies inside its line is read and written."""
    cdef int64_t size = job.table.itemsize, half = (spot.mr + 1) // 2, row_bytes = nr * job.table.lanes * size
    cdef int64_t i, p, low, high
    cdef int turn
    cdef void *out[2]
    cdef Tile call = tile[0]
    out[0], out[1] = buffer, buffer + half * row_bytes
    call.out, call.out_step, call.out_offset, call.streams = out, row_bytes, 0, False
    for turn in range(2):
        if turn == 0 and not tile.accumulate:
            continue
        if turn == 1:
            run_tile(job.table, kernels[spot.mr], &call, cuts, product, spot.mr, nr, True, low_sums)
        for i in range(spot.mr):
            p = spot.p0 + i - (half if spot.two_lines and i >= half else 0)
            low = max(channel, (job.lead - p * job.phases) * job.phase_width)
            high = smaller(channel + tile.channels, (job.line + job.lead - p * job.phases) * job.phase_width)
            move_channels(job, pixel_out(tile, spot.mr, True, i), low, high, buffer + i * row_bytes + (low - channel) * size,
                          turn == 0)


cdef struct ThinnedStep:           # a call: taps that read the same pixels inside the image. [taps][2] addresses follow
    int64_t at                 # the product with which it begins
    int64_t taps, kc
    int64_t low, pixels        # of each line: the first, and how many
    int lines                  # 1: the first line, 2: the second, 3: both
    bint full                  # all pixels of the tile
    bint begins, ends          # a piece
    bint last                  # if it begins the last piece, which is kept in the output

cdef struct ThinnedPlace:          # the next tap: of the spot's, of a kernel row's, of the taps fused; and its next channel
    int64_t tap, column, sub, k

cdef struct ThinnedTile:           # a tile of a panel, call by call
    const Job *job
    const TileKernel *kernels  # by pixels
    const Spot *spot
    int64_t nr, row_bytes, middle
    char *buffer               # of two tiles
    char *piece[2]             # where the sums of this piece are kept,
    char *total[2]             # and where those of the pieces before
    bint begun, summed, last   # whether this piece has sums, whether there are pieces before, and whether it is the last one
    Tile *call                 # as in run_section, it is the caller's, restored afterwards
    void *out[2]
    # of the call that would compute it if all of its taps were inside; no two are neighbours in Tile, too: see run_section
    const char *panel
    int64_t out_step
    const char *ahead
    int64_t out_offset
    bint finish
    void *const *to
    int64_t channels


cdef inline void store_whole(ThinnedTile *thin) noexcept nogil:
    """The next call stores outputs, or sums where they will be."""
    thin.call.out, thin.call.out_step = thin.to, thin.out_step
    thin.call.out_offset, thin.call.channels = thin.out_offset, thin.channels


cdef inline void store_rows(ThinnedTile *thin) noexcept nogil:
    """The next call stores whole vectors in the buffer."""
    thin.call.out_step, thin.call.out_offset, thin.call.channels = thin.row_bytes, 0, thin.nr * thin.job.table.lanes


cdef void begin_thinned_piece(ThinnedTile *thin, bint last) noexcept nogil:
    """The last piece is kept in the output; each other piece in the half of the buffer that does not hold the total."""
    thin.begun, thin.last = False, last
    if last:
        thin.piece[0], thin.piece[1] = <char *> thin.to[0], <char *> thin.to[1]
        store_whole(thin)
    else:
        thin.piece[0] = thin.buffer + (thin.spot.mr * thin.row_bytes if thin.total[0] == thin.buffer else 0)
        thin.piece[1] = thin.piece[0] + thin.middle * thin.row_bytes
        store_rows(thin)


@cython.cdivision(True)
cdef inline int64_t schedule_bytes(const Job *job, const AxisPhase *cp, int64_t taps) noexcept nogil:
    """The most bytes of a thinned tile's calls, of this many taps: a tap has a call for each piece that it is a part of."""
    cdef int64_t calls = ceil_div(job.kc // job.fused, cp.cuts.part) + 1
    return taps * job.fused * calls * (sizeof(ThinnedStep) + 2 * sizeof(void *)) if cp.thins else 0


cdef void next_thinned_taps(const Job *job, const AxisPhase *cp, const Spot *spot, const char *const *bases, ThinnedPlace *place,
                            int64_t kc, int64_t left, ThinnedStep *step) noexcept nogil:
    """The next taps that read the same pixels inside the image, within the products left."""
    cdef const char **taps_at = <const char **> (step + 1)
    cdef int64_t fused = job.fused, g = 0, t = place.tap, column = place.column, sub = place.sub, low, high, shift, half = 0
    cdef int64_t first_high = 0
    cdef int lines
    while t < spot.taps and g < 8 and (g == 0 or (g + 1) * kc <= left):
        outside(job, cp, spot.p0, spot.count, cp.offsets[column] + sub, &low, &high)
        lines = (1 if bases[2 * t] else 0) + (2 if spot.two_lines and bases[2 * t + 1] else 0)
        if g == 0:
            step.low, first_high, step.lines = low, high, lines
            step.pixels = spot.count - low - high
            half = (step.pixels + 1) // 2
        elif step.low != low or first_high != high or step.lines != lines:
            break
        shift = sub * spot.pixel + low * spot.step + place.k * job.table.itemsize
        taps_at[2 * g] = bases[2 * t + (1 if lines == 2 else 0)] + shift
        taps_at[2 * g + 1] = bases[2 * t + 1] + shift if lines == 3 else taps_at[2 * g] + half * spot.step
        g += 1
        sub += 1
        if sub == fused:
            sub = 0
            t += 1
            column = column + 1 if column + 1 < cp.taps else 0
    step.full = step.pixels == spot.count and step.lines == (3 if spot.two_lines else 1)
    step.taps, step.kc = g, smaller(kc - place.k, left)
    place.k += step.kc
    if place.k == kc:
        place.k, place.tap, place.column, place.sub = 0, t, column, sub


@cython.cdivision(True)
cdef char *schedule_thinned(const Job *job, const AxisPhase *cp, const Span *part, Spot *spot, const char *const *bases,
                            char *room) noexcept nogil:
    """Write a tile's calls to `room`, and return where they end: they are the same for every panel.

    Worked out anew for each panel they took 9% of the time of 3x3 on 256 channels of 33x33 with a dilation of 24 (Zen 1, one
    thread), where half of the taps of a tile's rows read nothing inside the image; 14% on a Zen 3.
    """
    cdef int64_t kc = part.kc // job.fused, n, products = spot.taps * part.kc, at = 0, left = products, rest = products
    cdef int64_t first = spot.tap * part.kc, length
    cdef bint begins = True
    cdef ThinnedPlace place
    cdef ThinnedStep *step
    cdef ThinnedStep *latest = NULL
    cdef ThinnedStep *opening = NULL
    place.tap = place.sub = place.k = 0
    place.column = spot.tap % cp.taps if spot.tap else 0
    spot.steps, spot.step_count = room, 0
    if part.cuts != NULL:
        left, rest = piece_left(part.cuts, first), part.cuts.period - (first % part.cuts.period if first else 0)
    length = left
    while at < products:
        step = <ThinnedStep *> room
        next_thinned_taps(job, cp, spot, bases, &place, kc, left, step)
        n = step.taps * step.kc
        if step.pixels > 0 and step.lines:
            step.at, step.begins, step.ends, step.last = at, begins, False, False
            latest = step
            if begins:
                opening = step
            begins = False
            room += sizeof(ThinnedStep) + 2 * step.taps * sizeof(void *)
            spot.step_count += 1
        at += n
        left -= n
        if (left == 0 or at == products) and latest != NULL:
            latest.ends = True
        if left == 0 and at < products:
            rest = rest - length if rest > length else part.cuts.period
            left = length = smaller(part.cuts.part, rest)
            begins = True
    if opening != NULL:
        opening.last = part.low == NULL
    return room


cdef void clear_thinned_piece(ThinnedTile *thin) noexcept nogil:
    """Set all sums of the tile to zero: the first taps do not reach all pixels."""
    cdef int64_t size = thin.job.table.itemsize, middle = thin.middle, i
    for i in range(thin.spot.mr):
        memset(thin.piece[i >= middle] + (i - middle if i >= middle else i) * thin.call.out_step + thin.call.out_offset * size, 0,
               thin.call.channels * size)
    thin.begun = True


cdef bint run_thinned_step(ThinnedTile *thin, const ThinnedStep *step) noexcept nogil:
    """Run a call. Returns whether the tile is finished."""
    cdef bint alone, added, both = step.lines == 3
    cdef Tile *call = thin.call
    if step.begins:
        begin_thinned_piece(thin, step.last)
    alone = thin.summed and step.ends and not thin.begun and not step.full
    added = thin.summed and step.ends and (step.full or alone)
    call.taps_at, call.taps, call.kc = <const void **> (step + 1), step.taps, step.kc
    call.piece_kc, call.piece_taps = step.kc, step.taps
    if alone:                  # the call is a whole piece
        thin.piece[0], thin.piece[1] = thin.total[0], thin.total[1]
        store_rows(thin)
    elif not thin.begun and not step.full:
        clear_thinned_piece(thin)
    thin.out[0] = thin.piece[1 if step.lines == 2 else 0] + step.low * call.out_step
    thin.out[1] = (thin.piece[1] + step.low * call.out_step if both
                   else <char *> thin.out[0] + (step.pixels + 1) // 2 * call.out_step)
    call.out, call.total = <void *const *> thin.out, NULL
    if alone:
        call.total = call.out
    elif added:
        call.total = <void *const *> thin.total
    call.panel = thin.panel + step.at * thin.row_bytes
    call.ahead = thin.ahead + step.at // 4 * call.ahead_step
    call.accumulate, call.finish = thin.begun, thin.last and step.ends and step.full and thin.finish
    thin.kernels[2 * step.pixels if both else step.pixels](call)
    if call.finish:
        return True
    thin.begun = not alone
    if step.ends and thin.begun and not thin.last:
        if thin.summed and not added:
            call.out, call.total = <void *const *> thin.piece, <void *const *> thin.total
            call.taps, call.piece_taps, call.accumulate, call.finish = 0, 0, True, False
            thin.kernels[thin.spot.mr](call)
        thin.total[0], thin.total[1], thin.summed = thin.piece[0], thin.piece[1], True
    return False


cdef void end_thinned_tile(ThinnedTile *thin, bint accumulate, char *low_sums) noexcept nogil:
    """Turn the sums into outputs, or end a section."""
    store_whole(thin)
    thin.call.taps, thin.call.piece_taps, thin.call.finish, thin.call.total = 0, 0, thin.finish, NULL
    if low_sums != NULL:
        if not thin.summed:
            memset(thin.total[0], 0, thin.spot.mr * thin.row_bytes)
        thin.call.accumulate = accumulate
        end_section(thin.job.table, thin.kernels[thin.spot.mr], thin.call, thin.total[0], low_sums, thin.spot.mr, thin.nr, True)
        return
    thin.call.accumulate = thin.last and thin.begun
    if thin.summed:
        thin.call.total = <void *const *> thin.total
    thin.kernels[thin.spot.mr](thin.call)


cdef void run_thinned(const Job *job, const TileKernel *kernels, Tile *tile, const Spot *spot, int64_t nr, const Cuts *cuts,
                      char *low_sums, char *buffer) noexcept nogil:
    """Compute a tile of a panel call by call: the pixels that a tap reads inside the image make a smaller tile.

    Between the calls of a piece its sums are kept in one half of the buffer, those of the last piece in the output; the other
    half holds the total of the pieces before. Leaving out products with zeros changes no bit.
    """
    cdef int64_t kc = tile.kc, piece_kc = tile.piece_kc, i
    cdef bint accumulate = tile.accumulate, cut = tile.cut, streams = tile.streams, done = False
    cdef const ThinnedStep *step = <const ThinnedStep *> spot.steps
    cdef ThinnedTile thin
    thin.job, thin.kernels, thin.call, thin.spot, thin.nr = job, kernels, tile, spot, nr
    thin.panel, thin.ahead = <const char *> tile.panel, <const char *> tile.ahead
    thin.to, thin.out_step, thin.out_offset, thin.channels = tile.out, tile.out_step, tile.out_offset, tile.channels
    thin.finish, thin.row_bytes, thin.middle = tile.finish, nr * job.table.lanes * job.table.itemsize, (spot.mr + 1) // 2
    thin.buffer = buffer + (64 - <uintptr_t> buffer % 64 if cuts != NULL else 0)
    thin.total[0], thin.total[1] = thin.buffer, thin.buffer + thin.middle * thin.row_bytes
    thin.begun = thin.summed = thin.last = tile.cut = tile.streams = False
    for i in range(spot.step_count):
        done = run_thinned_step(&thin, step)
        step = <const ThinnedStep *> (<const char *> (step + 1) + 2 * step.taps * sizeof(void *))
    if not done:
        end_thinned_tile(&thin, accumulate, low_sums)
    store_whole(&thin)
    tile.kc, tile.piece_kc, tile.cut, tile.streams = kc, piece_kc, cut, streams
    tile.accumulate, tile.finish, tile.total = accumulate, thin.finish, NULL
