# Depthwise along lines: tiles of neighbouring outputs, whose input columns are loaded once (isa/depthwise.h).


@cython.cdivision(True)
cdef void run_lines(const Job *job, const Block *block, char *scratch) noexcept nogil:
    """LOOP tiles: where the input columns of a tile are, then all channels."""
    cdef const AxisPhase *rp = &job.row[block.row_phase]
    cdef const AxisPhase *cp = &job.column[block.column_phase]
    cdef int64_t size = job.table.itemsize, pixel_bytes = job.cin * size, row_bytes = job.w * pixel_bytes
    cdef int64_t tile, line, p0, q, n, r, a, c0, j, columns = (LINE_MR - 1) * cp.in_step + cp.taps, needed
    cdef const char **at = <const char **> scratch
    cdef const char *row
    cdef DepthwiseLine call
    cdef DepthwiseLineKernel kernel = job.table.depthwise_line[cp.in_step][cp.taps]
    call.columns = <const void **> at
    call.out_step, call.channels = cp.step * job.cout * size, job.cin
    call.bias, call.alpha, call.act = job.bias, job.alpha, job.act
    for tile in range(block.first_tile, block.first_tile + block.tiles):
        line = tile // cp.pieces
        p0 = tile_start(cp, tile % cp.pieces)
        call.pixels = tile_start(cp, tile % cp.pieces + 1) - p0
        needed = (call.pixels - 1) * cp.in_step + cp.taps
        n, q = line // rp.count, line % rp.count
        c0 = p0 * cp.in_step + cp.offsets[0]
        call.taps = 0
        for a in range(rp.taps):
            r = q * rp.in_step + rp.offsets[a]
            if not 0 <= r < job.h:
                continue
            if call.taps == 0:  # rows inside the image follow each other
                call.weights = job.weights + a * cp.taps * job.cin * size
            row = job.x + (n * job.h + r) * row_bytes + c0 * pixel_bytes
            for j in range(columns):
                at[call.taps * columns + j] = row + j * pixel_bytes if 0 <= c0 + j < job.w and j < needed else job.zeros
            call.taps += 1
        call.out = job.out + (((n * job.ho + rp.start + q * rp.step) * job.wo + cp.start + p0 * cp.step) * job.cout) * size
        kernel(&call)
