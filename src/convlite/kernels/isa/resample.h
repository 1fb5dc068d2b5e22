/* Weighted sums by tables, and transposes.

       out[o*out_step + i] = sum over taps t of weights[o][t] * x[index[o][t]*inner + i],   i < inner

   Taps in order, multiply-adds from the second on. The last, incomplete vector runs the same code. */

/* With a constant number of taps, places and weights of an output stay in registers for all its vectors. */
INLINE void NAME(resample_few)(const ResampleLine *on, const int taps) {
    const REAL *x = (const REAL *)on->x, *weights = (const REAL *)on->weights;
    const int64_t *index = on->index;
    const int64_t inner = on->inner, whole = inner - inner % LANES, some = inner % LANES, outputs = on->outputs;
    REAL *out = (REAL *)on->out;
    for (int64_t o = 0; o < outputs; o++, out += on->out_step, index += taps, weights += taps) {
        const REAL *at[4];
        V w[4];
        UNROLL for (int t = 0; t < taps; t++) {
            at[t] = x + index[t] * inner;
            w[t] = VSPLAT(weights[t]);
        }
        for (int64_t i = 0; i < whole; i += LANES) {
            V sum = VMUL(w[0], VLOAD(at[0] + i));
            UNROLL for (int t = 1; t < taps; t++) sum = VFMA(w[t], VLOAD(at[t] + i), sum);
            VSTORE(out + i, sum);
        }
        if (some) {
            V sum = VMUL(w[0], NAME(load_some)(at[0] + whole, some));
            UNROLL for (int t = 1; t < taps; t++) sum = VFMA(w[t], NAME(load_some)(at[t] + whole, some), sum);
            NAME(store_some)(out + whole, sum, some);
        }
    }
}

/* Two taps along two rows: each place is across[0] times its row plus across[1] times the row below, as if such a row had been computed before. */
INLINE void NAME(resample_crossed)(const ResampleLine *on) {
    const REAL *x = (const REAL *)on->x, *below = (const REAL *)on->below, *weights = (const REAL *)on->weights;
    const V up = VSPLAT(((const REAL *)on->across)[0]), down = VSPLAT(((const REAL *)on->across)[1]);
    const int64_t *index = on->index;
    const int64_t inner = on->inner, whole = inner - inner % LANES, some = inner % LANES;
    REAL *out = (REAL *)on->out;
    for (int64_t o = 0; o < on->outputs; o++, out += on->out_step, index += 2, weights += 2) {
        const int64_t left = index[0] * inner, right = index[1] * inner;
        const V first = VSPLAT(weights[0]), second = VSPLAT(weights[1]);
        for (int64_t i = 0; i < whole; i += LANES) {
            const V a = VFMA(down, VLOAD(below + left + i), VMUL(up, VLOAD(x + left + i)));
            const V b = VFMA(down, VLOAD(below + right + i), VMUL(up, VLOAD(x + right + i)));
            VSTORE(out + i, VFMA(second, b, VMUL(first, a)));
        }
        if (some) {
            const V a = VFMA(down, NAME(load_some)(below + left + whole, some), VMUL(up, NAME(load_some)(x + left + whole, some)));
            const V b = VFMA(down, NAME(load_some)(below + right + whole, some), VMUL(up, NAME(load_some)(x + right + whole, some)));
            NAME(store_some)(out + whole, VFMA(second, b, VMUL(first, a)), some);
        }
    }
}

INLINE V NAME(tap_sum)(const REAL *x, const ResampleLine *on, const int64_t *index, const REAL *weights, const int64_t some) {
    V sum = VZERO();
    for (int64_t t = 0; t < on->taps; t++) {
        const REAL *at = x + index[t] * on->inner;
        const V value = some ? NAME(load_some)(at, some) : VLOAD(at);
        sum = t ? VFMA(VSPLAT(weights[t]), value, sum) : VMUL(VSPLAT(weights[t]), value);
    }
    return sum;
}

