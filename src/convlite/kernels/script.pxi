# Steps that are kept and run in a row without Python: the core's form of a network's program (stretch.h runs them).
#
# Binding: the functions of this module that run a step also take a Script. Then they add their step to it, with a copy of its
# job, and do not run it. What a step points to (weights, an arena) must live as long as the Script: `keep` holds it. Arrays that
# change from call to call are lent while steps are bound, and `point` moves the pointers of all jobs to those of the current
# call.
#
# A Script is for one thread at a time.

# One task of a job, with its thread's scratch. Tasks of a job write to different places, and run in any order.
ctypedef void (*Task)(const void *job, int64_t task, char *scratch) noexcept nogil

cdef extern from "stretch.h" nogil:
    enum:
        LANE_BYTES
    ctypedef struct Step:
        Task task
        const void *job
        int64_t tasks, nanoseconds
        int threads, subnormals
    void run_stretch(const Step *, int64_t, int, char *, int64_t)
    void run_one(Task, const void *, int64_t, int, char *, int64_t, int)

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef enum:
    SPLIT_NANOSECONDS = 5000   # the work of a step that is worth one more thread that is awake
    WAKE_NANOSECONDS = 60000   # the work of a stretch that is worth waking a thread
    SIGNAL_NANOSECONDS = 50000000  # after this time Ctrl-C is checked
    GIL_NANOSECONDS = 10000    # shorter stretches keep the GIL

cdef struct Moved:             # a job's pointer into a lent array
    char **at
    int array
    int64_t offset

cdef struct Lent:
    const char *start
    int64_t nbytes


cdef void *more(void *items, int64_t count, size_t size) except NULL:
    """Make room for one more item behind `count`; the room doubles each time."""
    if count & (count - 1):
        return items
    items = realloc(items, <size_t> (2 * count if count else 1) * size)
    if items == NULL:
        raise MemoryError("no memory for a program")
    return items


