#include "inference_blocks.h"
#include "inference_tables.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define KERNELS drover_kernels_neon
#define KERNELS_NAME "neon"
// 32 registers, four to a vector: six sums would take 24; four leave room for the operands.
#define TILE_M 2
#define TILE_N 2
#define OUTER_M 2
#define OUTER_V 2
#define GEMV_ROWS 4
#include "inference_vector.h"

#endif