INLINE void NAME(resample_many)(const ResampleLine *on) {
    const REAL *x = (const REAL *)on->x, *weights = (const REAL *)on->weights;
    const int64_t *index = on->index;
    const int64_t inner = on->inner, whole = inner - inner % LANES, some = inner % LANES;
    REAL *out = (REAL *)on->out;
    for (int64_t o = 0; o < on->outputs; o++, out += on->out_step, index += on->taps, weights += on->taps) {
        for (int64_t i = 0; i < whole; i += LANES) VSTORE(out + i, NAME(tap_sum)(x + i, on, index, weights, 0));
        if (some) NAME(store_some)(out + whole, NAME(tap_sum)(x + whole, on, index, weights, some), some);
    }
}

/* For one or two numbers per place: a vector of outputs is built from loads of single numbers. */
INLINE void NAME(resample_narrow)(const ResampleLine *on, const int64_t inner) {
    const REAL *x = (const REAL *)on->x, *weights = (const REAL *)on->weights;
    const int64_t *index = on->index, taps = on->taps;
    REAL *out = (REAL *)on->out;
    for (int64_t o = 0; o < on->outputs; o++, out += on->out_step, index += taps, weights += taps) {
        UNROLL for (int64_t i = 0; i < inner; i++) {
            REAL sum = weights[0] * x[index[0] * inner + i];
            for (int64_t t = 1; t < taps; t++) {
#if HAS_FMA
                sum = REAL_BITS == 32 ? (REAL)fmaf((float)weights[t], (float)x[index[t] * inner + i], (float)sum)
                                      : (REAL)fma(weights[t], x[index[t] * inner + i], sum);
#else
                sum += weights[t] * x[index[t] * inner + i];
#endif
            }
            out[i] = sum;
        }
    }
}

static void NAME(resample_line)(const ResampleLine *on) {
    if (on->below) NAME(resample_crossed)(on);
    else if (on->inner == 1) NAME(resample_narrow)(on, 1);
    else if (on->inner == 2) NAME(resample_narrow)(on, 2);
    else if (on->taps == 2) NAME(resample_few)(on, 2);
    else if (on->taps == 4) NAME(resample_few)(on, 4);
    else if (on->taps == 1) NAME(resample_few)(on, 1);
    else NAME(resample_many)(on);
}

/* n <= 4 lines of pixels, interleaved: out has no gaps between its pixels. */
INLINE void NAME(zip_lines)(const REAL *from, int64_t from_step, const int n, int64_t pixels, REAL *to) {
    int64_t p = 0;
    const int rounded = n > 2 ? 4 : 2;
    if (rounded <= LANES)
        for (; p + LANES <= pixels; p += LANES) NAME(interleave_block)(from + p, from_step, n, rounded, n == rounded, LANES, n, to + p * n);
    if (p && p < pixels && rounded <= LANES) { /* the last ones again */
        p = pixels - LANES;
        NAME(interleave_block)(from + p, from_step, n, rounded, n == rounded, LANES, n, to + p * n);
        return;
    }
    for (; p < pixels; p++)
        for (int i = 0; i < n; i++) to[p * n + i] = from[i * from_step + p];
}

static void NAME(transpose)(const void *from_, int64_t from_step, int64_t pixels, int64_t kc, void *to_, int64_t to_step) {
    const int64_t whole = pixels - pixels % LANES;
    if (pixels == to_step && (pixels == 3 || pixels == 2 || pixels == 4)) {
        if (pixels == 3) NAME(zip_lines)((const REAL *)from_, from_step, 3, kc, (REAL *)to_);
        else if (pixels == 4) NAME(zip_lines)((const REAL *)from_, from_step, 4, kc, (REAL *)to_);
        else NAME(zip_lines)((const REAL *)from_, from_step, 2, kc, (REAL *)to_);
        return;
    }
    for (int64_t p = 0; p < pixels; p += LANES) {
        const REAL *from = (const REAL *)from_ + p * from_step;
        REAL *to = (REAL *)to_ + p;
        if (p < whole) { /* quads may reach beyond a pixel's numbers where three more pixels follow */
            const int over = from_step > 0 && p + LANES + 3 < pixels;
            for (int64_t k = 0; k < kc; k += LANES)
                NAME(transpose_whole)(from + k, from_step, kc - k < LANES ? kc - k : LANES, over, to + k * to_step, to_step);
        } else {
            for (int64_t k = 0; k < kc; k++)
                for (int64_t i = 0; i < pixels - p; i++) to[k * to_step + i] = from[i * from_step + k];
        }
    }
}
