# Philox 4x32-10 of _philox.py, for the most common initial weights: uniform values in float32.


cdef inline void philox_block(uint64_t block, uint64_t upper, uint32_t k0, uint32_t k1, uint32_t *words) noexcept nogil:
    """The four words of a block: ten rounds on the counter (block, upper)."""
    cdef uint64_t p0, p1
    cdef uint32_t c0 = <uint32_t> block, c1 = <uint32_t> (block >> 32), c2 = <uint32_t> upper, c3 = <uint32_t> (upper >> 32)
    cdef int i
    for i in range(10):
        p0, p1 = <uint64_t> <uint32_t> 0xD2511F53 * c0, <uint64_t> <uint32_t> 0xCD9E8D57 * c2
        c0, c2 = <uint32_t> (p1 >> 32) ^ c1 ^ k0, <uint32_t> (p0 >> 32) ^ c3 ^ k1
        c1, c3 = <uint32_t> p1, <uint32_t> p0
        k0, k1 = k0 + <uint32_t> 0x9E3779B9, k1 + <uint32_t> 0xBB67AE85
    words[0], words[1], words[2], words[3] = c0, c1, c2, c3


cdef void philox_uniform_blocks(uint64_t first, uint64_t last, uint64_t upper, uint32_t k0, uint32_t k1,
                                uint32_t *out) noexcept nogil:
    """Values in [0, 1): 23 bits of a word are the fraction of a float in [1, 2), from which 1 is taken."""
    cdef uint64_t block
    cdef uint32_t *word
    cdef float *value
    cdef int i
    for block in range(first, last):
        word = out + 4 * block
        value = <float *> word
        philox_block(block, upper, k0, k1, word)
        for i in range(4):
            word[i] = (word[i] & <uint32_t> 0x7FFFFF) | <uint32_t> 0x3F800000
            value[i] = value[i] - 1


def philox_uniform(uint32_t k0, uint32_t k1, uint32_t upper0, uint32_t upper1, out, int threads):
    """Fill a float32 array of whole blocks of four with a stream's first values; threads share the blocks."""
    cdef View view
    cdef int64_t blocks, shares = 4 * threads, share
    cdef uint64_t upper = <uint64_t> upper1 << 32 | upper0
    cdef uint32_t *to
    PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
    try:
        if view.itemsize != 4 or view.len % 16:
            raise ValueError(f"internal error: {view.len} bytes are no blocks")
        blocks, to = view.len // 16, <uint32_t *> view.buf
        if threads > 1:
            for share in prange(shares, nogil=True, num_threads=threads, schedule="dynamic", chunksize=1):
                philox_uniform_blocks(share_start(share, shares, blocks), share_start(share + 1, shares, blocks), upper,
                                      k0, k1, to)
        else:
            with nogil:
                philox_uniform_blocks(0, blocks, upper, k0, k1, to)
    finally:
        PyBuffer_Release(&view)
