# Depthwise kernels of any size and groups of few channels: products lane by lane over copied rows (plan/lanewise.py says when
# they are used and how the rows are laid out, isa/lanewise.h what is computed).
#
# A task is a band of output rows of one image, a stretch of their pixels, and a block of output channels: those of one vector, or
# all. It keeps as many input rows as an output row reaches. Each is copied once, when it is first needed:
#
#     slot r % slots:  [kc][planes][positions*per numbers, and what the last tile reads behind them]
#
# where `planes` is the stride: pixels this far apart become neighbours. Rows outside the image are left out, columns outside are
# zeros.


cdef struct LanewiseColumns:
    int64_t start, step, count, taps
    int64_t before             # taps of the column phases packed earlier
    int64_t piece, section     # rows of a piece and of a section of the sum
    int64_t *shifts            # [taps][kc]

cdef struct LanewiseRows:
    int64_t start, step, count, in_step, taps
    int64_t before             # taps of the row phases packed earlier
    int64_t *offsets           # [taps]

cdef struct LanewiseJob:
    const Table *table
    int64_t images, h, w, cin, ho, wo, cout
    int64_t kc, width          # channels read and written by a group
    int64_t kernel_w, kernel_taps, most_taps
    int64_t row_phases, column_phases
    int64_t planes, per, patterns, lowest, positions, x_step, slots
    bint point                 # one tap, no padding, one vector for each pixel: nothing is copied
    int64_t blocks, stretches, bands, lines, pixels     # lines and pixels of the largest phase
    int64_t block_lanes        # channels of a block: one vector of them, or two that fill a cache line
    LanewiseRows *row
    LanewiseColumns *column
    # of one call:
    Image x, out
    const char *weights
    Epilogue end               # bias and alpha padded to whole vectors, or [patterns][lanes]; bias: zeros for none

cdef struct LanewiseTask:      # the state of a task
    int64_t block, image, p0, p1
    int64_t first, outputs     # channels of the block
    char *rows                 # [slots]
    char *line                 # room for a line that is changed before it is stored
    int64_t *held              # [slots]: which input rows
    const char **found         # [most_taps]
    LanewiseCopy copy


cdef int64_t lanewise_row(const LanewiseJob *job) noexcept nogil:
    """Bytes of a slot."""
    return job.kc * job.planes * job.x_step * job.table.itemsize


cdef int64_t lanewise_scratch(const LanewiseJob *job) noexcept nogil:
    """Bytes of a task."""
    cdef int64_t lanes = job.table.lanes
    return (job.slots * (lanewise_row(job) + sizeof(int64_t)) + (job.x_step + lanes) * job.table.itemsize
            + 2 * job.kc * lanes * sizeof(int32_t) + job.most_taps * sizeof(void *) + 256)


@cython.cdivision(True)
cdef void place_lanes(const LanewiseJob *job, LanewiseTask *task, int32_t *places) noexcept nogil:
    """Which input channels the lanes of a block read, counted from the first one."""
    cdef int64_t k, l, room = 2 * job.table.lanes, inside = task.first % job.width
    cdef int32_t place = 0     # of the group's first channel
    cdef LanewiseCopy *copy = &task.copy
    for l in range(room):
        for k in range(job.kc):
            places[k * room + l] = <int32_t> k + (place if l < task.outputs else 0)
        if l + 1 == task.outputs:
            copy.span = place + job.kc
        inside += 1
        if inside == job.width:
            inside = 0
            place += <int32_t> job.kc
    copy.places, copy.places_step, copy.kc, copy.per = places, room, job.kc, job.per
    copy.in_order = job.kc == 1 and job.width == 1
    copy.source_step, copy.to_step = job.planes * job.x.pixel // job.table.itemsize, job.planes * job.x_step


@cython.cdivision(True)
cdef inline const char *input_row(const LanewiseJob *job, const LanewiseTask *task, int64_t r) noexcept nogil:
    """Row r of the task's image, at the first channel that it reads."""
    return job.x.at + task.image * job.x.image + r * job.x.row + task.first // job.width * job.kc * job.table.itemsize


