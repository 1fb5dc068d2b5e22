# Weights into panels. The layout (see README.md): for each phase, each group, each panel: [taps][kc][nr*lanes], zero-padded.


cdef int64_t ROWS_AT_ONCE = 16


ctypedef fused Word:
    uint32_t
    uint64_t


cdef bint pack_rows(const Word *src, Word *dst, const int64_t *taps, int64_t all_taps, int64_t kc, int64_t width, int64_t k_step,
                    int64_t lanes, int64_t wide) noexcept nogil:
    """The panels of a group whose channels are neighbours, some rows at a time: a panel's part of each is on another page."""
    cdef int64_t t, k, k0, first, n, this, l, rows = all_taps * kc
    cdef Word exponent = <Word> 0x7f800000 if sizeof(Word) == 4 else <Word> 0x7ff0000000000000ULL
    cdef Word value
    cdef bint finite = True
    cdef const Word *row
    cdef Word *to
    for t in range(all_taps):
        k0 = 0
        while k0 < kc:
            first = 0
            while first < width:
                n = smaller(wide, width - first)
                this = ceil_div(n, lanes) * lanes
                to = dst + rows * first + (t * kc + k0) * this
                for k in range(k0, smaller(k0 + ROWS_AT_ONCE, kc)):
                    row = src + taps[t] + k * k_step + first
                    for l in range(n):
                        value = row[l]
                        to[l] = value
                        finite = finite & ((value & exponent) != exponent)
                    for l in range(n, this):
                        to[l] = 0
                    to += this
                first += wide
            k0 += ROWS_AT_ONCE
    return finite


cdef bint pack_words(const Word *src, Word *dst, const int64_t *taps, int64_t phases, const int64_t *phase_taps, int64_t groups,
                     int64_t kc, int64_t width, int64_t k_step, int64_t l_step, int64_t group_step, int64_t lanes,
                     int64_t nr) noexcept nogil:
    """Panels of every phase and group; returns whether every weight is finite.

    `taps` are offsets of taps in src, in packed order. 12 to 24 GB/s; copying rows of one panel by a helper with a
    constant step was slower, and so was reading the transpose's layout along its neighbours (14 -> 2 GB/s).
    """
    cdef int64_t wide = nr * lanes, phase, g, first, t, k, l, n, this
    cdef Word exponent = <Word> 0x7f800000 if sizeof(Word) == 4 else <Word> 0x7ff0000000000000ULL
    cdef Word value
    cdef bint finite = True
    cdef const Word *row
    for phase in range(phases):
        for g in range(groups):
            first = 0
            if l_step == 1 and width > wide and sizeof(Word) * width >= 4096:
                if not pack_rows(src + g * group_step, dst, taps, phase_taps[phase], kc, width, k_step, lanes, wide):
                    finite = False
                dst += phase_taps[phase] * kc * ceil_div(width, lanes) * lanes
                continue
            while first < width:
                n = smaller(wide, width - first)
                this = ceil_div(n, lanes) * lanes
                for t in range(phase_taps[phase]):
                    for k in range(kc):
                        row = src + taps[t] + g * group_step + k * k_step + first * l_step
                        for l in range(n):
                            value = row[l * l_step]
                            dst[l] = value
                            finite = finite & ((value & exponent) != exponent)
                        for l in range(n, this):
                            dst[l] = 0
                        dst += this
                first += wide
        taps += phase_taps[phase]
    return finite


def all_finite(kernel, str isa, int bits):
    """Whether a contiguous kernel holds neither Inf nor NaN."""
    cdef const Table *table = table_of(isa, bits)
    cdef View view
    cdef bint finite
    PyObject_GetBuffer(kernel, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            finite = table.all_finite(view.buf, view.len // table.itemsize)
        return finite
    finally:
        PyBuffer_Release(&view)


cdef bint pack_depthwise_words(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t channels,
                               int64_t multiplier, int64_t c_step, int64_t m_step) noexcept nogil:
    """[multiplier][taps][channels], as isa/depthwise.h wants them; returns whether every weight is finite."""
    cdef int64_t m, t, c
    cdef Word exponent = <Word> 0x7f800000 if sizeof(Word) == 4 else <Word> 0x7ff0000000000000ULL
    cdef Word value
    cdef bint finite = True
    for m in range(multiplier):
        for t in range(count):
            for c in range(channels):
                value = src[taps[t] + c * c_step + m * m_step]
                dst[0] = value
                dst += 1
                finite = finite & ((value & exponent) != exponent)
    return finite


@cython.final
cdef class Recipe:
    """How kernels of one shape are packed; steps and offsets are in elements. Immutable after construction."""

    cdef int64_t *taps
    cdef int64_t *phase_taps
    cdef int64_t count, phases, groups, kc, width, k_step, l_step, group_step, lanes, nr, src_bytes, dst_bytes
    cdef int itemsize
    cdef bint depthwise

    def __cinit__(self, int itemsize, tap_offsets, phase_taps, int64_t groups, int64_t kc, int64_t width, int64_t k_step,
                  int64_t l_step, int64_t group_step, int64_t lanes, int64_t nr, bint depthwise):
        cdef int64_t i
        self.count, self.phases = len(tap_offsets), len(phase_taps)
        self.groups, self.kc, self.width, self.lanes, self.nr = groups, kc, width, lanes, nr
        self.k_step, self.l_step, self.group_step = k_step, l_step, group_step
        self.itemsize, self.depthwise = itemsize, depthwise
        self.src_bytes = self.count * groups * kc * width * itemsize
        self.dst_bytes = self.src_bytes if depthwise else self.count * groups * kc * ceil_div(width, lanes) * lanes * itemsize
        self.taps = <int64_t *> malloc((self.count + self.phases + 1) * sizeof(int64_t))
        if self.taps == NULL:
            raise MemoryError("no memory for packing")
        self.phase_taps = self.taps + self.count
        for i in range(self.count):
            self.taps[i] = tap_offsets[i]
        for i in range(self.phases):
            self.phase_taps[i] = phase_taps[i]

    def __dealloc__(self):
        free(self.taps)

    def pack(self, kernel, packed):
        """Fill `packed` from the contiguous `kernel`. Returns whether every weight is finite."""
        cdef View views[2]
        memset(views, 0, sizeof(views))
        cdef const void *src
        cdef void *dst
        cdef bint finite
        cdef int i
        try:
            src = borrow(kernel, &views[0], self.src_bytes, False, "kernel")
            dst = borrow(packed, &views[1], self.dst_bytes, True, "packed")
            with nogil:
                finite = self.fill(src, dst)
            return finite
        finally:
            for i in range(2):
                PyBuffer_Release(&views[i])

    cdef bint fill(self, const void *src, void *dst) noexcept nogil:
        if self.itemsize == 4:
            return self.words(<const uint32_t *> src, <uint32_t *> dst)
        return self.words(<const uint64_t *> src, <uint64_t *> dst)

    cdef bint words(self, const Word *src, Word *dst) noexcept nogil:
        if self.depthwise:
            return pack_depthwise_words(src, dst, self.taps, self.count, self.kc, self.width, self.k_step, self.l_step)
        return pack_words(src, dst, self.taps, self.phases, self.phase_taps, self.groups, self.kc, self.width, self.k_step,
                          self.l_step, self.group_step, self.lanes, self.nr)
