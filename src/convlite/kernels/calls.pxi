# The cache of calls. For the first call of its kind, Python (ops.py) checks, plans and packs, and keeps the result as a Call. A
# later call is compared with that Call; if they are equal, it runs at once: 0.34 to 0.6 us if there is almost nothing to
# compute, instead of 2 (layers) to 12 (dense with out).
#
# A Call is used only if nothing that was checked can have changed:
#
#     the arrays        plain ndarrays (no subclass), native, aligned, C-contiguous, of the same dtype and shape; out writeable,
#                       and apart from every input
#     the arguments     the same values of the same types, and immutable ones (_calls.py)
#     where it is made  the same instruction set; the same precision, where the plan depends on it
#
# For any other call `replay` returns None; then Python checks and plans it, and raises all errors. Each call that is large enough
# for several threads decides their number again.

from sys import modules as _modules

from numpy import dtype as _dtype, empty as _empty, ndarray as _ndarray

cdef object array_type = _ndarray
cdef object float32 = _dtype("f4"), float64 = _dtype("f8")

cdef extern from "Python.h":
    int view_of "PyObject_GetBuffer"(object, View *, int)  # without an exception: see `look`
    void PyErr_Clear()
    void Py_INCREF(object)
    object PyObject_Call(object, object, void *)
    Py_ssize_t PyTuple_Size(object) except -1
    void *PyTuple_GetItem(object, Py_ssize_t) except NULL  # borrowed
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    int METH_FASTCALL, METH_O
    object PyCFunction_NewEx(PyMethodDef *, void *, void *)
    void *PyCapsule_GetPointer(object, const char *) except NULL

cdef extern from *:
    """
    typedef struct {
        PyObject_HEAD
        char *data;
        int axes;
        Py_ssize_t *dimensions;
        Py_ssize_t *strides;
        PyObject *base;
        PyObject *descr;
        int flags;
    } ArrayFields;
    """
    ctypedef struct ArrayFields:   # of an ndarray, in NumPy's ABI, 1.x and 2.x
        char *data
        int axes
        Py_ssize_t *dimensions
        Py_ssize_t *strides
        void *descr
        int flags

cdef enum:
    MOST_AXES = 6
    MOST_GIVEN = 12            # the operation's name and its arguments that are not arrays
    # The cache of one kernel: SETS sets, chosen by the shape of x, of PLACES calls. Long calls, for which the cost of planning
    # does not matter and whose plans are large, use the first LONG_PLACES of a set only.
    SETS = 32
    PLACES = 8
    LONG_PLACES = 2
    ODDS = 8                   # on average one of this many new calls replaces another, at random
    CONTIGUOUS = 0x1           # NumPy's flags of an array
    ALIGNED = 0x100
    WRITEABLE = 0x400
    WARNS = -0x80000000        # of a write, which is deprecated

cdef struct Shape:
    int axes
    Py_ssize_t sizes[MOST_AXES]

cdef const Table *active[KIND_COUNT]    # the tables in use, by kind


def use_tables(str isa):
    """Make an instruction set the one in use: Calls for another one wait until it is in use again."""
    cdef int kind
    for kind in range(KIND_COUNT):
        active[kind] = find_table(isa, kind)


cdef inline int set_of(const Py_ssize_t *sizes, int axes) noexcept:
    """The number of the set that an x belongs to."""
    cdef uint64_t hash = <uint64_t> axes
    cdef int i
    for i in range(axes):
        hash = (hash ^ <uint64_t> sizes[i]) * <uint64_t> 0x9e3779b97f4a7c15ULL
    return <int> (hash >> 59)


cdef int keep_shape(Shape *shape, tuple sizes) except -1:
    cdef int i
    shape.axes = <int> len(sizes)
    for i in range(shape.axes):
        shape.sizes[i] = sizes[i]
    return 0


cdef bint fields_are_known() except -1:
    """Whether the fields of an array are where ArrayFields has them; checked once, with an array whose view says the same."""
    cdef View view
    cdef bint known
    cdef int usual = CONTIGUOUS | ALIGNED | WRITEABLE
    array = _empty((2, 3), float32)
    turned, kept = array.T, array.view()
    kept.flags.writeable = False
    cdef const ArrayFields *of = <const ArrayFields *> <void *> array
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    known = of.data == view.buf and of.axes == 2 and of.descr == <void *> float32 and of.flags & usual == usual
    PyBuffer_Release(&view)
    return known and of.dimensions[0] == 2 and of.dimensions[1] == 3 and of.strides[0] == 12 and of.strides[1] == 4 \
        and (<const ArrayFields *> <void *> turned).flags & usual == ALIGNED | WRITEABLE \
        and (<const ArrayFields *> <void *> kept).flags & usual == CONTIGUOUS | ALIGNED


