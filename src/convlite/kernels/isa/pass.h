/* One pass over memory: out[r][c] = act(op(a[r][c], b[r][c], ..)) for rows x columns, each operand with a step of its own from row to row.

   A step of 0 uses one row for all rows, for operands that are broadcast. b, and factor and offset, may be one number for each row. Contract: a,
   out, and every operand that is not such a number are contiguous along the columns; out may be a or b. max and min give NaN where either operand
   is NaN; of two zeros PASS_MAX takes b, PASS_MIN the negative one. An element's result depends on the element alone. */

/* The smaller one; NaN where either operand is: the bits of a NaN, or of both zeros, survive the OR. */
#define VMIN_NAN(a, b) VOR(VMIN(a, b), VMIN(b, a))

INLINE V NAME(combine_two)(const int op, V a, V b, V factor, V offset) {
    switch (op) {
    case PASS_ADD: return VADD(a, b);
    case PASS_SUB: return VSUB(a, b);
    case PASS_MUL: return VMUL(a, b);
    case PASS_DIV: return VDIV(a, b);
    case PASS_MAX: return VMAX_NAN(a, b);
    case PASS_MIN: return VMIN_NAN(a, b);
    case PASS_PRELU: return VSELECT_NEGATIVE(a, VMUL(b, a), a);
    case PASS_AFFINE: return VFMA(VSUB(a, b), factor, offset);
    case PASS_SCALE: return VMUL(VSUB(a, b), factor);
    default: return a;
    }
}

/* Clipped to low .. high. With infinite bounds this changes no number and no NaN, but it makes a subnormal number zero, which an operation that
   only copies numbers must not do. */
INLINE void NAME(pass_rows)(const Pass *p, const int op, const int clips, const int splat, const int flat, V low, V high) {
    const int64_t columns = p->columns, whole = columns - columns % LANES, some = columns % LANES;
    const int scaled = op == PASS_AFFINE || op == PASS_SCALE, moved = op == PASS_AFFINE, two = op != PASS_FIRST;
    for (int64_t r = 0; r < p->rows; r++) {
        const REAL *a = (const REAL *)p->at[PASS_A] + r * p->step[PASS_A];
        const REAL *b = two ? (const REAL *)p->at[PASS_B] + r * p->step[PASS_B] : a;
        const REAL *factor = scaled ? (const REAL *)p->at[PASS_FACTOR] + r * p->step[PASS_FACTOR] : a;
        const REAL *offset = moved ? (const REAL *)p->at[PASS_OFFSET] + r * p->step[PASS_OFFSET] : a;
        REAL *out = (REAL *)p->at[PASS_OUT] + r * p->step[PASS_OUT];
        const V same = two && splat ? VSPLAT(*b) : VZERO();
        const V one_factor = scaled && flat ? VSPLAT(*factor) : VZERO(), one_offset = moved && flat ? VSPLAT(*offset) : VZERO();
        for (int64_t c = 0; c < whole; c += LANES) {
            const V second = two && !splat ? VLOAD(b + c) : same;
            const V f = scaled && !flat ? VLOAD(factor + c) : one_factor, o = moved && !flat ? VLOAD(offset + c) : one_offset;
            const V y = NAME(combine_two)(op, VLOAD(a + c), second, f, o);
            VSTORE(out + c, clips ? VMIN(high, VMAX(low, y)) : y);
        }
        if (some) {
            const V second = two && !splat ? NAME(load_some)(b + whole, some) : same;
            const V f = scaled && !flat ? NAME(load_some)(factor + whole, some) : one_factor;
            const V o = moved && !flat ? NAME(load_some)(offset + whole, some) : one_offset;
            const V y = NAME(combine_two)(op, NAME(load_some)(a + whole, some), second, f, o);
            NAME(store_some)(out + whole, clips ? VMIN(high, VMAX(low, y)) : y, some);
        }
    }
}

/* Rows without gaps whose second operand, factor and offset all rows share: a row of so many vectors has these in registers. */
INLINE void NAME(pass_shared)(const Pass *p, const int op, const int vectors, V low, V high) {
    const int scaled = op == PASS_AFFINE || op == PASS_SCALE, moved = op == PASS_AFFINE, clips = op != PASS_PRELU;
    const REAL *a = (const REAL *)p->at[PASS_A];
    REAL *out = (REAL *)p->at[PASS_OUT];
    V b[4], factor[4], offset[4];
    UNROLL for (int i = 0; i < vectors; i++) {
        b[i] = VLOAD((const REAL *)p->at[PASS_B] + i * LANES);
        factor[i] = scaled ? VLOAD((const REAL *)p->at[PASS_FACTOR] + i * LANES) : VZERO();
        offset[i] = moved ? VLOAD((const REAL *)p->at[PASS_OFFSET] + i * LANES) : VZERO();
    }
    for (int64_t r = 0; r < p->rows; r++, a += vectors * LANES, out += vectors * LANES) {
        UNROLL for (int i = 0; i < vectors; i++) {
            const V y = NAME(combine_two)(op, VLOAD(a + i * LANES), b[i], factor[i], offset[i]);
            VSTORE(out + i * LANES, clips ? VMIN(high, VMAX(low, y)) : y);
        }
    }
}

