#pragma once
#include <stddef.h>

#include "inference.h"

#pragma clang assume_nonnull begin

/// Writes `count` numbers, which are finite and fill whole blocks of `type`, as ggml's blocks to `out`.
///
/// The types are Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K. The bytes are those of ggml's reference (`quantize_row_*_ref` in `ggml-quants.c`,
/// without an importance matrix, built without contraction), whatever the instruction set: each sum is added in the reference's order, in a lane of its own.
typedef void drover_quantize(drover_dtype type, const float *x, ptrdiff_t count, void *out);

/// The one called `name` ("avx512", "avx2", "neon", "plain"); NULL where this processor can't run it or the build hasn't got it.
drover_quantize *_Nullable drover_quantizer_named(const char *name);

/// The fastest that this processor runs.
drover_quantize drover_quantize_best;

/// Which of `count` numbers in blocks is the first of one whose scale or minimum overflowed; -1 where none did.
ptrdiff_t drover_first_infinite_scale(drover_dtype type, const void *blocks, ptrdiff_t count);

#pragma clang assume_nonnull end