@cython.cdivision(True)
cdef const char *copied_row(const LanewiseJob *job, LanewiseTask *task, int64_t r) noexcept nogil:
    """Input row r of the task's image as lanes want it."""
    cdef int64_t size = job.table.itemsize, slot = r % job.slots, low = task.p0 + job.lowest, plane, first, last, k
    cdef char *row = task.rows + slot * lanewise_row(job)
    cdef char *to
    cdef const char *x = input_row(job, task, r)
    cdef bint fresh = task.held[slot] < 0
    if task.held[slot] == r:
        return row
    task.held[slot] = r
    for plane in range(job.planes):
        first = low if low > 0 else 0
        last = smaller(low + job.positions, ceil_div(job.w - plane, job.planes))
        first, last = smaller(first - low, job.positions), (last - low if last > low else 0)
        last = last if last > first else first
        if fresh:  # zeros around the pixels, which have the same places in all rows
            for k in range(job.kc):
                to = row + (k * job.planes + plane) * job.x_step * size
                memset(to, 0, first * job.per * size)
                memset(to + last * job.per * size, 0, (job.x_step - last * job.per) * size)
        if first < last:
            task.copy.source = x + ((low + first) * job.planes + plane) * job.x.pixel
            task.copy.pixels = last - first
            task.copy.to = row + (plane * job.x_step + first * job.per) * size
            job.table.lanewise_copy(&task.copy)
    return row


