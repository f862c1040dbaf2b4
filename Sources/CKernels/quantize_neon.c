#include "inference_blocks.h"

#if defined(__aarch64__)

#define QUANTIZE drover_quantize_neon
#include "quantize_vector.h"

#endif
