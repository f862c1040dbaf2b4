#include "quantize_blocks.h"

drover_quantize *drover_quantizer_named(const char *name) {
    if (strcmp(name, "plain") == 0) return drover_quantize_plain;
    if (drover_kernels_named(name) == NULL) return NULL;
#if defined(__x86_64__)
    if (strcmp(name, "avx512") == 0) return drover_quantize_avx512;
    if (strcmp(name, "avx2") == 0) return drover_quantize_avx2;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return drover_quantize_neon;
#endif
    return NULL;
}

void drover_quantize_best(drover_dtype type, const float *x, ptrdiff_t count, void *out) {
    drover_quantize *best = drover_quantizer_named(drover_kernels_best()->name);
    (best ? best : drover_quantize_plain)(type, x, count, out);
}

static _Bool is_infinite(const uint8_t half[2]) { return (half[1] & 0x7C) == 0x7C; }

ptrdiff_t drover_first_infinite_scale(drover_dtype type, const void *blocks, ptrdiff_t count) {
    ptrdiff_t elements = block_elements(type), bytes = block_bytes(type), scale = type == drover_q6_k ? offsetof(block_q6_k, d) : 0;
    // Where there is a second number, of minima, it lies behind the first.
    _Bool has_minimum = type == drover_q4_1 || type == drover_q5_1 || type == drover_q4_k || type == drover_q5_k;
    for (ptrdiff_t block = 0; block < count / elements; block++) {
        const uint8_t *at = (const uint8_t *)blocks + block * bytes + scale;
        if (is_infinite(at) || (has_minimum && is_infinite(at + 2))) return block * elements;
    }
    return -1;
}
