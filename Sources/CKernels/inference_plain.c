// The reference: what each kernel means, in loops that any processor runs.
#include "inference_blocks.h"

#include <math.h>

enum { LANES = 16 };

static float add_lanes(float sums[LANES]) {
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) sums[j] += sums[j + half];
    return sums[0];
}

static void gemv(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t first_row, ptrdiff_t rows, const float *x,
                 float *y) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        float sums[LANES] = {0}, w[256];
        const float *at = x;
        for (ptrdiff_t s = 0; s < count; s++) {
            const uint8_t *row = (const uint8_t *)segments[s].first + (first_row + r) * segments[s].row_stride;
            ptrdiff_t columns = segments[s].columns;
            for (ptrdiff_t k = 0; k < columns;) {
                ptrdiff_t run = columns - k < 256 ? columns - k : 256;
                drover_unpack_plain(type, row + k / block_elements(type) * block_bytes(type), run, w);
                for (ptrdiff_t j = 0; j < run; j++) sums[j % LANES] += w[j] * at[j];
                at += run;
                k += run;
            }
        }
        y[r] = add_lanes(sums);
    }
}

static void gemm_nt(const float *x, ptrdiff_t x_stride, ptrdiff_t m, const float *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    for (ptrdiff_t i = 0; i < m; i++) {
        for (ptrdiff_t j = 0; j < n; j++) {
            float sums[LANES] = {0};
            for (ptrdiff_t p = 0; p < k; p += LANES)
                for (int lane = 0; lane < LANES; lane++) sums[lane] += x[i * x_stride + p + lane] * w[j * w_stride + p + lane];
            y[i * y_stride + j] = add_lanes(sums);
        }
    }
}

static void gemm_nn(const float *a, ptrdiff_t a_stride, ptrdiff_t m, const float *b, ptrdiff_t b_stride, ptrdiff_t n, ptrdiff_t k, float *y,
                    ptrdiff_t y_stride) {
    for (ptrdiff_t i = 0; i < m; i++) {
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            float sums[LANES] = {0};
            for (ptrdiff_t p = 0; p < k; p++)
                for (int lane = 0; lane < LANES; lane++) sums[lane] += a[i * a_stride + p] * b[p * b_stride + j + lane];
            memcpy(y + i * y_stride + j, sums, sizeof sums);
        }
    }
}

static void rms_norm(const float *x, const float *weight, float epsilon, ptrdiff_t n, float *y) {
    float sums[LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i++) sums[i % LANES] += x[i] * x[i];
    float scale = 1 / sqrtf(add_lanes(sums) / (float)n + epsilon);
    for (ptrdiff_t i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

static void rope(float *x, const float *cosines, const float *sines, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += 2) {
        float a = x[i], b = x[i + 1];
        x[i] = a * cosines[i] + b * sines[i];
        x[i + 1] = b * cosines[i + 1] + a * sines[i + 1];
    }
}

static float sum_exp(const float *x, ptrdiff_t n, float most) {
    float sums[LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i++) sums[i % LANES] += expf(x[i] - most);
    return add_lanes(sums);
}

static void softmax(float *x, ptrdiff_t n, float scale) {
    float most = -INFINITY, sums[LANES] = {0};
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] *= scale;
        most = x[i] > most ? x[i] : most;
    }
    for (ptrdiff_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - most);
        sums[i % LANES] += x[i];
    }
    float share = 1 / add_lanes(sums);
    for (ptrdiff_t i = 0; i < n; i++) x[i] *= share;
}

static void swiglu(float *h1, const float *h3, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) h1[i] = h1[i] / (1 + expf(-h1[i])) * h3[i];
}

static void add(float *x, const float *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) x[i] += y[i];
}

_Bool drover_are_finite(const float *x, ptrdiff_t n) {
    // No early end: so the compiler makes vectors of it.
    uint32_t worst = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7FFFFFFF;
        worst = bits > worst ? bits : worst;
    }
    return worst < 0x7F800000;
}

const drover_kernels drover_kernels_plain = {
    .name = "plain", .unpack = drover_unpack_plain, .gemv = gemv, .gemm_nt = gemm_nt, .gemm_nn = gemm_nn, .rms_norm = rms_norm, .rope = rope,
    .softmax = softmax, .sum_exp = sum_exp, .swiglu = swiglu, .add = add,
};
