# Philox 4x32-10 of _philox.py, for the most common initial weights: uniform values in float32.


cdef extern from "philox.h" nogil:
    void philox_blocks(uint64_t first, uint64_t last, uint64_t upper, uint32_t k0, uint32_t k1, float *out) noexcept


def philox_uniform(uint32_t k0, uint32_t k1, uint32_t upper0, uint32_t upper1, out, int threads):
    """Fill a float32 array of whole blocks of four with a stream's first values; threads share the blocks."""
    cdef View view
    cdef int64_t blocks, shares = 4 * threads, share
    cdef uint64_t upper = <uint64_t> upper1 << 32 | upper0
    cdef float *to
    PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
    try:
        if view.itemsize != 4 or view.len % 16:
            raise ValueError(f"internal error: {view.len} bytes are no blocks")
        blocks, to = view.len // 16, <float *> view.buf
        if threads > 1:
            for share in prange(shares, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
                philox_blocks(share_start(share, shares, blocks), share_start(share + 1, shares, blocks), upper, k0, k1, to)
        else:
            with nogil:
                philox_blocks(0, blocks, upper, k0, k1, to)
    finally:
        PyBuffer_Release(&view)
