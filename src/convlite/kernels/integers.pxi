# Whole numbers: what every loop nest needs.


cdef inline int64_t ceil_div(int64_t a, int64_t b) noexcept nogil:
    return (a + b - 1) // b

cdef inline int64_t smaller(int64_t a, int64_t b) noexcept nogil:
    return a if a < b else b


@cython.cdivision(True)
cdef inline int64_t share_start(int64_t i, int64_t shares, int64_t total) noexcept nogil:
    """Where share i starts when `total` is cut into nearly equal ones; never overflows."""
    return i * (total // shares) + smaller(i, total % shares)
