#include "inference_blocks.h"
#include "inference_tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)

#define KERNELS drover_kernels_avx512
#define KERNELS_NAME "avx512"
// 32 registers: sixteen sums, whose lanes are added all at once, and the operands.
#define TILE_M 4
#define TILE_N 4
#define OUTER_M 4
#define OUTER_V 4
#define GEMV_ROWS 4
#define NIBBLES_BY_PERMUTATION
#include "inference_vector.h"

#pragma clang attribute pop
#endif
