// The kernels in vectors of sixteen floats, written once: the compiler maps them on one, two or four registers.
//
// An inference_<name>.c includes this after it has set the instruction set and defined
//   KERNELS         the table's symbol, KERNELS_NAME its name,
//   TILE_M, TILE_N  rows of x and of w in a register tile of gemm_nt,
//   OUTER_M, OUTER_V  rows and vectors in a register tile of gemm_nn,
//   GEMV_ROWS       rows that gemv reads side by side.

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Wide vectors are never passed between functions that aren't inlined, so their calling convention doesn't matter.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
// What lies in a file has no alignment and any type.
typedef float v16_at __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint16_t h16_at __attribute__((vector_size(32), aligned(1), may_alias));
typedef _Float16 f16_at __attribute__((vector_size(32), aligned(1), may_alias));
typedef int8_t b16_at __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t n16_at __attribute__((vector_size(16), aligned(1), may_alias));
typedef _Float16 f16_one __attribute__((aligned(1), may_alias));

INLINE v16 load(const float *p) { return *(const v16_at *)p; }
INLINE void store(float *p, v16 v) { *(v16_at *)p = v; }
INLINE v16 splat(float value) { return value - (v16){}; }
INLINE v16 fma16(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }

/// The first `count` elements, and `rest` in the other lanes.
INLINE v16 load_some(const float *p, ptrdiff_t count, float rest) {
    float lanes[16];
    for (int i = 0; i < 16; i++) lanes[i] = i < count ? p[i] : rest;
    return load(lanes);
}

INLINE void store_some(float *p, v16 v, ptrdiff_t count) {
    float lanes[16];
    store(lanes, v);
    memcpy(p, lanes, (size_t)count * 4);
}

/// The sum of the lanes, added in halves.
INLINE float add_lanes(v16 v) {
    typedef float v8 __attribute__((vector_size(32)));
    typedef float v4 __attribute__((vector_size(16)));
    v8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    v4 b = __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
    return (b[0] + b[2]) + (b[1] + b[3]);
}

