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


def address(array):
    """Where the memory of a contiguous array starts."""
    cdef View view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    try:
        return <size_t> view.buf
    finally:
        PyBuffer_Release(&view)