cdef bint known_fields = fields_are_known()


# Of NumPy's table of functions: its version, the class of arrays, and what makes one. np.empty takes 0.1 us more in a call.
ctypedef unsigned int (*VersionOf)()
ctypedef object (*NewFromDescr)(void *, void *, int, const Py_ssize_t *, const Py_ssize_t *, void *, int, void *)

cdef enum:
    API_VERSION = 0
    API_ARRAY = 2
    API_NEW = 94


cdef NewFromDescr find_new_array():
    """PyArray_NewFromDescr; NULL if NumPy has another table than 1.x and 2.x have."""
    cdef void **table
    loaded = _modules.get("numpy._core._multiarray_umath") or _modules.get("numpy.core._multiarray_umath")
    capsule = getattr(loaded, "_ARRAY_API", None)
    if capsule is None or not known_fields:
        return NULL
    try:
        table = <void **> PyCapsule_GetPointer(capsule, NULL)
    except ValueError:
        return NULL
    if (<VersionOf> table[API_VERSION])() >> 24 not in (1, 2) or table[API_ARRAY] != <void *> array_type:
        return NULL
    return <NewFromDescr> table[API_NEW]


cdef NewFromDescr new_array = find_new_array()


cdef bint look(object array, View *view):
    """View an aligned, C-contiguous float array that is an ndarray itself; False, with nothing to release, for anything else.

    The fields of the usual arrays are read directly.
    """
    cdef const ArrayFields *of
    cdef Py_ssize_t size
    cdef int i
    if type(array) is not array_type:
        return False
    of = <const ArrayFields *> <void *> array
    if not known_fields or (of.descr != <void *> float32 and of.descr != <void *> float64):
        return look_slowly(array, view)
    if of.flags & (CONTIGUOUS | ALIGNED | WARNS) != CONTIGUOUS | ALIGNED or of.axes > MOST_AXES:
        return False
    size = 4 if of.descr == <void *> float32 else 8
    view.obj, view.buf, view.ndim, view.itemsize, view.shape = NULL, of.data, of.axes, size, of.dimensions
    view.readonly = not of.flags & WRITEABLE
    for i in range(of.axes):
        size *= of.dimensions[i]
    view.len = size
    return True


cdef inline void release(View *view) noexcept:
    if view.obj != NULL:
        PyBuffer_Release(view)


cdef bint look_slowly(object array, View *view):
    """The same by the buffer protocol: other objects can be the same dtype, with metadata for instance."""
    cdef Py_ssize_t step
    cdef int i
    if view_of(array, view, PyBUF_FORMAT | PyBUF_STRIDES) < 0:  # a dtype without a buffer
        PyErr_Clear()
        view[0].buf = NULL
        return False
    if (view.format[0] == c"f" or view.format[0] == c"d") and view.format[1] == 0 and view.ndim <= MOST_AXES \
            and <uintptr_t> view.buf & <uintptr_t> (view.itemsize - 1) == 0:
        step, i = view.itemsize, view.ndim - 1
        while i >= 0 and (view.strides[i] == step or view.shape[i] == 1):
            step *= view.shape[i]
            i -= 1
        if i < 0:
            return True
    PyBuffer_Release(view)
    return False


cdef bint has_shape(const View *view, const Shape *shape, Py_ssize_t itemsize) noexcept:
    cdef int i
    if view.ndim != shape.axes or view.itemsize != itemsize:
        return False
    for i in range(shape.axes):
        if view.shape[i] != shape.sizes[i]:
            return False
    return True


cdef inline bint apart(const View *a, const View *b) noexcept:
    return <const char *> a.buf + a.len <= <const char *> b.buf or <const char *> b.buf + b.len <= <const char *> a.buf


cdef bint same(object a, object b) except -1:
    """Equal, and of equal types: 1 is not 1.0 nor True."""
    cdef Py_ssize_t i, n
    cdef void *one
    cdef void *other
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        n = PyTuple_Size(a)
        if n != PyTuple_Size(b):
            return False
        for i in range(n):
            one, other = PyTuple_GetItem(a, i), PyTuple_GetItem(b, i)
            if one != other and not same(<object> one, <object> other):
                return False
        return True
    return a == b


