# The two ways from Python into the core: a Recipe writes a kernel into panels, a Runner runs a plan with them. Both are made once
# from numbers, never change, and take arrays as pointers (buffers.pxi); calls.pxi keeps one of each for repeated calls.


cdef struct Operands:
    Image x
    const char *weights
    Image out
    const char *residual       # what is added to out, with the layout of out; NULL: nothing
    Epilogue end               # bias and alpha as given, not padded
    bint finite                # no Inf, no NaN among the weights
    int threads


# Bytes and nanoseconds of a call so short that it keeps the GIL and other Python threads wait for it: releasing and retaking the
# GIL takes 30 ns without other threads, and with another active Python thread up to the interpreter's switch interval, 5 ms by
# default.
cdef int64_t SHORT_BYTES = 65536, SHORT_NANOSECONDS = 5000


cdef inline Epilogue end_at(const Epilogue *of, const char *residual, const char *out, int64_t first) noexcept nogil:
    """A job's epilogue for the channels from byte `first` on of bias and slopes."""
    cdef Epilogue end = of[0]
    end.bias = <const char *> of.bias + first if of.bias != NULL else NULL
    end.alpha = <const char *> of.alpha + first if of.alpha != NULL else NULL
    end.residual = residual - out if residual != NULL else 0
    end.out = out
    return end


cdef void run_step(Task run, const void *job, int64_t tasks, int threads, char *scratch, int64_t lane_bytes, bint short,
                   int subnormals) noexcept:
    """LOOP tasks: in order, or by threads, each of which has `lane_bytes` of the scratch; `short`: the step keeps the GIL."""
    if short and (threads <= 1 or tasks <= 1):
        run_one(run, job, tasks, 1, scratch, lane_bytes, subnormals)
    else:
        with nogil:
            run_one(run, job, tasks, threads, scratch, lane_bytes, subnormals)