@cython.cdivision(True)
cdef void lanewise_line(const LanewiseJob *job, LanewiseTask *task, int64_t i, const LanewiseRows *rp,
                        const LanewiseColumns *cp) noexcept nogil:
    """One output row of a pair of phases."""
    cdef int64_t size = job.table.itemsize, lanes = job.table.lanes, pixels = smaller(task.p1, cp.count) - task.p0
    cdef int64_t o = rp.start + i * rp.step, r = i * rp.in_step
    cdef int64_t before = rp.before * job.kernel_w + rp.taps * cp.before, pixel = job.out.pixel, numbers = task.outputs * size
    cdef bint whole = job.per == lanes and job.patterns == 1, direct
    cdef int64_t panels = ceil_div(job.cout, lanes) if job.per == lanes else 1, panel = task.first // lanes
    cdef char *out = job.out.at + task.image * job.out.image + o * job.out.row + (cp.start + task.p0 * cp.step) * pixel \
        + task.first * size
    cdef LanewiseLine call
    if pixels <= 0:
        return
    call.x, call.rows, call.taps, call.shifts = <const void **> task.found, rp.taps, cp.taps * job.kc, cp.shifts
    call.weights_step = call.taps * job.patterns * lanes
    call.weights = job.weights + (before * panels + panel * rp.taps * cp.taps) * job.kc * job.patterns * lanes * size
    call.patterns, call.piece, call.end = job.patterns, cp.piece, end_at(&job.end, NULL, NULL, task.first * size)
    call.section = cp.section
    call.inside, call.behind = 0, <int64_t> 1 << 62
    if job.kc == 1 and job.planes == 1:
        call.inside = -(task.p0 + job.lowest) * job.per
        call.behind = (job.w - task.p0 - job.lowest) * job.per
    if job.end.act.code > ACT_CLIP:
        call.end.act.code = ACT_NONE
    call.vectors = ceil_div(pixels * job.per, lanes)
    direct = job.end.act.code <= ACT_CLIP and (whole or (job.per == job.cout and pixel == job.cout * size and cp.step == 1))
    if direct:
        call.out, call.out_step = out, (cp.step * pixel // size if whole else lanes)
        call.used = task.outputs if whole else lanes
        call.last = task.outputs if whole else pixels * job.per - (call.vectors - 1) * lanes
    else:
        call.out, call.out_step, call.used, call.last = task.line, lanes, lanes, lanes
    if job.point and task.copy.span <= job.block_lanes:
        task.copy.source = input_row(job, task, r) + task.p0 * job.planes * job.x.pixel
        task.copy.pixels = pixels
        job.table.lanewise_point(&call, &task.copy)
    else:
        job.table.lanewise(&call)
    if direct:
        return
    if job.end.act.code > ACT_CLIP:
        job.table.activate(task.line, task.line, pixels, job.per, call.end.alpha, job.end.act)
    for r in range(pixels):
        memcpy(out + r * cp.step * pixel, task.line + r * job.per * size, numbers)


cdef void lanewise_lines(const LanewiseJob *job, LanewiseTask *task, int64_t i) noexcept nogil:
    """LOOP phases: line i of each."""
    cdef const LanewiseRows *rp
    cdef int64_t p, a, r
    for p in range(job.row_phases):
        rp = &job.row[p]
        if i >= rp.count:
            continue
        for a in range(0 if job.point and task.copy.span <= job.block_lanes else rp.taps):
            r = i * rp.in_step + rp.offsets[a]
            task.found[a] = copied_row(job, task, r) if 0 <= r < job.h else NULL
        for a in range(job.column_phases):
            lanewise_line(job, task, i, rp, &job.column[a])


@cython.cdivision(True)
cdef void lanewise_task(const void *of, int64_t index, char *scratch) noexcept nogil:
    """LOOP output rows of a band."""
    cdef const LanewiseJob *job = <const LanewiseJob *> of
    cdef int64_t stretch = index // job.blocks % job.stretches, band = index // job.blocks // job.stretches % job.bands
    cdef int64_t i, size = job.table.itemsize, lanes = job.table.lanes
    cdef LanewiseTask task
    task.block, task.image = index % job.blocks, index // job.blocks // job.stretches // job.bands
    task.p0, task.p1 = share_start(stretch, job.stretches, job.pixels), share_start(stretch + 1, job.stretches, job.pixels)
    task.first = task.block * job.block_lanes
    task.outputs = job.cout if job.per != lanes else smaller(job.block_lanes, job.cout - task.first)
    task.rows = scratch
    task.line = task.rows + job.slots * lanewise_row(job)
    task.held = <int64_t *> (task.line + (job.x_step + lanes) * size)
    task.found = <const char **> (task.held + job.slots)
    place_lanes(job, &task, <int32_t *> (task.found + job.most_taps))
    for i in range(job.slots):
        task.held[i] = -1
    for i in range(share_start(band, job.bands, job.lines), share_start(band + 1, job.bands, job.lines)):
        lanewise_lines(job, &task, i)


@cython.final
cdef class Lanewise(Runner):
    """A plan for products lane by lane made ready to run; it serves finite weights, or no padding."""

    cdef LanewiseJob job
    cdef int64_t *numbers
    cdef int64_t shared_bytes

    def __cinit__(self, plan):
        cdef int64_t i, j, k, n, size, lanes, shift
        cdef LanewiseJob *job = &self.job
        geometry = plan.loops
        rows, columns = geometry.rows, geometry.columns
        self.table = job.table = table_of(plan.isa, kind_code(plan.kind))
        if job.table.lanewise == NULL:
            raise ValueError("internal error: not a plan for this instruction set")
        size, lanes = job.table.itemsize, job.table.lanes
        job.images, job.h, job.w, job.cin = geometry.images, rows.in_size, columns.in_size, geometry.cin
        job.ho, job.wo, job.cout = rows.out_size, columns.out_size, geometry.cout
        job.kc, job.width = geometry.cin // geometry.groups, geometry.cout // geometry.groups
        job.kernel_w, job.kernel_taps = columns.kernel, rows.kernel * columns.kernel
        job.row_phases, job.column_phases = len(rows.phases), len(columns.phases)
        job.planes, job.per, job.patterns = columns.in_step, plan.per, plan.patterns
        job.lowest, job.positions, job.x_step, job.slots = plan.lowest, plan.positions, plan.x_step, plan.slots
        job.blocks, job.block_lanes = ceil_div(job.cout, lanes) if job.per == lanes else 1, lanes
        job.stretches, job.bands = plan.stretches, plan.bands
        job.lines, job.pixels = max([p.count for p in rows.phases]), max([p.count for p in columns.phases])
        job.most_taps = rows.most_taps
        job.point = job.kernel_taps == 1 and not plan.padding and job.per == lanes and job.table.lanewise_point != NULL
        job.point = job.point and [p.offsets for p in rows.phases + columns.phases] == [(0,), (0,)]
        n = sum([len(p.offsets) for p in rows.phases]) + job.kc * sum([len(p.offsets) for p in columns.phases])
        self.numbers = <int64_t *> malloc((n + 1) * sizeof(int64_t))
        job.row = <LanewiseRows *> calloc(job.row_phases + 1, sizeof(LanewiseRows))
        job.column = <LanewiseColumns *> calloc(job.column_phases + 1, sizeof(LanewiseColumns))
        if not (self.numbers and job.row and job.column):
            raise MemoryError("no memory for a plan")
        n = i = 0
        for phase in rows.phases:
            job.row[i].start, job.row[i].step, job.row[i].count = phase.start, phase.step, phase.count
            job.row[i].in_step, job.row[i].taps, job.row[i].before = phase.in_step, len(phase.offsets), phase.before
            job.row[i].offsets = self.numbers + n
            for offset in phase.offsets:
                self.numbers[n] = offset
                n += 1
            i += 1
        j = 0
        for phase in columns.phases:
            job.column[j].start, job.column[j].step, job.column[j].count = phase.start, phase.step, phase.count
            job.column[j].taps, job.column[j].before = len(phase.offsets), phase.before
            job.column[j].piece, job.column[j].section = plan.pieces[j], plan.sections[j]
            job.column[j].shifts = self.numbers + n
            for offset in phase.offsets:
                shift = offset % job.planes * job.x_step + (offset // job.planes - job.lowest) * job.per
                for k in range(job.kc):
                    self.numbers[n] = shift + k * job.planes * job.x_step
                    n += 1
            j += 1
        self.x_bytes = self.bytes_of(&self.x, job.images, job.h, job.w, job.cin)
        self.out_bytes = self.bytes_of(&self.out, job.images, job.ho, job.wo, job.cout)
        self.bias_bytes = job.cout * size
        self.weight_bytes = job.kernel_taps * job.kc * ceil_div(job.cout, lanes) * lanes * size
        # for all tasks: bias and slopes in whole vectors; if pixels share vectors, the weights in the same order
        self.shared_bytes = 2 * max(ceil_div(job.cout, lanes), 3) * lanes * size
        if job.per != lanes:
            self.shared_bytes += job.kernel_taps * job.kc * job.patterns * lanes * size
        self.describe_work(plan.nanoseconds)

    def __dealloc__(self):
        free(self.numbers)
        free(self.job.row)
        free(self.job.column)

    cdef void _lay_out(self, const char *values, char *into) noexcept:
        """[cout] -> whole vectors, or [patterns][lanes]."""
        cdef int64_t size = self.job.table.itemsize, e, n = self.job.patterns * self.job.table.lanes
        if self.job.per == self.job.table.lanes:
            n = self.job.blocks * self.job.table.lanes
            memcpy(into, values, self.bias_bytes)
            memset(into + self.bias_bytes, 0, n * size - self.bias_bytes)
            return
        memset(into, 0, n * size)
        for e in range(n):
            if e % self.job.per < self.job.cout:
                memcpy(into + e * size, values + e % self.job.per * size, size)

    cdef void _lay_out_weights(self, const char *packed, char *into) noexcept nogil:
        """The panels of every phase pair, [panel][taps][kc][lanes] -> [taps][kc][patterns][lanes]."""
        cdef const LanewiseJob *job = &self.job
        cdef int64_t lanes = job.table.lanes, n = job.patterns * lanes, i, j, t, e, l, taps, before
        cdef const float *panels
        cdef float *weights
        for i in range(job.row_phases):
            for j in range(job.column_phases):
                taps = job.row[i].taps * job.column[j].taps * job.kc
                before = (job.row[i].before * job.kernel_w + job.row[i].taps * job.column[j].before) * job.kc
                panels = <const float *> packed + before * ceil_div(job.cout, lanes) * lanes
                weights = <float *> into + before * n
                for t in range(taps):
                    l = 0
                    for e in range(n):
                        weights[t * n + e] = panels[(l // lanes * taps + t) * lanes + l % lanes] if l < job.cout else 0
                        l += 1
                        if l == job.per:
                            l = 0

    cdef int execute(self, const Operands *on, Script into) except -1:
        cdef LanewiseJob job
        cdef char *memory
        cdef char *shared
        cdef int64_t tasks, lane_bytes, vectors
        cdef int threads = on.threads
        copy_struct(&job, &self.job, sizeof(job))
        if self.out_bytes == 0:
            return 0
        job.x, job.weights, job.out, job.end = on.x, on.weights, on.out, on.end
        if (job.point and job.kc == 4 == job.width and 2 * job.table.lanes * self.table.itemsize == 64
                and job.end.act.code <= ACT_CLIP):
            job.blocks, job.block_lanes = ceil_div(job.blocks, 2), 2 * job.table.lanes
        # bands of rows, so that there are enough tasks for the threads
        tasks = job.images * job.blocks * job.stretches
        if threads > 1 and tasks * job.bands < <int64_t> 4 * threads:
            job.bands = max(job.bands, min(job.lines, ceil_div(<int64_t> 4 * threads, tasks)))
        tasks *= job.bands
        if tasks < threads:
            threads = <int> tasks
        lane_bytes = ceil_div(lanewise_scratch(&job), 64) * 64 + 64  # + a cache line, so that threads share none
        memory = NULL
        if into is not None:
            shared = into.hold(self.shared_bytes)
        else:
            memory = <char *> malloc(self.shared_bytes + threads * lane_bytes + 64)
            if memory == NULL:
                raise MemoryError("no memory for scratch")
            shared = memory + (64 - <uintptr_t> memory % 64)
        vectors = max(ceil_div(job.cout, job.table.lanes), 3) * job.table.lanes * job.table.itemsize
        job.end.bias = shared
        if on.end.bias:
            self._lay_out(<const char *> on.end.bias, shared)
        else:
            memset(shared, 0, vectors)
        if on.end.alpha:
            self._lay_out(<const char *> on.end.alpha, shared + vectors)
            job.end.alpha = shared + vectors
        if job.per != job.table.lanes:
            self._lay_out_weights(on.weights, shared + 2 * vectors)
            job.weights = shared + 2 * vectors
        self.deal(into, lanewise_task, &job, sizeof(job), tasks, threads, shared + self.shared_bytes, lane_bytes, &job.x.at,
                  &job.out.at)
        free(memory)
        return 0