cdef struct Given:             # borrowed: an operation's name, and all of its arguments but arrays
    void *values[MOST_GIVEN]
    Py_ssize_t count


cdef int open_given(tuple values, Given *given) except -1:
    """`values` as a Given, for as long as the tuple lives."""
    cdef Py_ssize_t i
    given.count = PyTuple_Size(values)
    if given.count > MOST_GIVEN:
        raise ValueError("internal error: more arguments than an operation has")
    for i in range(given.count):
        given.values[i] = PyTuple_GetItem(values, i)
    return 0


cdef inline bint all_same(const Given *a, void *const *values, Py_ssize_t count) except -1:
    cdef Py_ssize_t i
    if a.count != count:
        return False
    for i in range(count):
        if a.values[i] != values[i] and not same(<object> a.values[i], <object> values[i]):
            return False
    return True


@cython.final
@cython.no_gc_clear            # `given` points into `keep`
cdef class Call:
    """What was found out for one call. Immutable after construction, so threads may share it."""

    cdef Runner runner
    cdef Recipe recipe         # how each call packs the kernel again; None: it is packed already, or used unpacked
    cdef Given given
    cdef tuple new             # new_output's arguments
    cdef object dtype          # of the output
    cdef tuple keep            # what `fixed` and `given` point into
    cdef object fast           # None: any precision
    cdef object is_fast, threads_for, after, new_output
    cdef int64_t nanoseconds
    cdef Shape x, kernel, out
    cdef Py_ssize_t channels
    cdef bint plain, needs_finite
    cdef bint usual            # new_output is np.empty, and new_array does the same
    cdef Operands fixed
    cdef View views[2]

    def __cinit__(self, Runner runner, tuple given, tuple x_shape, tuple out_shape, dtype, tuple kernel_shape, recipe, panels,
                  fused, after, bint needs_finite, fast, is_fast, threads_for, int64_t nanoseconds, new_output):
        self.runner, self.recipe, self.new, self.dtype = runner, recipe, (out_shape, dtype), dtype
        self.fast, self.is_fast, self.threads_for, self.after = fast, is_fast, threads_for, after
        self.nanoseconds, self.needs_finite, self.plain, self.new_output = nanoseconds, needs_finite, panels is None, new_output
        self.usual = new_output is _empty and new_array != NULL
        self.channels = out_shape[len(out_shape) - 1]
        keep_shape(&self.x, x_shape)
        keep_shape(&self.out, out_shape)
        keep_shape(&self.kernel, kernel_shape)
        self.fixed.end.act.code, self.fixed.end.act.a, self.fixed.end.act.b, alpha = fused
        self.keep = (panels, alpha, given)
        open_given(given, &self.given)
        self.fixed.end.alpha = borrow(alpha, &self.views[0], runner.bias_bytes, False, "alpha")
        self.fixed.threads, self.fixed.finite = 1, True
        self.fixed.x, self.fixed.out = whole_image(&runner.x, runner.table.itemsize, NULL), \
            whole_image(&runner.out, runner.table.itemsize, NULL)
        if panels is not None:
            self.fixed.weights = <const char *> borrow(panels[0], &self.views[1], runner.weight_bytes, False, "weights")
            self.fixed.finite = panels[1]

    def __dealloc__(self):
        PyBuffer_Release(&self.views[0])
        PyBuffer_Release(&self.views[1])

    cdef bint serves(self, const View *x, void *const *given, Py_ssize_t count) except -1:
        """Whether x, the arguments, the instruction set and the precision are those of this Call."""
        cdef const Table *table = self.runner.table
        if not has_shape(x, &self.x, table.itemsize) or table != active[table.kind]:
            return False
        return all_same(&self.given, given, count) and (self.fast is None or self.is_fast() is self.fast)

    cdef bint all_finite(self, const void *weights) noexcept:
        """For a kernel that is used unpacked: whether all weights are finite."""
        cdef int64_t n = self.runner.weight_bytes // self.runner.table.itemsize
        cdef uint64_t mode
        cdef bint finite
        if self.runner.short:
            mode = float_mode_enter(False)
            finite = self.runner.table.all_finite(weights, n)
            float_mode_leave(mode)
            return finite
        with nogil:
            mode = float_mode_enter(False)
            finite = self.runner.table.all_finite(weights, n)
            float_mode_leave(mode)
        return finite

    cdef object output(self):
        """A new array for the result."""
        if not self.usual:
            return PyObject_Call(self.new_output, self.new, NULL)
        Py_INCREF(self.dtype)  # which the function takes over
        return new_array(<void *> array_type, <void *> self.dtype, self.out.axes, self.out.sizes, NULL, NULL, 0, NULL)

    cdef object run(self, const View *x, object kernel, object bias, object out):
        """The output; None where an array does not fit."""
        cdef View views[3]
        cdef Operands on = self.fixed
        cdef char *packed = NULL
        cdef Py_ssize_t itemsize = self.runner.table.itemsize
        cdef object y = out
        cdef int i
        if self.after is not None and out is not None:  # what fails afterwards must not have touched it
            return None
        for i in range(3):  # what is read of a View that nothing was looked at through
            views[i].obj, views[i].buf, views[i].len = NULL, NULL, 0
        try:
            if bias is not None:
                if not look(bias, &views[1]) or views[1].ndim != 1 or views[1].shape[0] != self.channels \
                        or views[1].itemsize != itemsize:
                    return None
                on.end.bias = views[1].buf
            if self.plain:
                if not look(kernel, &views[2]) or not has_shape(&views[2], &self.kernel, itemsize):
                    return None
                on.weights = <const char *> views[2].buf
            if out is None:
                try:
                    y = self.output()
                except MemoryError:
                    return None
                if not look(y, &views[0]):
                    return None
            elif not look(out, &views[0]) or views[0].readonly or not has_shape(&views[0], &self.out, itemsize) \
                    or not apart(&views[0], x) or not apart(&views[0], &views[1]) or not apart(&views[0], &views[2]):
                return None
            if self.recipe is not None:
                packed = <char *> malloc(self.recipe.dst_bytes + 63)
                if packed == NULL:
                    return None
                on.weights = <const char *> (<uintptr_t> (packed + 63) & ~<uintptr_t> 63)
                if self.runner.short:
                    on.finite = self.recipe.fill(views[2].buf, <void *> on.weights)
                else:
                    with nogil:
                        on.finite = self.recipe.fill(views[2].buf, <void *> on.weights)
                if self.needs_finite and not on.finite:
                    return None
            elif self.plain and self.needs_finite and not self.all_finite(views[2].buf):
                return None
            if self.threads_for is not None:
                on.threads = self.threads_for(self.nanoseconds)
            on.x.at, on.out.at = <char *> x.buf, <char *> views[0].buf
            self.runner.execute(&on, None)
        finally:
            free(packed)
            for i in range(3):
                release(&views[i])
        return y if self.after is None else self.after(y)


