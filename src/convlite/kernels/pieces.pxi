# Long sums in pieces and sections, as sums.py cuts them: a call of a tile for each piece.
#
# A piece begins at zero, and its call adds those before (`total`). They wait in a buffer on the stack of as many whole vectors as
# the tile has, which stays in L1 wherever the outputs lie; the last call adds bias and activation and stores the outputs. The
# sum of a section stays there as a whole, and `add_low` brings it to the output.


cdef struct Cuts:              # in products from the first tap on; see sums.py
    int64_t part, period
    int64_t taps, row, channels  # of a section; of sums in fused taps, these are meant


@cython.cdivision(True)
cdef inline int64_t piece_left(const Cuts *cuts, int64_t at) noexcept nogil:
    """Products until the piece ends to which product `at` belongs."""
    cdef int64_t place = at % cuts.period if at else 0
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
        table.add_low(to, low + i * row_bytes, sums + i * row_bytes, tile.lanes, not tile.accumulate, tile.finish)
    if tile.finish:
        call.taps, call.accumulate = 0, True
        kernel(&call)


@cython.cdivision(True)
cdef void in_pieces(const Table *table, TileKernel kernel, Tile *call, const Cuts *cuts, int64_t at, int64_t mr, int64_t nr,
                    bint strided, char *low) noexcept nogil:
    """A tile whose sums begin with product `at`; with `low`, [mr][nr*lanes], they are a section, the first or to `accumulate`.

    The call is changed and put back: a copy in vectors waits for the fields just stored, and for outputs stored before them.
    """
    cdef int64_t size = table.itemsize, row_bytes = nr * table.lanes * size, half = (mr + 1) // 2, runs = 2 if strided else mr
    cdef int64_t left = piece_left(cuts, at), rest = cuts.period - (at % cuts.period if at else 0)
    cdef int64_t taps = call.taps, kc = call.kc, products = taps * kc, k = 0, n, i
    cdef int64_t lanes = call.lanes, out_offset = call.out_offset, out_step = call.out_step
    cdef int accumulate = call.accumulate, finish = call.finish
    cdef char room[29 * 64]    # the most: 14 x 2 vectors
    cdef char *sums = room + (64 - <uintptr_t> room % 64)
    cdef void *to[14]
    cdef const void *rows[14]
    cdef const void *const *bases = call.rows
    cdef const void *const *all_rows = call.rows
    cdef void *const *out = call.out
    cdef const void *panel = call.panel
    cdef const void *ahead = call.ahead
    for i in range(runs):
        to[i] = sums + (i * half if strided else i) * row_bytes
    call.out, call.out_step, call.out_offset, call.lanes = to, row_bytes, 0, nr * table.lanes
    call.accumulate = call.finish = False
    while True:  # LOOP pieces: whole taps, or channels of one
        n = smaller(left, products)
        call.taps, call.kc, call.rows = n // kc, kc, bases
        if 0 < n < kc:
            call.taps, call.kc, call.rows = 1, n, rows
            for i in range(runs):
                rows[i] = <const char *> bases[i] + k * size
            k = k + n if k + n < kc else 0
        products -= n
        if products == 0 and low == NULL:
            call.out, call.out_step, call.out_offset, call.lanes, call.finish = out, out_step, out_offset, lanes, finish
        kernel(call)
        if products == 0:
            break
        call.total = to
        call.panel = <const char *> call.panel + n * row_bytes
        call.ahead = <const char *> call.ahead + n // 4 * call.ahead_step
        if k == 0:
            bases += call.taps * runs
        rest = rest - n if rest > n else cuts.period
        left = smaller(cuts.part, rest)
    call.out, call.out_step, call.out_offset, call.lanes, call.finish = out, out_step, out_offset, lanes, finish
    call.taps, call.kc, call.rows, call.panel, call.ahead = taps, kc, all_rows, panel, ahead
    call.accumulate, call.total = accumulate, NULL
    if low != NULL:
        end_section(table, kernel, call, sums, low, mr, nr, strided)


cdef inline void run_tile(const Table *table, TileKernel kernel, Tile *tile, const Cuts *cuts, int64_t at, int64_t mr,
                          int64_t nr, bint strided, char *low) noexcept nogil:
    """In pieces; without cuts, as one."""
    if cuts == NULL:
        kernel(tile)
    else:
        in_pieces(table, kernel, tile, cuts, at, mr, nr, strided, low)


@cython.cdivision(True)
cdef void depthwise_in_pieces(const Table *table, const DepthwiseTile *tile, const Cuts *cuts, int64_t at, int mr, char *sums,
                              char *low) noexcept nogil:
    """The same for a depthwise tile. sums: [mr][channels*multiplier]; low the same, or NULL."""
    cdef int64_t numbers = tile.channels * tile.multiplier, left, i
    cdef void *out[6]
    cdef DepthwiseTile call = tile[0]
    for i in range(mr):
        out[i] = sums + i * numbers * table.itemsize
    call.out, call.accumulate, call.finish, call.taps = out, False, False, 0
    left = tile.taps
    while True:  # LOOP pieces
        call.rows += call.taps * mr
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
