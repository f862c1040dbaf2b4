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

#include "inference_weights.h"

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
