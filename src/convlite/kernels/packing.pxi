# Weights into panels. The layout (see README.md): for each phase, each group, each panel: [taps][kc][nr*lanes], zero-padded.


ctypedef fused Word:
    uint32_t
    uint64_t


cdef enum:
    PACKED_BLOCK = 24 * 1024  # bytes of panels that are filled at once: half of a first cache


cdef bint pack_words(const Word *src, Word *dst, const int64_t *taps, int64_t phases, const int64_t *phase_taps, int64_t groups,
                     int64_t kc, int64_t width, int64_t k_step, int64_t l_step, int64_t group_step, int64_t lanes,
                     int64_t nr) noexcept nogil:
    """Panels of every phase and group; returns whether every weight is finite.

    `taps` are offsets of taps in src, in packed order. Output channels that lie apart, as in the files of other
    frameworks, are read one after the other, in blocks of input channels whose panels stay in the first cache.
    """
    cdef int64_t wide = nr * lanes, phase, g, first, n, this, block
    cdef Word found = 0
    cdef const Word *start
    cdef bint apart = l_step > k_step
    for phase in range(phases):
        for g in range(groups):
            first = 0
            while first < width:
                n = smaller(wide, width - first)
                this = ceil_div(n, lanes) * lanes
                start = src + g * group_step + first * l_step
                if apart:
                    block = PACKED_BLOCK // (phase_taps[phase] * this * <int64_t> sizeof(Word) + 1)
                    found |= pack_panel_apart(start, dst, taps, phase_taps[phase], kc, n, this, k_step, l_step,
                                              block if block > 4 else 4)
                else:
                    found |= pack_panel(start, dst, taps, phase_taps[phase], kc, n, this, k_step, l_step)
                dst += phase_taps[phase] * kc * this
                first += wide
        taps += phase_taps[phase]
    return not found >> (8 * sizeof(Word) - 1)


cdef inline Word exponent_full(Word value) noexcept nogil:
    """The uppermost bit is set for Inf and NaN: their exponent, all ones, carries into it."""
    if sizeof(Word) == 4:
        return (value & <Word> 0x7f800000) + <Word> 0x00800000
    return (value & <Word> 0x7ff0000000000000ULL) + <Word> 0x0010000000000000ULL


cdef Word pack_panel(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t n, int64_t this,
                     int64_t k_step, int64_t l_step) noexcept nogil:
    """One panel row by row; the exponents that were found (exponent_full), or-ed together."""
    cdef int64_t t, k, l
    cdef Word found = 0
    cdef const Word *row
    for t in range(count):
        for k in range(kc):
            row = src + taps[t] + k * k_step
            if l_step == 1:
                memcpy(dst, row, n * sizeof(Word))
                for l in range(n):
                    found |= exponent_full(row[l])
            else:
                for l in range(n):
                    dst[l] = row[l * l_step]
                    found |= exponent_full(dst[l])
            for l in range(n, this):
                dst[l] = 0
            dst += this
    return found


cdef Word pack_panel_apart(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t n, int64_t this,
                           int64_t k_step, int64_t l_step, int64_t block) noexcept nogil:
    """The same column by column, `block` rows of each tap at a time."""
    cdef int64_t t, k, l, first = 0, rows
    cdef Word found = 0, value
    cdef const Word *column
    cdef Word *into
    while first < kc:
        rows = smaller(block, kc - first)
        for l in range(n):
            for t in range(count):
                column = src + taps[t] + first * k_step + l * l_step
                into = dst + (t * kc + first) * this + l
                for k in range(rows):
                    value = column[k * k_step]
                    into[k * this] = value
                    found |= exponent_full(value)
        for t in range(count):
            into = dst + (t * kc + first) * this
            for k in range(rows):
                for l in range(n, this):
                    into[k * this + l] = 0
        first += rows
    return found


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
