/* A 1x1 convolution of few channels to few, such as a change of colours: like tall_skinny.h, but a vector holds pixels side by side, as memory does.

       for k < cin:  s[p*cout + c] = fma(x[p*cin + k], weights[k][c], s[p*cout + c])      for the `together` pixels p of a vector, c < cout

   For each k one instruction moves the numbers x[p*cin + k] to the lanes of the outputs that use them. On 1080p of 3 to 3 channels, memory limits the
   speed.

   A vector is loaded and stored whole, including what lies behind its pixels, which the next vector stores again. Near the end of what this call
   may touch, the lanes are stored one by one. Contract: together * max(cin, cout) <= LANES; at most one piece of channels. */
#ifdef VPERMUTE
enum { NAME(MOST_CHANNELS) = LANES / 2 };

typedef struct {
    int32_t places[NAME(MOST_CHANNELS)][LANES]; /* for each k: which number of the vector each lane uses */
    REAL weights[NAME(MOST_CHANNELS)][LANES], bias[LANES];
    NAME(Clip) clip;
    int64_t cin, cout, together;
} NAME(FewChannels);

/* Compute `pixels` pixels; `readable` pixels of x may be read, `writeable` pixels of out may be written. */
INLINE void NAME(few_channels_line)(const NAME(FewChannels) *d, const REAL *x, REAL *out, int64_t pixels, int64_t readable, int64_t writeable,
                                    const int cin) {
    const V bias = VLOAD(d->bias);
    const NAME(Clip) clip = d->clip;
    const int64_t cout = d->cout, together = d->together;
    for (int64_t p = 0; p < pixels; p += together, x += together * cin, out += together * cout) {
        const int64_t n = pixels - p < together ? pixels - p : together;
        const int whole = (readable - p) * cin >= LANES && (writeable - p) * cout >= LANES;
        const V v = whole ? VLOAD(x) : NAME(load_apart)(x, 1, n * cin);
        V s = VZERO();
        for (int k = 0; k < cin; k++) s = VFMA(VPERMUTE(v, d->places[k]), VLOAD(d->weights[k]), s);
        NAME(end_sums)(&s, 1, 1, bias, &clip);
        if (whole) VSTORE(out, s);
        else NAME(store_apart)(out, s, 1, n * cout);
    }
}

/* Pixels that are not contiguous, one by one. */
INLINE void NAME(few_channels_apart)(const NAME(FewChannels) *d, const REAL *x, int64_t x_step, REAL *out, int64_t out_step, int64_t pixels) {
    for (int64_t p = 0; p < pixels; p++, x += x_step, out += out_step) {
        V s = VZERO();
        for (int64_t k = 0; k < d->cin; k++) s = VFMA(VSPLAT(x[k]), VLOAD(d->weights[k]), s);
        NAME(end_sums)(&s, 1, 1, VLOAD(d->bias), &d->clip);
        NAME(store_apart)(out, s, 1, d->cout);
    }
}

static void NAME(few_channels)(const TallSkinnyCall *c) {
    enum { BLOCK = 1024 }; /* pixels of a block, whose outputs are still in L1 for other activations */
    const int64_t cin = c->cin, cout = c->cout, width = c->width, outputs = c->together * cout;
    const int dense = c->x_step == cin && c->out_step == cout, one = dense && c->out_row == width * cout;
    const REAL *w = (const REAL *)c->weights, *bias = (const REAL *)c->end.bias;
    NAME(FewChannels) d = {.clip = NAME(clip_of)(&c->end), .cin = cin, .cout = cout, .together = c->together};
    for (int64_t l = 0; l < LANES; l++) {
        const int64_t channel = l < outputs ? l % cout : 0;
        d.bias[l] = bias && l < outputs ? bias[channel] + 0 : 0; /* no -0 */
        for (int64_t k = 0; k < cin; k++) {
            d.places[k][l] = (int32_t)(l < outputs ? l / cout * cin + k : 0);
            d.weights[k][l] = l < outputs ? w[k * cout + channel] : 0;
        }
    }
    for (int64_t p = c->first, n; p < c->last; p += n) {
        const int64_t line = one ? 0 : p / width, column = p - line * width, left = one || c->last - p < width - column ? c->last - p : width - column;
        const REAL *x = (const REAL *)c->x + p * c->x_step;
        REAL *out = (REAL *)c->out + line * c->out_row + column * c->out_step;
        n = left < BLOCK ? left : BLOCK;
        if (!dense) NAME(few_channels_apart)(&d, x, c->x_step, out, c->out_step, n);
        else if (cin == 3) NAME(few_channels_line)(&d, x, out, n, c->last - p, left, 3);
        else if (cin == 4) NAME(few_channels_line)(&d, x, out, n, c->last - p, left, 4);
        else NAME(few_channels_line)(&d, x, out, n, c->last - p, left, (int)cin);
        if (c->end.act.code > ACT_CLIP) {
            const int64_t step = c->out_step * (int64_t)sizeof(REAL);
            NAME(activate_apart)(out, step, out, step, n, cout, c->end.alpha, &c->end.act);
        }
    }
}
#endif
