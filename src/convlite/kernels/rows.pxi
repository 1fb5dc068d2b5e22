# A few rows times a matrix as it lies (isa/rows.h): threads share the columns.


def multiply_rows(str isa, int itemsize, x, w, bias, alpha, out, int64_t rows, int64_t kc, int64_t columns, int code, double a,
                  double b, int threads):
    """out[rows, columns] = act(x[rows, kc] @ w[kc, columns] + bias). Contiguous arrays; out overlaps none."""
    cdef const Table *table = table_of(isa, 8 * itemsize)
    cdef View views[5]
    memset(views, 0, sizeof(views))
    cdef Rows whole
    cdef int64_t piece, pieces, lines
    cdef uint64_t mode
    cdef int i
    try:
        whole.x = borrow(x, &views[0], rows * kc * itemsize, False, "x")
        whole.w = borrow(w, &views[1], kc * columns * itemsize, False, "w")
        whole.bias = borrow(bias, &views[2], columns * itemsize, False, "bias")
        whole.alpha = borrow(alpha, &views[3], columns * itemsize, False, "alpha")
        whole.out = borrow(out, &views[4], rows * columns * itemsize, True, "out")
        whole.x_step, whole.w_step, whole.out_step = kc, columns, columns
        whole.rows, whole.columns, whole.kc = rows, columns, kc
        whole.act.code, whole.act.a, whole.act.b = code, a, b
        # sums of a piece stay in L1; a piece is whole cache lines
        lines = ceil_div(columns * itemsize, 64)
        pieces = max(ceil_div(rows * columns * itemsize, 16384), min(threads, lines))
        pieces = min(pieces, max(lines, 1))
        threads = <int> smaller(threads, pieces)
        if threads <= 1:
            with nogil:
                mode = float_mode_enter(FLUSH)
                for piece in range(pieces):
                    run_rows(table, &whole, piece, pieces, itemsize)
                float_mode_leave(mode)
        else:
            for piece in prange(pieces, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
                mode = float_mode_enter(FLUSH)
                run_rows(table, &whole, piece, pieces, itemsize)
                float_mode_leave(mode)
    finally:
        for i in range(5):
            PyBuffer_Release(&views[i])


@cython.cdivision(True)
cdef void run_rows(const Table *table, const Rows *whole, int64_t piece, int64_t pieces, int64_t size) noexcept nogil:
    """The piece's columns, cut at cache lines."""
    cdef Rows part = whole[0]
    cdef int64_t line = 64 // size, lines = ceil_div(whole.columns, line), first = piece * lines // pieces * line
    part.columns = smaller((piece + 1) * lines // pieces * line, whole.columns) - first
    part.w = <const char *> whole.w + first * size
    part.out = <char *> whole.out + first * size
    part.bias = <const char *> whole.bias + first * size if whole.bias != NULL else NULL
    part.alpha = <const char *> whole.alpha + first * size if whole.alpha != NULL else NULL
    table.rows(&part)
