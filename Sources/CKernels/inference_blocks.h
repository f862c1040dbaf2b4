// How stored weights read, without any instruction set: shared by the plain kernels and by the tails of the others.
#pragma once
#include "inference.h"

#include <stdint.h>
#include <string.h>

/// ggml's quantized blocks. The scales are float16; of the nibbles, the low ones are elements 0…15 and the high ones 16…31.
typedef struct { uint8_t d[2]; int8_t q[32]; } block_q8_0;
typedef struct { uint8_t d[2]; uint8_t q[16]; } block_q4_0;
typedef struct { uint8_t d[2]; uint8_t m[2]; uint8_t q[16]; } block_q4_1;

static inline ptrdiff_t block_elements(drover_dtype type) { return type >= drover_q8_0 ? 32 : 1; }

static inline ptrdiff_t block_bytes(drover_dtype type) {
    switch (type) {
    case drover_f32: return 4;
    case drover_f16:
    case drover_bf16: return 2;
    case drover_q8_0: return sizeof(block_q8_0);
    case drover_q4_0: return sizeof(block_q4_0);
    case drover_q4_1: return sizeof(block_q4_1);
    }
    return 0;
}

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

/// IEEE 754 binary16, subnormal numbers, infinities and NaN included.
static inline float float_of_f16(const void *p) {
    uint32_t bits = read_u16(p), sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) return float_of_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f;
    return sign ? -magnitude : magnitude;
}
