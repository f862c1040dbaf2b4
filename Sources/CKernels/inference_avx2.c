#include "inference_blocks.h"
#include "inference_tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define KERNELS drover_kernels_avx2
#define KERNELS_NAME "avx2"
// Sixteen registers, two to a vector: six sums and the operands.
#define TILE_M 3
#define TILE_N 2
#define OUTER_M 3
#define OUTER_V 2
#define GEMV_ROWS 4
#include "inference_vector.h"

#pragma clang attribute pop
#endif