/// `add_lanes` of sixteen vectors at once: the same additions, each on what is left of several vectors side by side.
INLINE v16 add_lanes_of_16(const v16 v[16]) {
    v16 a[8], b[4], c[2];
    UNROLL for (int i = 0; i < 8; i++)
        a[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
               __builtin_shufflevector(v[2 * i], v[2 * i + 1], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    UNROLL for (int i = 0; i < 4; i++)
        b[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
               __builtin_shufflevector(a[2 * i], a[2 * i + 1], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    UNROLL for (int i = 0; i < 2; i++)
        c[i] = __builtin_shufflevector(b[2 * i], b[2 * i + 1], 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
               __builtin_shufflevector(b[2 * i], b[2 * i + 1], 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
    return __builtin_shufflevector(c[0], c[1], 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(c[0], c[1], 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

/// `a` in the lanes whose mask is set, `b` in the others.
INLINE v16 choose(i16 mask, v16 a, v16 b) { return (v16)((mask & (i16)a) | (~mask & (i16)b)); }

/// exp(x) to about one unit in the last place: 2ⁿ · e^r with |r| ≤ ln 2 / 2, e^r by Cephes' polynomial (expf.c).
/// What float32 has no normal number for is 0 (below -87.3) or infinity (above 88.7), and NaN stays NaN, as in expf.
INLINE v16 exp16(v16 x) {
    const v16 least = splat(-87.33654f), most = splat(88.0f);
    // A NaN is no less and no more than anything: it computes with `least`, and is put back in the end.
    v16 within = choose(x >= least, choose(x <= most, x, most), least);
    v16 n = __builtin_elementwise_roundeven(within * 1.44269504088896341f);
    v16 r = fma16(n, splat(-0.693359375f), within);
    r = fma16(n, splat(2.12194440e-4f), r);
    v16 p = splat(1.9875691500e-4f);
    p = fma16(p, r, splat(1.3981999507e-3f));
    p = fma16(p, r, splat(8.3334519073e-3f));
    p = fma16(p, r, splat(4.1665795894e-2f));
    p = fma16(p, r, splat(1.6666665459e-1f));
    p = fma16(p, r, splat(5.0000001201e-1f));
    v16 y = fma16(p, r * r, r) + 1.0f;
    i16 power = (__builtin_convertvector(n, i16) + 127) << 23;
    y = choose(x < least, splat(0), y * (v16)power);
    y = choose(x > splat(88.72284f), splat(__builtin_inff()), y);
    return choose(x == x, y, x);
}

// Weights

INLINE v16 load_bf16(const uint8_t *p) { return (v16)(__builtin_convertvector(*(const h16_at *)p, u16) << 16); }
INLINE v16 load_f16(const uint8_t *p) { return __builtin_convertvector(*(const f16_at *)p, v16); }
/// `(nibble - 8) · scale` if `centred` (a constant), else `nibble · scale + offset`, for the sixteen low nibbles and for the sixteen
/// high ones. The products are exact in float32, so it doesn't matter how they are made.
INLINE void nibbles(const uint8_t *q, const int centred, float scale, float offset, v16 *low, v16 *high) {
#if defined(NIBBLES_BY_PERMUTATION)
    // All sixteen values in a register; the permutation reads only the low four bits of an index.
    const v16 levels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    v16 values = centred ? (levels - 8.0f) * splat(scale) : fma16(levels, splat(scale), splat(offset));
    __m512i indices = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)q));
    *low = _mm512_permutexvar_ps(indices, values);
    *high = _mm512_permutexvar_ps(_mm512_srli_epi32(indices, 4), values);
#else
    n16_at bytes = *(const n16_at *)q;
    v16 a = __builtin_convertvector(bytes & 15, v16), b = __builtin_convertvector(bytes >> 4, v16);
    *low = centred ? (a - 8.0f) * scale : fma16(a, splat(scale), splat(offset));
    *high = centred ? (b - 8.0f) * scale : fma16(b, splat(scale), splat(offset));
#endif
}
INLINE float scale_of(const uint8_t *p) {
#if defined(__x86_64__)
    // A plain conversion inserts into whatever the register held, and so waits for the block before.
    return _cvtsh_ss((uint16_t)read_u16(p));
#else
    return (float)*(const f16_one *)p;
#endif
}

/// Elements 0…31 of the run that starts at `p`: of a quantized type, one block.
INLINE void load32(drover_dtype type, const uint8_t *p, v16 *low, v16 *high) {
    switch (type) {
    case drover_f32:
        *low = load((const float *)p);
        *high = load((const float *)p + 16);
        return;
    case drover_f16:
        *low = load_f16(p);
        *high = load_f16(p + 32);
        return;
    case drover_bf16:
        *low = load_bf16(p);
        *high = load_bf16(p + 32);
        return;
    case drover_q8_0: {
        const block_q8_0 *block = (const block_q8_0 *)p;
        v16 d = splat(scale_of(block->d));
        *low = __builtin_convertvector(*(const b16_at *)block->q, v16) * d;
        *high = __builtin_convertvector(*(const b16_at *)(block->q + 16), v16) * d;
        return;
    }
    case drover_q4_0: {
        const block_q4_0 *block = (const block_q4_0 *)p;
        return nibbles(block->q, 1, scale_of(block->d), 0, low, high);
    }
    case drover_q4_1: {
        const block_q4_1 *block = (const block_q4_1 *)p;
        return nibbles(block->q, 0, scale_of(block->d), scale_of(block->m), low, high);
    }
    default: __builtin_unreachable();
    }
}

INLINE void unpack_type(drover_dtype type, const uint8_t *p, ptrdiff_t count, float *out) {
    ptrdiff_t bytes = 32 / block_elements(type) * block_bytes(type), i = 0;
    for (; i + 32 <= count; i += 32, p += bytes) {
        v16 low, high;
        load32(type, p, &low, &high);
        store(out + i, low);
        store(out + i + 16, high);
    }
    if (i < count) drover_unpack_plain(type, p, count - i, out + i);
}

static void unpack(drover_dtype type, const void *source, ptrdiff_t count, float *out) {
    // A constant type in each call gives each type a loop of its own.
    switch (type) {
    case drover_f32: return unpack_type(drover_f32, source, count, out);
    case drover_f16: return unpack_type(drover_f16, source, count, out);
    case drover_bf16: return unpack_type(drover_bf16, source, count, out);
    case drover_q8_0: return unpack_type(drover_q8_0, source, count, out);
    case drover_q4_0: return unpack_type(drover_q4_0, source, count, out);
    case drover_q4_1: return unpack_type(drover_q4_1, source, count, out);
    default: return drover_unpack_plain(type, source, count, out);
    }
}

// Matrix times vector

/// `rows` (a constant) rows side by side, so that their chains of additions overlap and x is loaded once.
INLINE void gemv_rows(drover_dtype type, const int rows, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, const float *x,
                      float *y) {
    const ptrdiff_t bytes = 32 / block_elements(type) * block_bytes(type);
    v16 sums[8] = {};
    for (ptrdiff_t s = 0; s < count; s++) {
        const ptrdiff_t stride = segments[s].row_stride, columns = segments[s].columns;
        const uint8_t *p = (const uint8_t *)segments[s].first + row * stride;
        // The memory delivers far more when it is asked for one line after the other than for the lines of several rows in turn, so
        // the rows after these are asked for in the order in which they lie.
        const uint8_t *ahead = p + rows * stride;
        ptrdiff_t k = 0;
        for (; k + 32 <= columns; k += 32, p += bytes, x += 32, ahead += rows * bytes) {
            v16 x_low = load(x), x_high = load(x + 16);
            UNROLL for (int r = 0; r < rows; r++) {
                v16 low, high;
                if ((r + 1) * bytes / 64 > r * bytes / 64) __builtin_prefetch(ahead + r * bytes, 0, 3);
                load32(type, p + r * stride, &low, &high);
                sums[r] = fma16(low, x_low, sums[r]);
                sums[r] = fma16(high, x_high, sums[r]);
            }
        }
        // Sixteen columns more, of a type that isn't quantized.
        if (k < columns) {
            v16 x_low = load(x);
            UNROLL for (int r = 0; r < rows; r++) {
                v16 low = type == drover_f32   ? load((const float *)(p + r * stride))
                          : type == drover_f16 ? load_f16(p + r * stride)
                                               : load_bf16(p + r * stride);
                sums[r] = fma16(low, x_low, sums[r]);
            }
            x += 16;
        }
    }
    UNROLL for (int r = 0; r < rows; r++) y[r] = add_lanes(sums[r]);
}

INLINE void gemv_type(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, ptrdiff_t rows, const float *x,
                      float *y) {
    ptrdiff_t r = 0;
    for (; r + GEMV_ROWS <= rows; r += GEMV_ROWS) gemv_rows(type, GEMV_ROWS, segments, count, row + r, x, y + r);
    for (; r < rows; r++) gemv_rows(type, 1, segments, count, row + r, x, y + r);
}

/// Of types without a loop of their own.
INLINE void gemv_unpacked(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, ptrdiff_t rows, const float *x,
                          float *y) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        v16 sums = {};
        const float *at = x;
        for (ptrdiff_t s = 0; s < count; s++) {
            const uint8_t *p = (const uint8_t *)segments[s].first + (row + r) * segments[s].row_stride;
            for (ptrdiff_t k = 0; k < segments[s].columns; k += block_elements(type), p += block_bytes(type)) {
                float w[256];
                drover_unpack_plain(type, p, block_elements(type), w);
                for (ptrdiff_t i = 0; i < block_elements(type); i += 16, at += 16) sums = fma16(load(w + i), load(at), sums);
            }
        }
        y[r] = add_lanes(sums);
    }
}

static void gemv(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, ptrdiff_t rows, const float *x,
                 float *y) {
    switch (type) {
    case drover_f32: return gemv_type(drover_f32, segments, count, row, rows, x, y);
    case drover_f16: return gemv_type(drover_f16, segments, count, row, rows, x, y);
    case drover_bf16: return gemv_type(drover_bf16, segments, count, row, rows, x, y);
    case drover_q8_0: return gemv_type(drover_q8_0, segments, count, row, rows, x, y);
    case drover_q4_0: return gemv_type(drover_q4_0, segments, count, row, rows, x, y);
    case drover_q4_1: return gemv_type(drover_q4_1, segments, count, row, rows, x, y);
    default: return gemv_unpacked(type, segments, count, row, rows, x, y);
    }
}

// Matrix times matrix

/// mr × nr dot products in registers. `mr` and `nr` are constants.
INLINE void tile_nt(const int mr, const int nr, const float *x, ptrdiff_t x_stride, const float *w, ptrdiff_t w_stride, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    v16 sums[TILE_M * TILE_N] = {};
    for (ptrdiff_t p = 0; p < k; p += 16) {
        v16 column[TILE_N];
        UNROLL for (int j = 0; j < nr; j++) column[j] = load(w + j * w_stride + p);
        UNROLL for (int i = 0; i < mr; i++) {
            v16 row = load(x + i * x_stride + p);
            UNROLL for (int j = 0; j < nr; j++) sums[i * nr + j] = fma16(row, column[j], sums[i * nr + j]);
        }
    }
    if (mr * nr == 16) {
        float total[16];
        store(total, add_lanes_of_16(sums));
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nr; j++) y[i * y_stride + j] = total[i * nr + j];
        return;
    }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) y[i * y_stride + j] = add_lanes(sums[i * nr + j]);
}

INLINE void rows_nt(const int mr, const float *x, ptrdiff_t x_stride, const float *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    ptrdiff_t j = 0;
    for (; j + TILE_N <= n; j += TILE_N) tile_nt(mr, TILE_N, x, x_stride, w + j * w_stride, w_stride, k, y + j, y_stride);
    for (; j < n; j++) tile_nt(mr, 1, x, x_stride, w + j * w_stride, w_stride, k, y + j, y_stride);
}

static void gemm_nt(const float *x, ptrdiff_t x_stride, ptrdiff_t m, const float *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    ptrdiff_t i = 0;
    for (; i + TILE_M <= m; i += TILE_M) rows_nt(TILE_M, x + i * x_stride, x_stride, w, w_stride, n, k, y + i * y_stride, y_stride);
    x += i * x_stride;
    y += i * y_stride;
    switch (m - i) {
    case 3: return rows_nt(TILE_M > 3 ? 3 : 1, x, x_stride, w, w_stride, n, k, y, y_stride);
    case 2: return rows_nt(TILE_M > 2 ? 2 : 1, x, x_stride, w, w_stride, n, k, y, y_stride);
    case 1: return rows_nt(1, x, x_stride, w, w_stride, n, k, y, y_stride);
    }
}

/// mr rows by nv vectors of sums of outer products in registers. `mr` and `nv` are constants.
INLINE void tile_nn(const int mr, const int nv, const float *a, ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    v16 sums[OUTER_M * OUTER_V] = {};
    for (ptrdiff_t p = 0; p < k; p++) {
        v16 row[OUTER_V];
        UNROLL for (int v = 0; v < nv; v++) row[v] = load(b + p * b_stride + 16 * v);
        UNROLL for (int i = 0; i < mr; i++) {
            v16 factor = splat(a[i * a_stride + p]);
            UNROLL for (int v = 0; v < nv; v++) sums[i * nv + v] = fma16(factor, row[v], sums[i * nv + v]);
        }
    }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int v = 0; v < nv; v++) store(y + i * y_stride + 16 * v, sums[i * nv + v]);
}

INLINE void rows_nn(const int mr, const float *a, ptrdiff_t a_stride, const float *b, ptrdiff_t b_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    ptrdiff_t j = 0;
    for (; j + 16 * OUTER_V <= n; j += 16 * OUTER_V) tile_nn(mr, OUTER_V, a, a_stride, b + j, b_stride, k, y + j, y_stride);
    for (; j < n; j += 16) tile_nn(mr, 1, a, a_stride, b + j, b_stride, k, y + j, y_stride);
}

static void gemm_nn(const float *a, ptrdiff_t a_stride, ptrdiff_t m, const float *b, ptrdiff_t b_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    ptrdiff_t i = 0;
    for (; i + OUTER_M <= m; i += OUTER_M) rows_nn(OUTER_M, a + i * a_stride, a_stride, b, b_stride, n, k, y + i * y_stride, y_stride);
    a += i * a_stride;
    y += i * y_stride;
    switch (m - i) {
    case 3: return rows_nn(OUTER_M > 3 ? 3 : 1, a, a_stride, b, b_stride, n, k, y, y_stride);
    case 2: return rows_nn(OUTER_M > 2 ? 2 : 1, a, a_stride, b, b_stride, n, k, y, y_stride);
    case 1: return rows_nn(1, a, a_stride, b, b_stride, n, k, y, y_stride);
    }
}

// Rows

static void rms_norm(const float *x, const float *weight, float epsilon, ptrdiff_t n, float *y) {
    v16 sums = {};
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 v = load(x + i);
        sums = fma16(v, v, sums);
    }
    if (i < n) {
        v16 v = load_some(x + i, n - i, 0);
        sums = fma16(v, v, sums);
    }
    float scale = 1 / __builtin_sqrtf(add_lanes(sums) / (float)n + epsilon);
    for (i = 0; i + 16 <= n; i += 16) store(y + i, load(x + i) * scale * load(weight + i));
    for (; i < n; i++) y[i] = x[i] * scale * weight[i];
}