@cython.final
cdef class Script:
    """Bound steps. threads: at most this many share a step; arrays: those that `point` replaces."""

    cdef readonly int threads
    cdef Step *steps
    cdef Moved *moved
    cdef Lent *lent
    cdef void **blocks
    cdef char *scratch
    cdef int64_t count, moves, loans, held, lane_bytes
    cdef list kept

    def __cinit__(self, int threads, arrays=()):
        cdef View view
        self.threads, self.kept = threads, []
        for array in arrays:
            PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
            PyBuffer_Release(&view)
            self.lent = <Lent *> more(self.lent, self.loans, sizeof(Lent))
            self.lent[self.loans].start, self.lent[self.loans].nbytes = <const char *> view.buf, view.len
            self.loans += 1

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.held):
            free(self.blocks[i])
        free(self.blocks)
        free(self.steps)
        free(self.moved)
        free(self.lent)
        free(self.scratch)

    def __len__(self):
        return self.count

    def keep(self, thing):
        """Keep an object as long as the steps."""
        self.kept.append(thing)

    cdef char *hold(self, int64_t nbytes) except NULL:
        """Memory, aligned to a cache line, that lives as long as the steps."""
        cdef void *block
        self.blocks = <void **> more(self.blocks, self.held, sizeof(void *))
        block = malloc(<size_t> nbytes + 64)
        if block == NULL:
            raise MemoryError("no memory for a program")
        self.blocks[self.held] = block
        self.held += 1
        return <char *> (<uintptr_t> block + 63 & ~<uintptr_t> 63)

    cdef int share(self, int64_t nanoseconds) noexcept:
        """How many threads a step with this work gets."""
        return self.threads if nanoseconds >= SPLIT_NANOSECONDS else 1

    cdef char *add(self, Task task, const void *job, int64_t job_bytes, int64_t tasks, int64_t lane_bytes, int subnormals,
                   int64_t nanoseconds) except NULL:
        """A step with a copy of its job, which is returned."""
        cdef char *copy = self.hold(job_bytes)
        cdef Step *step
        memcpy(copy, job, <size_t> job_bytes)
        self.steps = <Step *> more(self.steps, self.count, sizeof(Step))
        step = &self.steps[self.count]
        step.task, step.job, step.tasks, step.nanoseconds = task, copy, tasks, nanoseconds
        step.threads, step.subnormals = self.share(nanoseconds), subnormals
        self.count += 1
        self.lane_bytes = max(self.lane_bytes, lane_bytes)
        return copy

    cdef int move(self, char *copy, const void *job, const void *field) except -1:
        """Note a field of pointers, in a job that was added, that may point into a lent array."""
        cdef char **at = <char **> (copy + (<const char *> field - <const char *> job))
        cdef int64_t i
        for i in range(self.loans):
            if self.lent[i].start <= at[0] < self.lent[i].start + self.lent[i].nbytes:
                self.moved = <Moved *> more(self.moved, self.moves, sizeof(Moved))
                self.moved[self.moves].at, self.moved[self.moves].array = at, <int> i
                self.moved[self.moves].offset = at[0] - self.lent[i].start
                self.moves += 1
                return 0
        return 0

    def join(self, int64_t first, int64_t last):
        """Join consecutive passes over the same elements, of the steps first <= i < last; return how many steps went."""
        cdef int64_t end, piece, i, gone = 0
        cdef ChainJob *chain
        cdef Step *step
        while first < last:
            end = chain_end(self.steps, first, last, &piece)
            if end - first > 1:
                chain = <ChainJob *> self.hold(sizeof(ChainJob))
                chain.count = <int> (end - first)
                step = &self.steps[first]
                for i in range(chain.count):
                    cut_alike(<PassJob *> step[i].job, piece)
                    chain.jobs[i], chain.subnormals[i] = <const PassJob *> step[i].job, step[i].subnormals
                    if i:
                        step.nanoseconds += step[i].nanoseconds
                        step[i].tasks = step[i].nanoseconds = 0
                step.task, step.job, step.tasks = chain_task, chain, chain.jobs[0].tasks
                step.threads = self.share(step.nanoseconds)
                gone += chain.count - 1
            first = max(end, first + 1)
        return gone

    def close(self):
        """Allocate the scratch, after the last step was added."""
        cdef int64_t lane = ceil_div(self.lane_bytes, 64) * 64 + 64 + LANE_BYTES  # plus a cache line, so that threads share none
        free(self.scratch)
        self.scratch = <char *> malloc(<size_t> (lane * self.threads + 64))
        if self.scratch == NULL:
            raise MemoryError(f"no memory for {lane * self.threads} bytes of scratch")
        self.lane_bytes = lane

    def point(self, arrays):
        """Use these arrays in place of the lent ones: the same number, the same sizes, contiguous."""
        cdef View view
        cdef int64_t i
        if len(arrays) != self.loans:
            raise ValueError("internal error: other arrays than those that were lent")
        for i in range(self.loans):
            if not look(arrays[i], &view):
                view.obj = NULL
                PyObject_GetBuffer(arrays[i], &view, PyBUF_SIMPLE)
            release(&view)
            if view.len != self.lent[i].nbytes:
                raise ValueError("internal error: another size than that of the lent array")
            self.lent[i].start = <const char *> view.buf
        for i in range(self.moves):
            self.moved[i].at[0] = <char *> self.lent[self.moved[i].array].start + self.moved[i].offset

    def run(self, int64_t first, int64_t last, bint alone=False):
        """Run the steps first <= i < last; the GIL is released unless they are short.

        alone: they are timed by themselves, with the threads that they would find awake after other steps.
        """
        cdef int64_t end, work, shared
        cdef int threads
        cdef char *scratch = <char *> (<uintptr_t> self.scratch + 63 & ~<uintptr_t> 63)
        if not 0 <= first <= last <= self.count or self.scratch == NULL:
            raise ValueError("internal error: no such steps")
        while first < last:
            end, work, shared = first, 0, 0
            while end < last and (end == first or work + self.steps[end].nanoseconds < SIGNAL_NANOSECONDS):
                work += self.steps[end].nanoseconds
                shared += self.steps[end].nanoseconds if self.steps[end].threads > 1 else 0
                end += 1
            threads = self.threads if shared >= (SPLIT_NANOSECONDS if alone else WAKE_NANOSECONDS) else 1
            if work < GIL_NANOSECONDS:
                run_stretch(self.steps + first, end - first, 1, scratch, self.lane_bytes)
            else:
                with nogil:
                    run_stretch(self.steps + first, end - first, threads, scratch, self.lane_bytes)
            first = end
            if first < last:
                PyErr_CheckSignals()


cdef int deal(Script into, Task run, const void *job, int64_t job_bytes, int64_t tasks, int threads, int64_t lane_bytes,
              bint short, int subnormals, int64_t nanoseconds, const void *x, const void *out, const void *more=NULL) except -1:
    """Run a step, or add it to a script; x, more and out are its job's pointers to what it reads and writes, or NULL."""
    cdef char *scratch
    cdef char *copy
    if into is None:
        threads = <int> smaller(max(threads, 1), tasks)
        scratch = new_scratch(lane_bytes * threads)
        run_step(run, job, tasks, threads, scratch, lane_bytes, short, subnormals)
        free(scratch)
        return 0
    copy = into.add(run, job, job_bytes, tasks, lane_bytes, subnormals, nanoseconds)
    if x != NULL:
        into.move(copy, job, x)
    if out != NULL:
        into.move(copy, job, out)
    if more != NULL:
        into.move(copy, job, more)
    return 0
