# Gathered tiles: any `mr` pixels of a phase pair's flat list. rows[tap][pixel] holds a pointer for each, and padding points at a
# row of zeros. They serve maps that are too narrow for runs, depthwise operations that have no lines, and, tap by tap, weights
# that are not finite. Of a single pixel, four panels are read side by side (isa/one_pixel.h).


@cython.cdivision(True)
cdef inline int64_t tile_pixels(const Block *block, int64_t tile, int64_t pixels) noexcept nogil:
    """How many of a phase pair's pixels a tile has."""
    return pixels if block.all_tiles == 1 else pixels // block.all_tiles + (tile < pixels % block.all_tiles)


@cython.cdivision(True)
cdef void locate(const Job *job, const Block *block, int64_t group, int64_t tap0, int64_t taps, int64_t k0,
                 const char **rows, char **out) noexcept nogil:
    """Write down where the pixels of a block find their channels at taps tap0 .. tap0+taps, and where they are stored."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, pixels = job.images * rp.count * cp.count
    cdef int64_t tile, mr, i, t, a, b, flat, n, q, p, ih, iw, r, c
    cdef int64_t pixel_step = job.x.pixel, row_step = job.x.row
    cdef const char *here
    cdef bint inside
    flat = share_start(block.first_tile, block.all_tiles, pixels) if block.first_tile else 0
    p = q = n = 0
    if flat:
        p, q, n = flat % cp.count, flat // cp.count % rp.count, flat // cp.count // rp.count
    for tile in range(block.first_tile, block.first_tile + block.tiles):
        mr = tile_pixels(block, tile, pixels)
        for i in range(mr):
            ih = q * rp.in_step
            iw = p * cp.in_step
            out[i] = (job.out.at + n * job.out.image + (rp.start + q * rp.step) * job.out.row
                      + (cp.start + p * cp.step) * job.out_pixel + group * job.width * size)
            here = job.x.at + n * job.x.image + ih * row_step + iw * pixel_step + (group * job.group_step + k0) * size
            a = tap0 // cp.taps if cp.taps else 0
            b = tap0 - a * cp.taps
            if rp.low <= ih < rp.high and cp.low <= iw < cp.high:
                for t in range(taps):
                    rows[t * mr + i] = here + rp.offsets[a] * row_step + cp.offsets[b] * pixel_step
                    b += 1
                    if b == cp.taps:
                        b = 0
                        a += 1
            else:
                for t in range(taps):
                    r = ih + rp.offsets[a]
                    c = iw + cp.offsets[b]
                    inside = 0 <= r < job.h and 0 <= c < job.w
                    rows[t * mr + i] = here + rp.offsets[a] * row_step + cp.offsets[b] * pixel_step if inside else job.zeros
                    b += 1
                    if b == cp.taps:
                        b = 0
                        a += 1
            p += 1
            if p == cp.count:
                p = 0
                q += 1
                if q == rp.count:
                    q = 0
                    n += 1
        out += mr
        rows += mr * taps


@cython.cdivision(True)
cdef void depthwise_in_pieces(const Table *table, const DepthwiseTile *tile, const Cuts *cuts, int64_t at, int mr, char *sums,
                              char *low) noexcept nogil:
    """A depthwise tile, a call for each piece. sums: [mr][channels*multiplier]; low the same, or NULL."""
    cdef int64_t numbers = tile.channels * tile.multiplier, left, i
    cdef void *out[6]
    cdef DepthwiseTile call = tile[0]
    for i in range(mr):
        out[i] = sums + i * numbers * table.itemsize
    call.out, call.accumulate, call.finish, call.taps = out, False, False, 0
    left = tile.taps
    while True:  # LOOP pieces
        call.taps_at += call.taps * mr
        call.weights = <const char *> call.weights + call.taps * tile.channels * table.itemsize
        call.taps = smaller(piece_left(cuts, at), left)
        at += call.taps
        left -= call.taps
        if left == 0 and low == NULL:
            call.out, call.finish = tile.out, tile.finish
        table.depthwise(&call, mr)
        call.total = out
        if left == 0:
            break
    if low == NULL:
        return
    for i in range(mr):
        table.add_low(tile.out[i], low + i * numbers * table.itemsize, out[i], numbers, not tile.accumulate, tile.finish)
    if tile.finish:
        call = tile[0]
        call.taps, call.accumulate = 0, True
        table.depthwise(&call, mr)


@cython.cdivision(True)
cdef int64_t run_pixel(const Job *job, const Span *part, const char *weights, int64_t all_taps, int64_t group, int64_t first,
                       int64_t last, const char **rows, char *out) noexcept nogil:
    """Sums of a phase pair's only pixel: panels from `first` on, some side by side. `weights` begin with the group's first panel.

    Returns the first of the panels that are left to tiles: a narrow one, and one that has no neighbour.
    """
    cdef int64_t size = job.table.itemsize, lanes = job.table.nr * job.table.lanes, wide = smaller(last, job.padded // lanes)
    cdef int64_t row_bytes = lanes * size, panel_bytes = all_taps * job.kc * row_bytes, product, left, n, k, p, panels, channels
    cdef char room[(2 * PIXEL_PANELS + 1) * 64]
    cdef char *to
    cdef char *low = part.low
    cdef Epilogue end
    cdef PixelCall call
    call.sums = room + (64 - <uintptr_t> room % 64)
    while wide - first > 1:
        product, left, k = part.tap0 * job.kc + part.k0, part.taps * part.kc, 0
        panels, call.taps_at = smaller(wide - first, PIXEL_PANELS), <const void **> rows
        for p in range(PIXEL_PANELS):  # the last one again in the place of those that are missing
            call.panel[p] = weights + (first + smaller(p, panels - 1)) * panel_bytes + product * row_bytes
        memset(call.sums, 0, PIXEL_PANELS * row_bytes)
        while True:  # LOOP pieces: whole taps, or channels of one
            n = left if part.cuts == NULL else smaller(piece_left(part.cuts, product), left)
            call.taps, call.first, call.kc = (n // part.kc if n else 0), k, part.kc
            if 0 < n < part.kc:
                call.taps, call.kc = 1, n
                k = k + n if k + n < part.kc else 0
            job.table.one_pixel(&call)
            product += n
            left -= n
            if left == 0:
                break
            for p in range(PIXEL_PANELS):
                call.panel[p] = <const char *> call.panel[p] + n * row_bytes
            if k == 0:
                call.taps_at += call.taps
        channels = smaller(panels * lanes, job.width - first * lanes)
        to = out + first * row_bytes
        if low != NULL:
            job.table.add_low(to, low, call.sums, channels, not part.accumulate, part.finish)
            low += panels * part.tile_step
        if part.finish:
            end = end_at(&job.end, job.residual, job.out.at, (group * job.padded + first * lanes) * size)
            job.table.few_rows_end(&end, call.sums if low == NULL else to, to, channels)
        first += panels
    return first


@cython.cdivision(True)
cdef void run_tiles(const Job *job, const Block *block, int64_t group, int64_t span, const Span *part, const char **rows,
                    char **out) noexcept nogil:
    """LOOP panels, LOOP tiles over a part of the sum."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, pixels = job.images * rp.count * cp.count
    cdef int64_t all_taps = rp.taps * cp.taps, before = rp.before * job.kernel_w + rp.taps * cp.before
    cdef int64_t panel_lanes = job.table.nr * job.table.lanes
    cdef int64_t begin, first, last, panel, tile, mr, nr, taps = part.taps, at = part.tap0 * job.kc + part.k0
    cdef char *low = part.low
    cdef const char *weights
    cdef const char **tile_rows
    cdef char **tile_out
    cdef Tile call
    cdef DepthwiseTile depthwise
    if job.depthwise:
        depthwise.weights = job.weights + (before + part.tap0) * job.kc * size
        depthwise.weights_step = job.kernel_taps * job.kc
        depthwise.taps, depthwise.channels, depthwise.multiplier = taps, job.kc, job.cout // job.kc
        depthwise.end = end_at(&job.end, job.residual, job.out.at, 0)
        depthwise.accumulate, depthwise.finish = part.accumulate, part.finish
        depthwise.total = NULL
        for tile in range(block.first_tile, block.first_tile + block.tiles):
            mr = tile_pixels(block, tile, pixels)
            depthwise.taps_at = <const void **> rows
            depthwise.out = <void **> out
            if part.cuts == NULL:
                job.table.depthwise(&depthwise, <int> mr)
            else:
                depthwise_in_pieces(job.table, &depthwise, part.cuts, part.tap0, <int> mr, part.sums, low)
            low += part.tile_step
            rows += mr * taps
            out += mr
        return
    call.taps, call.kc = taps, part.kc
    call.ahead, call.ahead_step, call.out_step = job.weights, 0, 0  # not used: nothing is fetched ahead, pixels have addresses
    call.accumulate, call.finish, call.by_runs, call.streams, call.total = part.accumulate, part.finish, False, False, NULL
    set_pieces(&call, part.cuts)
    weights = job.weights + (before * job.groups + group * all_taps) * job.kc * job.padded * size
    first = begin = span * job.panels // job.spans
    last = (span + 1) * job.panels // job.spans
    if pixels == 1 and job.table.one_pixel != NULL and (low != NULL or not part.accumulate):
        first = run_pixel(job, part, weights, all_taps, group, begin, last, rows, out[0])
        low += (first - begin) * part.tile_step
    for panel in range(first, last):
        call.channels = smaller(panel_lanes, job.width - panel * panel_lanes)
        nr = ceil_div(call.channels, job.table.lanes)
        call.panel = weights + (panel * panel_lanes * all_taps * job.kc + at * nr * job.table.lanes) * size
        call.out_offset = panel * panel_lanes
        call.end = end_at(&job.end, job.residual, job.out.at, (group * job.padded + panel * panel_lanes) * size)
        tile_rows, tile_out = rows, out
        for tile in range(block.first_tile, block.first_tile + block.tiles):
            mr = tile_pixels(block, tile, pixels)
            call.taps_at = <const void **> tile_rows
            call.out = <void **> tile_out
            run_tile(job.table, job.table.gathered[nr][mr], &call, part.cuts, at, mr, nr, False, low)
            tile_rows += mr * taps
            tile_out += mr
            low += part.tile_step