static void rope(float *x, const float *cosines, const float *sines, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 v = load(x + i), swapped = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
        store(x + i, fma16(v, load(cosines + i), swapped * load(sines + i)));
    }
    if (i < n) drover_kernels_plain.rope(x + i, cosines + i, sines + i, n - i);
}

static float sum_exp(const float *x, ptrdiff_t n, float most) {
    v16 sums = {};
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) sums += exp16(load(x + i) - most);
    if (i < n) {
        float tail[16] = {0};
        store_some(tail, exp16(load_some(x + i, n - i, most) - most), n - i);
        sums += load(tail);
    }
    return add_lanes(sums);
}

static void softmax(float *x, ptrdiff_t n, float scale) {
    v16 most = splat(-__builtin_inff());
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) {
        v16 v = load(x + i) * scale;
        store(x + i, v);
        most = __builtin_elementwise_max(most, v);
    }
    float greatest = most[0];
    for (int lane = 1; lane < 16; lane++) greatest = most[lane] > greatest ? most[lane] : greatest;
    for (; i < n; i++) {
        x[i] *= scale;
        greatest = x[i] > greatest ? x[i] : greatest;
    }
    v16 sums = {};
    for (i = 0; i + 16 <= n; i += 16) {
        v16 v = exp16(load(x + i) - greatest);
        store(x + i, v);
        sums += v;
    }
    if (i < n) {
        float tail[16] = {0};
        store_some(tail, exp16(load_some(x + i, n - i, greatest) - greatest), n - i);
        memcpy(x + i, tail, (size_t)(n - i) * 4);
        sums += load(tail);
    }
    float share = 1 / add_lanes(sums);
    for (i = 0; i + 16 <= n; i += 16) store(x + i, load(x + i) * share);
    for (; i < n; i++) x[i] *= share;
}

INLINE v16 silu(v16 x) { return x / (exp16(-x) + 1.0f); }

static void swiglu(float *h1, const float *h3, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) store(h1 + i, silu(load(h1 + i)) * load(h3 + i));
    if (i < n) store_some(h1 + i, silu(load_some(h1 + i, n - i, 0)) * load_some(h3 + i, n - i, 0), n - i);
}

static void add(float *x, const float *y, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + 16 <= n; i += 16) store(x + i, load(x + i) + load(y + i));
    for (; i < n; i++) x[i] += y[i];
}

const drover_kernels KERNELS = {
    .name = KERNELS_NAME, .unpack = unpack, .gemv = gemv, .gemm_nt = gemm_nt, .gemm_nn = gemm_nn, .rms_norm = rms_norm, .rope = rope,
    .softmax = softmax, .sum_exp = sum_exp, .swiglu = swiglu, .add = add,
};
