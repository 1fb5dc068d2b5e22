# Arrays as pointers. A direct PyObject_GetBuffer costs a quarter of the time of a typed memoryview and a third of its code.

cdef extern from "Python.h":
    int PyBUF_SIMPLE, PyBUF_WRITABLE, PyBUF_FORMAT, PyBUF_STRIDES
    ctypedef struct View "Py_buffer":
        void *obj
        void *buf
        Py_ssize_t len, itemsize
        int readonly, ndim
        char *format
        Py_ssize_t *shape
        Py_ssize_t *strides
    int PyObject_GetBuffer(object, View *, int) except -1
    void PyBuffer_Release(View *)
    int PyBuffer_IsContiguous(const View *, char)


cdef void *borrow(object array, View *view, int64_t nbytes, bint writeable, str name) except? NULL:
    """The data of a contiguous array of `nbytes` bytes; NULL for None.

    `view` starts as zeros; the caller releases it in any case.
    """
    if array is None:
        return NULL
    PyObject_GetBuffer(array, view, PyBUF_WRITABLE if writeable else PyBUF_SIMPLE)
    if view.len != nbytes:
        raise ValueError(f"internal error: {name} has {view.len} bytes where the plan needs {nbytes}")
    return view.buf


cdef extern from *:
    """
    /* memcpy as a call: Cython and GCC copy a struct of 400 bytes twice, by `rep movs`, which is slow for so few. */
    static void *(*volatile copy_struct)(void *, const void *, size_t) = memcpy;
    """
    void *copy_struct(void *, const void *, size_t) noexcept nogil


cdef struct Extent:            # the sizes of an image, whatever its place in memory
    int64_t images, rows, columns, channels


cdef struct Image:             # where its pixels are: bytes from one image, row and pixel to the next; channels are contiguous
    char *at
    int64_t image, row, pixel


cdef inline Extent extent(int64_t images, int64_t rows, int64_t columns, int64_t channels) noexcept nogil:
    cdef Extent of
    of.images, of.rows, of.columns, of.channels = images, rows, columns, channels
    return of


cdef inline Image whole_image(const Extent *of, int64_t itemsize, const void *at) noexcept nogil:
    """A contiguous array."""
    cdef Image image
    image.at, image.pixel = <char *> at, of.channels * itemsize
    image.row = of.columns * image.pixel
    image.image = of.rows * image.row
    return image


cdef int64_t take_axis(int64_t *sizes, int64_t *steps, int *axes, int64_t size, int64_t whole) except -1:
    """The step of the last of the axes that are left, which has this size; `whole`: the step of a contiguous array."""
    cdef int last = axes[0] - 1
    cdef int64_t step
    if size == 1 or last < 0:
        return whole
    step = steps[last]
    with cython.cdivision(True):
        if sizes[last] % size or step < whole:
            raise ValueError("internal error: pixels overlap, or lie at different distances")
        sizes[last] //= size
    steps[last] *= size
    if sizes[last] == 1:
        axes[0] = last
    return step


cdef int borrow_image(object array, View *view, const Extent *of, int64_t itemsize, bint writeable, Image *image,
                      str name) except -1:
    """The pixels of an array, which may be some channels, rows or columns of a larger one; `view` as `borrow` has it.

    Its axes may differ from those of `of`: (1, 1, h*w, c) of a contiguous (n, h, w, c), or of some channels of such an array.
    """
    cdef int64_t sizes[8]
    cdef int64_t steps[8]
    cdef int axes = 0, i
    PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_WRITABLE if writeable else PyBUF_STRIDES)
    if view.len != of.images * of.rows * of.columns * of.channels * itemsize or view.itemsize != itemsize:
        raise ValueError(f"internal error: {name} has {view.len} bytes where the plan needs other ones")
    image[0] = whole_image(of, itemsize, view.buf)
    if view.len == 0 or PyBuffer_IsContiguous(view, 67):  # "C"
        return 0
    if view.ndim > 8 or view.shape[view.ndim - 1] != of.channels or (of.channels > 1 and view.strides[view.ndim - 1] != itemsize):
        raise ValueError(f"internal error: channels of {name} are not neighbours")
    for i in range(view.ndim - 1):
        if view.shape[i] == 1:
            continue
        if view.strides[i] % itemsize:
            raise ValueError(f"internal error: pixels of {name} lie within elements")
        if axes and steps[axes - 1] == view.strides[i] * view.shape[i]:  # these two axes are one
            sizes[axes - 1] *= view.shape[i]
            steps[axes - 1] = view.strides[i]
        else:
            sizes[axes], steps[axes] = view.shape[i], view.strides[i]
            axes += 1
    image.pixel = take_axis(sizes, steps, &axes, of.columns, image.pixel)
    image.row = take_axis(sizes, steps, &axes, of.rows, of.columns * image.pixel)
    image.image = take_axis(sizes, steps, &axes, of.images, of.rows * image.row if of.rows > 1 else image.row)
    return 0


def address(array):
    """Where the memory of a contiguous array starts."""
    cdef View view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    try:
        return <size_t> view.buf
    finally:
        PyBuffer_Release(&view)