@cython.final
cdef class Calls:
    """The calls that were made with one kernel, or with plain arrays.

    When a set is full, only a few new calls, chosen at random, replace another one. So when a program uses more shapes in turn
    than there is room for, many calls still find theirs, and no time is spent on keeping the others. When each new call replaced
    the oldest, 65 shapes in turn never found theirs, and paid for keeping them.

    A set is a tuple, which is replaced, never changed, so that threads can search the one they hold.
    """

    cdef list sets
    cdef uint32_t dice

    def __cinit__(self):
        self.sets = [()] * SETS

    cdef tuple held(self, int i):
        with cython.critical_section(self):  # for interpreters without a GIL; nothing elsewhere
            return <tuple> self.sets[i]

    def __len__(self):
        return sum([len(self.held(i)) for i in range(SETS)])

    cdef uint32_t throw(self, uint32_t sides) noexcept:
        self.dice = self.dice * <uint32_t> 1664525 + <uint32_t> 1013904223
        return (self.dice >> 16) % sides

    cdef bint has_room(self, int i, bint short):
        """Whether a new call is worth keeping; at random if it replaces another."""
        if len(self.held(i)) < (PLACES if short else LONG_PLACES):
            return True
        with cython.critical_section(self):
            return self.throw(ODDS) == 0

    def keep(self, Call call):
        """Remember a call."""
        cdef int i = set_of(call.x.sizes, call.x.axes)
        cdef Py_ssize_t places = PLACES if call.threads_for is None else LONG_PLACES, place
        cdef tuple calls
        with cython.critical_section(self):
            calls = <tuple> self.sets[i]
            place = len(calls)
            if place >= places:
                place = self.throw(<uint32_t> places)
            self.sets[i] = (*calls[:place], call, *calls[place + 1:])

    def clear(self):
        """Forget them all."""
        with cython.critical_section(self):
            self.sets = [()] * SETS

    cdef Call find(self, const View *x, void *const *given, Py_ssize_t count):
        cdef tuple calls = self.held(set_of(x.shape, x.ndim))
        cdef Call call
        cdef Py_ssize_t i
        for i in range(PyTuple_Size(calls)):
            call = <Call> PyTuple_GetItem(calls, i)
            if call.serves(x, given, count):
                return call
        return None


