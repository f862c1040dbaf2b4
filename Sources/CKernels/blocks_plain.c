// What stored weights are, element by element, in loops that any processor runs.
//
// Every product below is exact in float32 (11 bits of a scale, at most 8 of another, at most 8 of a number), so the one rounding is that of the
// sum, and it doesn't matter how a compiler or a faster version makes them. Source: `dequantize_row_*` in ggml-quants.c of the ggml repository.
#include "inference_blocks.h"

static void unpack_q8_0(const block_q8_0 *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 32; i++) out[i] = d * (float)block->q[i];
}

/// The nibble of element i of a block of 32.
static int nibble(const uint8_t *q, int i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }

/// The number of element i of Q5_0 and Q5_1.
static int five_bits(const uint8_t *q, const uint8_t *high, int i) { return nibble(q, i) | (high[i / 8] >> i % 8 & 1) << 4; }

static void unpack_q4_0(const block_q4_0 *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(nibble(block->q, i) - 8);
}

static void unpack_q4_1(const block_q4_1 *block, float *out) {
    float d = float_of_f16(block->d), m = float_of_f16(block->m);
    for (int i = 0; i < 32; i++) out[i] = d * (float)nibble(block->q, i) + m;
}

static void unpack_q5_0(const block_q5_0 *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(five_bits(block->q, block->high, i) - 16);
}

static void unpack_q5_1(const block_q5_1 *block, float *out) {
    float d = float_of_f16(block->d), m = float_of_f16(block->m);
    for (int i = 0; i < 32; i++) out[i] = d * (float)five_bits(block->q, block->high, i) + m;
}

static void unpack_iq4_nl(const block_iq4_nl *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 32; i++) out[i] = d * (float)iq4_levels[nibble(block->q, i)];
}

/// Two bits of element i of Q2_K and Q3_K: each byte has those of four elements, 32 apart; 32 bytes are for 128 elements.
static int two_bits(const uint8_t *q, int i) { return q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3; }

static void unpack_q2_k(const block_q2_k *block, float *out) {
    float d = float_of_f16(block->d), dmin = float_of_f16(block->dmin);
    for (int i = 0; i < 256; i++) {
        uint8_t scales = block->scales[i / 16];
        out[i] = d * (float)(scales & 15) * (float)two_bits(block->q, i) - dmin * (float)(scales >> 4);
    }
}

static void unpack_q3_k(const block_q3_k *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 256; i++) {
        // Four bits of each scale are in the first eight bytes, in nibbles; the other two in the last four, which have those of scales 4 apart.
        int s = i / 16, low = s < 8 ? block->scales[s] & 15 : block->scales[s - 8] >> 4, high = block->scales[8 + s % 4] >> s / 4 * 2 & 3;
        int number = two_bits(block->q, i) + (block->high[i % 32] >> i / 32 & 1) * 4;
        out[i] = d * (float)((low | high << 4) - 32) * (float)(number - 4);
    }
}

/// The scale and the minimum of elements 32·s… of Q4_K and Q5_K: the first four of each are six bits of a byte; what is left of these bytes are the high
/// bits of the last four, whose low ones are nibbles of the last four bytes.
static void scale_and_minimum(const uint8_t *scales, int s, float *scale, float *minimum) {
    if (s < 4) {
        *scale = (float)(scales[s] & 63);
        *minimum = (float)(scales[s + 4] & 63);
    } else {
        *scale = (float)((scales[s + 4] & 15) | scales[s - 4] >> 6 << 4);
        *minimum = (float)(scales[s + 4] >> 4 | scales[s] >> 6 << 4);
    }
}

/// The nibble of element i of Q4_K and Q5_K: each byte has those of two elements, 32 apart.
static int nibble_of_256(const uint8_t *q, int i) { return q[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15; }

static void unpack_q4_k(const block_q4_k *block, float *out) {
    float d = float_of_f16(block->d), dmin = float_of_f16(block->dmin), scale, minimum;
    for (int i = 0; i < 256; i++) {
        scale_and_minimum(block->scales, i / 32, &scale, &minimum);
        out[i] = d * scale * (float)nibble_of_256(block->q, i) - dmin * minimum;
    }
}

static void unpack_q5_k(const block_q5_k *block, float *out) {
    float d = float_of_f16(block->d), dmin = float_of_f16(block->dmin), scale, minimum;
    for (int i = 0; i < 256; i++) {
        scale_and_minimum(block->scales, i / 32, &scale, &minimum);
        int number = nibble_of_256(block->q, i) | (block->high[i % 32] >> i / 32 & 1) << 4;
        out[i] = d * scale * (float)number - dmin * minimum;
    }
}

static void unpack_q6_k(const block_q6_k *block, float *out) {
    float d = float_of_f16(block->d);
    for (int i = 0; i < 256; i++) {
        // Of 128 elements the low bits are in 64 bytes, as nibbles 64 apart, the high ones in 32, as pairs of bits 32 apart.
        int half = i / 128, at = i % 128;
        int low = block->q[half * 64 + at % 64] >> at / 64 * 4 & 15, high = block->high[half * 32 + at % 32] >> at / 32 * 2 & 3;
        out[i] = d * (float)block->scales[i / 16] * (float)((low | high << 4) - 32);
    }
}

static void unpack_iq4_xs(const block_iq4_xs *block, float *out) {
    float d = float_of_f16(block->d);
    uint32_t scales_high = read_u16(block->scales_high);
    for (int i = 0; i < 256; i++) {
        int s = i / 32, low = block->scales_low[s / 2] >> s % 2 * 4 & 15, high = scales_high >> s * 2 & 3;
        out[i] = d * (float)((low | high << 4) - 32) * (float)iq4_levels[nibble(block->q + 16 * s, i % 32)];
    }
}

static void unpack_block(drover_dtype type, const void *block, float *out) {
    switch (type) {
    case drover_f32:
    case drover_f16:
    case drover_bf16: return;
    case drover_q8_0: return unpack_q8_0(block, out);
    case drover_q4_0: return unpack_q4_0(block, out);
    case drover_q4_1: return unpack_q4_1(block, out);
    case drover_q5_0: return unpack_q5_0(block, out);
    case drover_q5_1: return unpack_q5_1(block, out);
    case drover_q2_k: return unpack_q2_k(block, out);
    case drover_q3_k: return unpack_q3_k(block, out);
    case drover_q4_k: return unpack_q4_k(block, out);
    case drover_q5_k: return unpack_q5_k(block, out);
    case drover_q6_k: return unpack_q6_k(block, out);
    case drover_iq4_nl: return unpack_iq4_nl(block, out);
    case drover_iq4_xs: return unpack_iq4_xs(block, out);
    }
}

void drover_unpack_plain(drover_dtype type, const void *source, ptrdiff_t count, float *out) {
    const uint8_t *p = source;
    if (type == drover_f32) {
        memcpy(out, p, (size_t)count * 4);
    } else if (type == drover_f16) {
        for (ptrdiff_t i = 0; i < count; i++) out[i] = float_of_f16(p + 2 * i);
    } else if (type == drover_bf16) {
        for (ptrdiff_t i = 0; i < count; i++) out[i] = float_of_bf16(p + 2 * i);
    } else {
        const ptrdiff_t elements = block_elements(type), bytes = block_bytes(type);
        for (ptrdiff_t i = 0; i < count; i += elements, p += bytes, out += elements) unpack_block(type, p, out);
    }
}
