# Arrays as pointers. PyObject_GetBuffer by hand costs a quarter of a typed memoryview at the call and a third of its code.

cdef extern from "Python.h":
    int PyBUF_SIMPLE, PyBUF_WRITABLE, PyBUF_FORMAT, PyBUF_STRIDES
    ctypedef struct View "Py_buffer":
        void *buf
        Py_ssize_t len, itemsize
        int readonly, ndim
        char *format
        Py_ssize_t *shape
        Py_ssize_t *strides
    int PyObject_GetBuffer(object, View *, int) except -1
    void PyBuffer_Release(View *)


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


cdef int64_t pixel_step(const View *view) except -1:
    """Elements from one pixel to the next of a view with strides: of a whole array, or of some channels of a larger one."""
    cdef Py_ssize_t step = 0, expected = 0
    cdef bint found = False
    cdef int i
    if view.ndim == 0 or view.len == 0:
        return view.shape[view.ndim - 1] if view.ndim else 1
    if view.shape[view.ndim - 1] > 1 and view.strides[view.ndim - 1] != view.itemsize:
        raise ValueError("internal error: channels are not neighbours")
    for i in range(view.ndim - 2, -1, -1):
        if view.shape[i] == 1:
            continue
        if not found:
            step = expected = view.strides[i]
            found = True
        elif view.strides[i] != expected:
            raise ValueError("internal error: pixels lie at different distances")
        expected *= view.shape[i]
    if not found:
        return view.shape[view.ndim - 1]
    with cython.cdivision(True):
        if step % view.itemsize or step < view.shape[view.ndim - 1] * view.itemsize:
            raise ValueError("internal error: pixels overlap")
        return step // view.itemsize


cdef void *borrow_pixels(object array, View *view, int64_t nbytes, bint writeable, int64_t *step, str name) except NULL:
    """The data of an array of `nbytes` bytes, whose pixels lie `step` elements apart."""
    PyObject_GetBuffer(array, view, PyBUF_STRIDES | PyBUF_WRITABLE if writeable else PyBUF_STRIDES)
    if view.len != nbytes:
        raise ValueError(f"internal error: {name} has {view.len} bytes where the plan needs {nbytes}")
    step[0] = pixel_step(view)
    return view.buf


def address(array):
    """Where the memory of a contiguous array starts."""
    cdef View view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    try:
        return <size_t> view.buf
    finally:
        PyBuffer_Release(&view)