plain_calls = Calls()          # with kernels that are arrays; ops keeps only short ones here
cdef Calls plain = plain_calls


cdef class Packed:
    """What a PackedKernel has in the core."""

    cdef readonly Calls calls  # that were made with it: see _calls.py

    def __cinit__(self):
        self.calls = Calls()


cdef object run_again(void *const *given, Py_ssize_t count, x, Calls calls, kernel, bias, out):
    cdef View view
    cdef Call call
    if calls is None or not look(x, &view):
        return None
    try:
        call = calls.find(&view, given, count)
        return None if call is None else call.run(&view, kernel, bias, out)
    finally:
        release(&view)


cdef inline Calls calls_of(object kernel):
    if type(kernel) is array_type:
        return plain
    return (<Packed> kernel).calls if isinstance(kernel, Packed) else None


cdef enum:
    ARRAYS = 4                 # arguments of `replay` before the others

cdef object replay_fast(object module, void *const *arguments, Py_ssize_t count):
    """See the text of `replay`. Under the limited API, a function of Cython's takes its arguments as a tuple."""
    if count < ARRAYS:
        raise TypeError("internal error: replay takes at least four arguments")
    return run_again(arguments + ARRAYS, count - ARRAYS, <object> arguments[0], calls_of(<object> arguments[1]),
                     <object> arguments[1], <object> arguments[2], <object> arguments[3])


cdef PyMethodDef replay_definition
replay_definition.ml_name, replay_definition.ml_meth, replay_definition.ml_flags = "replay", <void *> replay_fast, METH_FASTCALL
replay_definition.ml_doc = """replay(x, kernel, bias, out, *given)

The output of a call that is equal to an earlier one; None if there is none, or something has changed.
`given`: the operation's name and all of its other arguments. out is untouched where the answer is None."""
replay = PyCFunction_NewEx(&replay_definition, NULL, NULL)


def is_wanted(tuple given, x, kernel, bint short):
    """Whether to keep this call: no kept one is equal apart from bias and out, a Call can serve it, and there is room."""
    cdef View view
    cdef Given values
    cdef Calls calls = calls_of(kernel)
    if calls is None or not look(x, &view):
        return False
    try:
        open_given(given, &values)
        return calls.find(&view, values.values, values.count) is None and calls.has_room(set_of(view.shape, view.ndim), short)
    finally:
        release(&view)


@cython.final
@cython.no_gc_clear            # likewise
cdef class Bound:
    """A call with everything fixed except x; `first` makes it if it does not exist yet."""

    cdef Given given
    cdef Calls calls
    cdef readonly object kernel
    cdef object bias, first, keep

    def __cinit__(self, tuple given, kernel, bias, first):
        self.kernel, self.bias, self.first, self.calls, self.keep = kernel, bias, first, kernel.calls, given
        open_given(given, &self.given)


cdef object call_bound(object bound, object x):
    cdef Bound of = <Bound> bound
    y = run_again(of.given.values, of.given.count, x, of.calls, of.kernel, of.bias, None)
    return of.first(x) if y is None else y


cdef PyMethodDef bound_definition
bound_definition.ml_name, bound_definition.ml_meth, bound_definition.ml_flags = "bound", <void *> call_bound, METH_O
bound_definition.ml_doc = "The operation with all of its other arguments fixed."


def bound(tuple given, kernel, bias, first):
    """A function of x: the call with everything else fixed. `first` makes it if it does not exist yet.

    It is a built-in function, which takes its argument without a tuple.
    """
    of = Bound(given, kernel, bias, first)
    return PyCFunction_NewEx(&bound_definition, <void *> of, NULL)