/* Whether pass_shared serves. */
INLINE int NAME(shares)(const Pass *p) {
    const int scales = p->op == PASS_AFFINE || p->op == PASS_SCALE;
    if (!SPECIAL_FORMS || (!scales && p->op != PASS_ADD && p->op != PASS_MUL && p->op != PASS_PRELU)) return 0;
    if (p->columns % LANES || p->columns > 4 * LANES || p->b_is_scalar || p->step[PASS_B] || p->step[PASS_FACTOR] || p->step[PASS_OFFSET]) return 0;
    return p->step[PASS_A] == p->columns && p->step[PASS_OUT] == p->columns && (p->op != PASS_PRELU || p->act.code == ACT_NONE);
}

static void NAME(pass_op)(const Pass *p) {
    const int clips = p->act.code == ACT_CLIP;
    const V low = VSPLAT(clips ? (REAL)p->act.a : (REAL)-INFINITY), high = VSPLAT(clips ? (REAL)p->act.b : (REAL)INFINITY);
    if (NAME(shares)(p)) {
        const int vectors = (int)(p->columns / LANES);
#define SHARED(op) \
    case op: \
        if (vectors == 1) NAME(pass_shared)(p, op, 1, low, high); \
        else if (vectors == 2) NAME(pass_shared)(p, op, 2, low, high); \
        else if (vectors == 3) NAME(pass_shared)(p, op, 3, low, high); \
        else NAME(pass_shared)(p, op, 4, low, high); \
        return;
        switch (p->op) { SHARED(PASS_ADD) SHARED(PASS_MUL) SHARED(PASS_PRELU) SHARED(PASS_AFFINE) SHARED(PASS_SCALE) }
#undef SHARED
    }
#define CASE(op, clips) \
    if (p->b_is_scalar) NAME(pass_rows)(p, op, clips, 1, 0, low, high); \
    else NAME(pass_rows)(p, op, clips, 0, 0, low, high); \
    break;
#define SCALING(op) \
    if (p->b_is_scalar && p->scale_is_scalar) NAME(pass_rows)(p, op, 1, 1, 1, low, high); \
    else if (p->b_is_scalar) NAME(pass_rows)(p, op, 1, 1, 0, low, high); \
    else NAME(pass_rows)(p, op, 1, 0, 0, low, high); \
    break;
    switch (p->op) {
    case PASS_ADD: CASE(PASS_ADD, 1)
    case PASS_SUB: CASE(PASS_SUB, 1)
    case PASS_MUL: CASE(PASS_MUL, 1)
    case PASS_DIV: CASE(PASS_DIV, 1)
    case PASS_MAX: CASE(PASS_MAX, 1)
    case PASS_MIN: CASE(PASS_MIN, 1)
    case PASS_PRELU:
        if (clips) {
            CASE(PASS_PRELU, 1)
        }
        CASE(PASS_PRELU, 0)
    case PASS_AFFINE: SCALING(PASS_AFFINE)
    case PASS_SCALE: SCALING(PASS_SCALE)
    default:
        if (clips) NAME(pass_rows)(p, PASS_FIRST, 1, 0, 0, low, high);
        else NAME(pass_rows)(p, PASS_FIRST, 0, 0, 0, low, high);
        break;
    }
#undef CASE
#undef SCALING
}

/* Activations other than clipping run over a block while it is in L1. */
static void NAME(pass)(const Pass *whole) {
    enum { BLOCK = 8192 / sizeof(REAL) };
    if (whole->act.code == ACT_NONE || whole->act.code == ACT_CLIP) {
        NAME(pass_op)(whole);
        return;
    }
    const int64_t columns = whole->columns;
    const int64_t block_rows = columns >= BLOCK ? 1 : BLOCK / (columns ? columns : 1), block_columns = columns > BLOCK ? BLOCK : columns;
    for (int64_t r = 0; r < whole->rows; r += block_rows) {
        for (int64_t c = 0; c < columns; c += block_columns) {
            Pass part = *whole;
            part.rows = whole->rows - r < block_rows ? whole->rows - r : block_rows;
            part.columns = columns - c < block_columns ? columns - c : block_columns;
            for (int i = 0; i < PASS_OPERANDS; i++) {
                const int scale = i == PASS_FACTOR || i == PASS_OFFSET;
                const int64_t along = (i == PASS_B && whole->b_is_scalar) || (scale && whole->scale_is_scalar) ? 0 : c;
                if (part.at[i]) part.at[i] = (REAL *)part.at[i] + r * part.step[i] + along;
            }
            part.act.code = ACT_NONE;
            NAME(pass_op)(&part);
            const REAL *slopes = (const REAL *)part.at[PASS_SLOPES];
            REAL *out = (REAL *)part.at[PASS_OUT];
            if (part.step[PASS_OUT] == part.columns && part.step[PASS_SLOPES] == 0) {
                NAME(activate)(out, out, part.rows, part.columns, slopes, whole->act);
            } else {
                for (int64_t i = 0; i < part.rows; i++, out += part.step[PASS_OUT]) {
                    NAME(activate)(out, out, 1, part.columns, slopes, whole->act);
                    if (slopes) slopes += part.step[PASS_SLOPES];
                }
            }
        }
    }
}

#undef VMIN_NAN
