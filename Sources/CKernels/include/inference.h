#pragma once
#include <stddef.h>

#pragma clang assume_nonnull begin

/// How weights are stored; the order of `DType` in the Integrity library. Quantized types are ggml's blocks of 32 and of 256.
typedef enum {
    drover_f32,
    drover_f16,
    drover_bf16,
    drover_q8_0,
    drover_q4_0,
    drover_q4_1,
    drover_q5_0,
    drover_q5_1,
    drover_q2_k,
    drover_q3_k,
    drover_q4_k,
    drover_q5_k,
    drover_q6_k,
    drover_iq4_nl,
    drover_iq4_xs,
} drover_dtype;

/// A run of columns of a block of rows, where it lies in a mapped file. Nothing about it need be aligned.
typedef struct {
    /// The first row's first element of the run.
    const void *first;
    /// Bytes from one row to the next.
    ptrdiff_t row_stride;
    /// Elements of a row in this run.
    ptrdiff_t columns;
} drover_segment;

/// The inner loops of inference, one table for each instruction set.
///
/// All arithmetic is float32. A dot product has sixteen running sums: sum `j` takes the elements `j`, `j + 16`, `j + 32`, … in that
/// order, and the sums are added in halves (8 + 8, 4 + 4, 2 + 2, 1 + 1). `gemv` and `gemm_nt` share that order, so a number
/// depends neither on how many rows are computed together nor on where a matrix is cut.
typedef struct {
    const char *name;

    /// `out[i]` = the value of element `i` of `source`. `count` is a multiple of the type's block.
    void (*_Nonnull unpack)(drover_dtype type, const void *source, ptrdiff_t count, float *out);

    /// `y[i] = dot(row first_row + i, x)` for `rows` rows that lie in `count` segments side by side.
    /// The columns of each segment are a multiple of 16, and of the type's block.
    void (*_Nonnull gemv)(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t first_row, ptrdiff_t rows,
                 const float *x, float *y);

    /// `y[i][j] = dot(x[i], w[j])`: x is m × k, w is n × k, y is m × n. `k` is a multiple of 16; strides are in elements.
    void (*_Nonnull gemm_nt)(const float *x, ptrdiff_t x_stride, ptrdiff_t m, const float *w, ptrdiff_t w_stride, ptrdiff_t n, ptrdiff_t k,
                    float *y, ptrdiff_t y_stride);

    /// `y[i][j] = Σ_p a[i][p] · b[p][j]`, summed in the order of p: a is m × k, b is k × n, y is m × n. `n` is a multiple of 16.
    void (*_Nonnull gemm_nn)(const float *a, ptrdiff_t a_stride, ptrdiff_t m, const float *b, ptrdiff_t b_stride, ptrdiff_t n, ptrdiff_t k,
                    float *y, ptrdiff_t y_stride);

    /// `y = weight · x / sqrt(mean(x²) + epsilon)` (RMSNorm, arXiv:1910.07467).
    void (*_Nonnull rms_norm)(const float *x, const float *weight, float epsilon, ptrdiff_t n, float *y);

    /// Rotates `n / 2` neighbouring pairs (RoPE, arXiv:2104.09864). `cosines` holds each cosine twice; `sines` holds each sine
    /// twice, the first of them negated.
    void (*_Nonnull rope)(float *x, const float *cosines, const float *sines, ptrdiff_t n);

    /// `x = softmax(scale · x)` over `n` elements.
    void (*_Nonnull softmax)(float *x, ptrdiff_t n, float scale);

    /// The sum of `exp(x[i] - most)`.
    float (*_Nonnull sum_exp)(const float *x, ptrdiff_t n, float most);

    /// `h1 = silu(h1) · h3` (SwiGLU, arXiv:2002.05202).
    void (*_Nonnull swiglu)(float *h1, const float *h3, ptrdiff_t n);

    /// `x = x + y`.
    void (*_Nonnull add)(float *x, const float *y, ptrdiff_t n);
} drover_kernels;

/// Straightforward loops, the reference that the others are tested against.
extern const drover_kernels drover_kernels_plain;

/// The fastest table that this processor runs.
const drover_kernels *drover_kernels_best(void);

/// The table called `name` ("avx512", "avx2", "neon", "plain"); NULL where this processor can't run it or the build hasn't got it.
const drover_kernels *_Nullable drover_kernels_named(const char *name);

/// Whether none of `n` numbers is a NaN or an infinity.
_Bool drover_are_finite(const float *x, ptrdiff_t n);

/// Tells the processor that it is in a loop that waits for another core.
static inline void drover_spin_hint(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#pragma clang assume_nonnull end