@cython.cdivision(True)
cdef void direct_inside_task(const void *of, int64_t task, char *scratch) noexcept nogil:
    """The same task without zeros for padding: pixel by pixel, tap by tap; for kernels that hold Inf or NaN."""
    cdef const Job *job = <const Job *> of
    cdef int64_t span, group
    cdef const Block *block = place_task(job, task, &group, &span)
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef const Cuts *cuts = &cp.cuts
    cdef int64_t size = job.table.itemsize, pixels = job.images * rp.count * cp.count, all_taps = rp.taps * cp.taps, flat, left
    cdef int64_t panel_lanes = job.table.nr * job.table.lanes, first = span * job.panels // job.spans * panel_lanes
    cdef int64_t last = smaller((span + 1) * job.panels // job.spans * panel_lanes, job.width), products = job.kc
    cdef int64_t bytes = pixel_bytes_of(job)
    cdef char *piece = scratch  # of the unfinished piece
    cdef char *section = piece + bytes  # of the pieces before it
    cdef char *low = section + bytes
    cdef char *to
    cdef char *ignored
    cdef const char *row
    cdef bint sectioned
    cdef Block one
    cdef Span part
    if job.depthwise:
        first, last, products = 0, job.cout, 1
    memset(piece, 0, 2 * bytes)
    one.row_phase, one.column_phase, one.tiles, one.all_tiles = block.row_phase, block.column_phase, 1, pixels
    part.cuts, part.low, part.sums, part.tile_step, part.accumulate = NULL, NULL, NULL, 0, True
    for flat in range(share_start(block.first_tile, block.all_tiles, pixels),
                      share_start(block.first_tile + block.tiles, block.all_tiles, pixels)):
        one.first_tile, sectioned = flat, False
        locate(job, &one, group, 0, 0, 0, &row, &to)
        part.taps, part.finish, part.tap0 = 1, False, 0
        while part.tap0 < all_taps:
            part.k0 = 0
            while part.k0 < job.kc:  # LOOP pieces: of a tap or less
                left = piece_left(cuts, part.tap0 * products + part.k0)
                part.kc = job.kc if job.depthwise else smaller(left, job.kc - part.k0)
                locate(job, &one, group, part.tap0, 1, part.k0, &row, &ignored)
                if row != job.zeros:
                    run_tiles(job, &one, group, span, &part, &row, &piece)
                part.k0 += part.kc
                if left > (1 if job.depthwise else part.kc):
                    continue
                job.table.move_sums(piece, section, bytes // size)
                if ends_section(cuts, part.tap0, part.k0, job.kc):
                    job.table.add_low(to + first * size, low, section + first * size, last - first, not sectioned, False)
                    memset(section, 0, bytes)
                    sectioned = True
            part.tap0 += 1
        job.table.move_sums(piece, section, bytes // size)
        job.table.add_low(to + first * size, low, section + first * size, last - first, not sectioned, True)
        memset(section, 0, bytes)
        part.tap0, part.taps, part.k0, part.kc, part.finish = 0, 0, 0, job.kc, True
        run_tiles(job, &one, group, span, &part, &row, &to)
