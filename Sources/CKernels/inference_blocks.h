// How stored weights read, without any instruction set: shared by the plain kernels and by the tails of the others.
#pragma once
#include "inference.h"

#include <stdint.h>
#include <string.h>

// ggml's quantized blocks. Scales are float16 (`d`, `m`, `dmin`).

/// Blocks of 32. Of nibbles, the low ones are elements 0…15 and the high ones 16…31; bit i of `high` is the fifth of element i.
typedef struct { uint8_t d[2]; int8_t q[32]; } block_q8_0;
typedef struct { uint8_t d[2]; uint8_t q[16]; } block_q4_0;
typedef struct { uint8_t d[2]; uint8_t m[2]; uint8_t q[16]; } block_q4_1;
typedef struct { uint8_t d[2]; uint8_t high[4]; uint8_t q[16]; } block_q5_0;
typedef struct { uint8_t d[2]; uint8_t m[2]; uint8_t high[4]; uint8_t q[16]; } block_q5_1;
typedef struct { uint8_t d[2]; uint8_t q[16]; } block_iq4_nl;

/// Blocks of 256. `q` has the low bits of each element's number and `high` the others; how they lie is in blocks_plain.c.
typedef struct { uint8_t scales[16]; uint8_t q[64]; uint8_t d[2]; uint8_t dmin[2]; } block_q2_k;
typedef struct { uint8_t high[32]; uint8_t q[64]; uint8_t scales[12]; uint8_t d[2]; } block_q3_k;
typedef struct { uint8_t d[2]; uint8_t dmin[2]; uint8_t scales[12]; uint8_t q[128]; } block_q4_k;
typedef struct { uint8_t d[2]; uint8_t dmin[2]; uint8_t scales[12]; uint8_t high[32]; uint8_t q[128]; } block_q5_k;
typedef struct { uint8_t q[128]; uint8_t high[64]; int8_t scales[16]; uint8_t d[2]; } block_q6_k;
typedef struct { uint8_t d[2]; uint8_t scales_high[2]; uint8_t scales_low[4]; uint8_t q[128]; } block_iq4_xs;

/// The levels that the nibbles of IQ4_NL and IQ4_XS stand for.
static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static inline ptrdiff_t block_elements(drover_dtype type) {
    switch (type) {
    case drover_f32:
    case drover_f16:
    case drover_bf16: return 1;
    case drover_q8_0:
    case drover_q4_0:
    case drover_q4_1:
    case drover_q5_0:
    case drover_q5_1:
    case drover_iq4_nl: return 32;
    case drover_q2_k:
    case drover_q3_k:
    case drover_q4_k:
    case drover_q5_k:
    case drover_q6_k:
    case drover_iq4_xs: return 256;
    }
    return 1;
}

static inline ptrdiff_t block_bytes(drover_dtype type) {
    switch (type) {
    case drover_f32: return 4;
    case drover_f16:
    case drover_bf16: return 2;
    case drover_q8_0: return sizeof(block_q8_0);
    case drover_q4_0: return sizeof(block_q4_0);
    case drover_q4_1: return sizeof(block_q4_1);
    case drover_q5_0: return sizeof(block_q5_0);
    case drover_q5_1: return sizeof(block_q5_1);
    case drover_q2_k: return sizeof(block_q2_k);
    case drover_q3_k: return sizeof(block_q3_k);
    case drover_q4_k: return sizeof(block_q4_k);
    case drover_q5_k: return sizeof(block_q5_k);
    case drover_q6_k: return sizeof(block_q6_k);
    case drover_iq4_nl: return sizeof(block_iq4_nl);
    case drover_iq4_xs: return sizeof(block_iq4_xs);
    }
    return 0;
}

/// The plain table's `unpack`.
void drover_unpack_plain(drover_dtype type, const void *source, ptrdiff_t count, float *out);

static inline uint32_t read_u16(const void *p) {
    uint16_t bits;
    memcpy(&bits, p, 2);
    return bits;
}

static inline float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline float float_of_bf16(const void *p) { return float_of_bits(read_u16(p) << 16); }

/// IEEE 754 binary16, subnormal numbers, infinities and NaN included; a signalling NaN becomes a quiet one, as processors have it.
static inline float float_of_f16(const void *p) {
    uint32_t bits = read_u16(p), sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) return float_of_bits(sign | 0x7F800000 | (fraction ? 0x400000 | fraction << 13 : 0));
    if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}