cdef class Runner:
    """A plan made ready to run. Immutable after construction, so threads may share it."""

    cdef const Table *table
    cdef Extent x, out         # sizes as its loops count the pixels
    cdef int64_t x_bytes, weight_bytes, out_bytes, bias_bytes
    cdef int64_t nanoseconds   # the estimated time on one thread
    cdef bint short            # whether it keeps the GIL
    cdef readonly bint adds    # whether it can add a residual

    cdef int64_t bytes_of(self, Extent *of, int64_t images, int64_t rows, int64_t columns, int64_t channels) noexcept:
        """Describe x or out; return its bytes."""
        of[0] = extent(images, rows, columns, channels)
        return images * rows * columns * channels * self.table.itemsize

    cdef int describe_work(self, int64_t nanoseconds) except -1:
        """nanoseconds: the estimated time on one thread, with operands in cache."""
        self.short = nanoseconds < SHORT_NANOSECONDS and self.x_bytes + self.out_bytes < SHORT_BYTES
        self.nanoseconds = max(nanoseconds, (self.x_bytes + self.out_bytes + self.weight_bytes) // 16)
        return 0

    cdef int deal(self, Script into, Task run, const void *job, int64_t job_bytes, int64_t tasks, int threads, char *scratch,
                  int64_t lane_bytes, const void *x, const void *out, const void *residual=NULL) except -1:
        """Run the tasks of a job, or add them to a script; x, out, residual: the job's pointers to the arrays."""
        if into is not None:
            return deal(into, run, job, job_bytes, tasks, threads, lane_bytes, self.short, FLUSH, self.nanoseconds, x, out,
                        residual)
        run_step(run, job, tasks, threads, scratch, lane_bytes, self.short, FLUSH)
        return 0

    cdef int execute(self, const Operands *on, Script into) except -1:
        """out = act(operation(x, weights) + bias), now, or where the script comes to it."""
        raise NotImplementedError

    cdef int borrow_residual(self, residual, View *view, Operands *on) except -1:
        """Set the residual, which was borrowed, and which is added to out."""
        cdef Extent of = self.out
        cdef Image added
        of.channels = residual.shape[residual.ndim - 1]
        borrow_image(residual, view, &of, self.table.itemsize, False, &added, "residual")
        on.residual = added.at
        if of.channels == self.out.channels:
            if added.image != on.out.image or added.row != on.out.row or added.pixel != on.out.pixel:
                raise ValueError("internal error: the residual lies otherwise than out")
        elif of.channels > self.out.channels:
            raise ValueError("internal error: the residual has more channels than out")
        elif not (self.even_steps(&added) and self.even_steps(&on.out)):
            raise ValueError("internal error: a residual of fewer channels, or out, has pixels at uneven steps")
        else:
            on.end.fewer = of.channels * self.table.itemsize
            on.end.more_pixel, on.end.out_pixel = added.pixel, on.out.pixel
        return 0

    cdef bint even_steps(self, const Image *image) noexcept:
        """Whether all pixels of an array as large as out lie one step apart."""
        return image.row == self.out.columns * image.pixel and image.image == self.out.rows * image.row

    def run(self, x, weights, bias, alpha, out, int code, double a, double b, bint finite, int threads, Script into=None,
            residual=None, int last=0, double last_a=0.0, double last_b=0.0):
        """out = act(operation(x, weights) + bias), now, or as a step of the script `into`, which must keep the arrays.

        With a residual, which needs `adds`: out = last(act(operation(x, weights) + bias) + residual).

        Arrays are of the plan's dtype and sizes, and C-contiguous; but x and out may be some channels of a larger array, and some
        rows and columns, where the form does not take all pixels for one row. The residual's pixels lie as out's do; or it has
        fewer channels, which are added to the first ones, and its pixels and out's lie at even steps. out overlaps no input.
        """
        cdef View views[6]
        memset(views, 0, sizeof(views))
        cdef Operands on
        cdef int i
        memset(&on, 0, sizeof(on))
        try:
            borrow_image(x, &views[0], &self.x, self.table.itemsize, False, &on.x, "x")
            on.weights = <const char *> borrow(weights, &views[1], self.weight_bytes, False, "weights")
            on.end.bias = borrow(bias, &views[2], self.bias_bytes, False, "bias")
            on.end.alpha = borrow(alpha, &views[3], self.bias_bytes, False, "alpha")
            borrow_image(out, &views[4], &self.out, self.table.itemsize, True, &on.out, "out")
            if residual is not None:
                if not self.adds:
                    raise ValueError("internal error: this form adds no residual")
                self.borrow_residual(residual, &views[5], &on)
            on.end.act.code, on.end.act.a, on.end.act.b = code, a, b
            on.end.last.code, on.end.last.a, on.end.last.b = last, last_a, last_b
            on.finite, on.threads = finite, threads if into is None else into.share(self.nanoseconds)
            self.execute(&on, into)
        finally:
            for i in range(6):
                PyBuffer_Release(&views[i])


# ---- Weights into panels. The layout (see README.md): for each phase, each group, each panel: [taps][kc][nr*lanes], zero-padded.


ctypedef fused Word:
    uint32_t
    uint64_t


cdef enum:
    PACKED_BLOCK = 24 * 1024  # bytes of panels that are filled at one time: half of an L1 cache
    PACKED_WORDS = 6 * 1024
    ROWS_AT_ONCE = 16


cdef bint pack_words(const Word *src, Word *dst, const int64_t *taps, int64_t phases, const int64_t *phase_taps, int64_t groups,
                     int64_t kc, int64_t width, int64_t k_step, int64_t l_step, int64_t group_step, int64_t lanes,
                     int64_t nr, const Table *table, bint whole) noexcept nogil:
    """Panels of every phase and group; returns whether every weight is finite.

    whole: the last panel begins so early that it needs no zeros.

    `taps` are offsets of taps in src, in packed order. Output channels that are not contiguous, as in files of other
    frameworks, are read one after the other, in blocks of input channels whose panels stay in L1.
    """
    cdef int64_t panel_lanes = nr * lanes, phase, g, first, n, this, block
    cdef Word found = 0
    cdef const Word *start
    cdef bint apart = l_step > k_step
    for phase in range(phases):
        for g in range(groups):
            first = 0
            if l_step == 1 and table != NULL:
                found |= pack_rows(src + g * group_step, dst, taps, phase_taps[phase], kc, width, k_step, lanes, panel_lanes,
                                   table)
                dst += phase_taps[phase] * kc * ceil_div(width, lanes) * lanes
                continue
            while first < width:
                n = smaller(panel_lanes, width - first)
                this = ceil_div(n, lanes) * lanes
                if whole and first:
                    first = smaller(first, width - this)
                    n = this
                start = src + g * group_step + first * l_step
                if apart and table != NULL and (k_step == 1 or one_run(taps, phase_taps[phase], k_step, this * sizeof(Word))):
                    found |= pack_panel_turned(start, dst, taps, phase_taps[phase], kc, n, this, k_step, l_step, table)
                elif apart:
                    block = PACKED_BLOCK // (phase_taps[phase] * this * <int64_t> sizeof(Word) + 1)
                    found |= pack_panel_apart(start, dst, taps, phase_taps[phase], kc, n, this, k_step, l_step,
                                              block if block > 4 else 4)
                else:
                    found |= pack_panel(start, dst, taps, phase_taps[phase], kc, n, this, k_step, l_step)
                dst += phase_taps[phase] * kc * this
                first += panel_lanes
        taps += phase_taps[phase]
    return not found >> (8 * sizeof(Word) - 1)


cdef inline Word exponent_full(Word value) noexcept nogil:
    """The uppermost bit is set for Inf and NaN: their exponent, all ones, carries into it."""
    if sizeof(Word) == 4:
        return (value & <Word> 0x7f800000) + <Word> 0x00800000
    return (value & <Word> 0x7ff0000000000000ULL) + <Word> 0x0010000000000000ULL


cdef Word pack_panel(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t n, int64_t this,
                     int64_t k_step, int64_t l_step) noexcept nogil:
    """Write one panel row by row; return the results of exponent_full, or-ed together."""
    cdef int64_t t, k, l
    cdef Word found = 0
    cdef const Word *row
    for t in range(count):
        for k in range(kc):
            row = src + taps[t] + k * k_step
            for l in range(n):
                dst[l] = row[l * l_step]
                found |= exponent_full(dst[l])
            for l in range(n, this):
                dst[l] = 0
            dst += this
    return found


cdef Word pack_rows(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t width, int64_t k_step,
                    int64_t lanes, int64_t panel_lanes, const Table *table) noexcept nogil:
    """The panels of a group whose channels are neighbours, some rows at a time, since a wide row lies on several pages."""
    cdef int64_t t, k, k0, first, n, this, l, rows
    cdef Word found = 0
    cdef Word *into
    for t in range(count):
        k0 = 0
        while k0 < kc:
            first = 0
            while first < width:
                n = smaller(panel_lanes, width - first)
                this = ceil_div(n, lanes) * lanes
                into = dst + count * kc * first + (t * kc + k0) * this
                for k in range(k0, smaller(k0 + ROWS_AT_ONCE, kc)):
                    memcpy(into, src + taps[t] + k * k_step + first, n * sizeof(Word))
                    for l in range(n, this):
                        into[l] = 0
                    into += this
                rows = smaller(k0 + ROWS_AT_ONCE, kc) - k0
                found |= unless_finite(into - rows * this, rows * this, table)
                first += panel_lanes
            k0 += ROWS_AT_ONCE
    return found


cdef Word pack_panel_apart(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t n, int64_t this,
                           int64_t k_step, int64_t l_step, int64_t block) noexcept nogil:
    """Do the same column by column, `block` rows of each tap at a time."""
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


cdef bint one_run(const int64_t *taps, int64_t count, int64_t k_step, int64_t row_bytes) noexcept nogil:
    """Whether an output channel's weights of all taps are neighbours, tap after tap, and few enough for a block."""
    cdef int64_t t
    if k_step != count or count * row_bytes > PACKED_BLOCK:
        return False
    for t in range(1, count):
        if taps[t] != taps[0] + t:
            return False
    return True


cdef Word pack_panel_turned(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t kc, int64_t n, int64_t this,
                            int64_t k_step, int64_t l_step, const Table *table) noexcept nogil:
    """Do the same where an output channel's weights are neighbours: blocks of them are transposed in vectors.

    With a step of 1 each tap's block lands where it belongs. Otherwise (one_run) a block has all taps, and its rows are
    dealt out.
    """
    cdef Word block[PACKED_WORDS]
    cdef int64_t t, k, l, runs = count, together = 1, first, rows, most
    cdef Word found = 0
    cdef Word *into
    if k_step > 1:
        runs, together = 1, count
    most = PACKED_BLOCK // (together * this * <int64_t> sizeof(Word))
    if most < 1:
        most = 1
    if together > 1:
        memset(&block[0], 0, sizeof(block))
    for t in range(runs):
        first = 0
        while first < kc:
            rows = smaller(most, kc - first)
            into = dst + (t * kc + first) * this
            if together > 1:
                into = &block[0]
            table.steps.transpose(src + taps[t] + first * k_step, l_step, n, rows * together, into, this)
            for k in range(rows * together):
                if together == 1:
                    for l in range(n, this):
                        into[k * this + l] = 0
                else:
                    memcpy(dst + ((k % together) * kc + first + k // together) * this, into + k * this, this * sizeof(Word))
            found |= unless_finite(<const Word *> into, rows * together * this, table)
            first += rows
    return found


cdef inline Word unless_finite(const Word *numbers, int64_t count, const Table *table) noexcept nogil:
    """exponent_full of many numbers at once, the uppermost bit of it."""
    return 0 if table.all_finite(numbers, count) else <Word> 1 << (8 * sizeof(Word) - 1)


def all_finite(kernel, str isa, str kind):
    """Whether a contiguous kernel holds neither Inf nor NaN."""
    cdef const Table *table = table_of(isa, kind_code(kind))
    cdef View view
    cdef bint finite
    cdef uint64_t mode
    PyObject_GetBuffer(kernel, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            mode = float_mode_enter(False)
            finite = table.all_finite(view.buf, view.len // table.itemsize)
            float_mode_leave(mode)
        return finite
    finally:
        PyBuffer_Release(&view)


cdef bint pack_depthwise_words(const Word *src, Word *dst, const int64_t *taps, int64_t count, int64_t channels,
                               int64_t multiplier, int64_t c_step, int64_t m_step) noexcept nogil:
    """Write [multiplier][taps][channels], as isa/depthwise.h expects; returns whether every weight is finite."""
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
    cdef bint depthwise, whole
    cdef const Table *table  # what transposes; NULL: nothing does

    def __cinit__(self, int itemsize, tap_offsets, phase_taps, int64_t groups, int64_t kc, int64_t width, int64_t k_step,
                  int64_t l_step, int64_t group_step, int64_t lanes, int64_t nr, bint depthwise, str isa="", bint whole=False):
        cdef int64_t i
        self.count, self.phases = len(tap_offsets), len(phase_taps)
        self.groups, self.kc, self.width, self.lanes, self.nr = groups, kc, width, lanes, nr
        self.k_step, self.l_step, self.group_step = k_step, l_step, group_step
        self.itemsize, self.depthwise, self.whole = itemsize, depthwise, whole
        self.table = table_of(isa, kind_of_floats(itemsize)) if isa else NULL
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
        cdef uint64_t mode = float_mode_enter(FLUSH)
        cdef bint finite
        if self.itemsize == 4:
            finite = self.words(<const uint32_t *> src, <uint32_t *> dst)
        else:
            finite = self.words(<const uint64_t *> src, <uint64_t *> dst)
        float_mode_leave(mode)
        return finite

    cdef bint words(self, const Word *src, Word *dst) noexcept nogil:
        if self.depthwise:
            return pack_depthwise_words(src, dst, self.taps, self.count, self.kc, self.width, self.k_step, self.l_step)
        return pack_words(src, dst, self.taps, self.phases, self.phase_taps, self.groups, self.kc, self.width, self.k_step,
                          self.l_step, self.group_step, self.lanes, self.nr, self.table, self.whole)
