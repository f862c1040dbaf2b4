// The tables that this build has.
#pragma once
#include "inference.h"

#if defined(__x86_64__)
extern const drover_kernels drover_kernels_avx512;
extern const drover_kernels drover_kernels_avx2;
#elif defined(__aarch64__)
extern const drover_kernels drover_kernels_neon;
#endif
