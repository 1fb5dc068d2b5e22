/* Rows of few columns, transposed LANES at a time: a vector for each column, a lane for each row. Then computations along such rows fill their
   vectors and need no sums across lanes. */

/* to[c*LANES + r] = from[r*columns + c] for r < rows <= LANES; the lanes beyond are zeros. `more` rows lie behind these. */
NOINLINE void NAME(turn)(const REAL *from, int64_t columns, int64_t rows, int64_t more, REAL *to) {
    if (rows == LANES) {
        if (columns == 1) VSTORE(to, VLOAD(from));
        else if (columns == 2) NAME(transpose_whole)(from, 2, 2, more >= 3, to, LANES);
        else if (columns == 3) NAME(transpose_whole)(from, 3, 3, more >= 3, to, LANES);
        else if (columns == 4 && LANES >= 4) NAME(transpose_whole)(from, 4, 4, more >= 3, to, LANES);
        else
            for (int64_t c = 0; c < columns; c += LANES) /* quads may reach into three more rows */
                NAME(transpose_whole)(from + c, columns, columns - c < LANES ? columns - c : LANES, more >= 3, to + c * LANES, LANES);
        return;
    }
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = 0; r < LANES; r++) to[c * LANES + r] = r < rows ? from[r * columns + c] : 0;
}

/* out[r*columns + c] = from[c*LANES + r], nothing beyond `rows` rows. */
NOINLINE void NAME(turn_back)(const REAL *from, int64_t columns, int64_t rows, REAL *out) {
    if (rows == LANES && LANES > 1) {
        if (columns == 1) VSTORE(out, VLOAD(from));
        else if (columns == 2) NAME(interleave_block)(from, LANES, 2, LANES >= 2 ? 2 : 1, 1, LANES, 2, out);
        else if (columns == 3 && LANES >= 4) NAME(interleave_block)(from, LANES, 3, LANES >= 4 ? 4 : 1, 0, LANES, 3, out);
        else if (columns == 4 && LANES >= 4) NAME(interleave_block)(from, LANES, 4, LANES >= 4 ? 4 : 1, 1, LANES, 4, out);
        else if (columns == 8 && LANES >= 8) NAME(interleave_block)(from, LANES, 8, LANES >= 8 ? 8 : 1, 1, LANES, 8, out);
        else if (columns < 8 && LANES > 8) NAME(interleave_block)(from, LANES, (int)columns, LANES > 8 ? 8 : 1, 0, LANES, columns, out);
        else
            for (int64_t c = (columns - 1) / LANES * LANES; c >= 0; c -= LANES) /* the last ones first, since they store too much */
                NAME(interleave_block)(from + c * LANES, LANES, columns - c < LANES ? (int)(columns - c) : LANES, LANES, 0, LANES, columns, out + c);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) out[r * columns + c] = from[c * LANES + r];
}
