#include "inference_blocks.h"

#include <limits.h>
#include <math.h>

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)

#define QUANTIZE drover_quantize_avx512
#include "quantize_vector.h"

#pragma clang attribute pop
#endif
