// What all quantizers share: rounding, and how numbers are put into blocks once they are found.
#pragma once
#include "inference_blocks.h"
#include "quantize.h"

#include <limits.h>
#include <math.h>

// A fused multiplication and addition rounds once where the reference rounds twice.
#pragma clang fp contract(off)

/// What the reference takes for zero.
#define LEAST_MAGNITUDE 1e-15f

drover_quantize drover_quantize_plain, drover_quantize_avx2, drover_quantize_avx512, drover_quantize_neon;

/// The reference's quantization of one block of 32 for types without "K", and of one of 256 for those with.
void drover_quantize_block_plain(drover_dtype type, const float *x, void *out);

static inline uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/// IEEE 754 binary16, to the nearest, ties to even.
static inline void put_f16(uint8_t out[2], float value) {
    uint32_t bits = bits_of_float(value), magnitude = bits & 0x7FFFFFFF, half;
    if (magnitude > 0x7F800000) half = 0x7E00;
    else if (magnitude >= 0x477FF000) half = 0x7C00;  // 65520: the least that rounds to infinity
    else if (magnitude < 0x38800000) half = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3F000000;  // subnormal: multiples of 2^-24, which is 0.5's last place
    else half = (magnitude + 0xFFF + (magnitude >> 13 & 1) - 0x38000000) >> 13;
    half |= bits >> 16 & 0x8000;
    out[0] = (uint8_t)half;
    out[1] = (uint8_t)(half >> 8);
}

/// The nearest whole number, ties to even, as the reference finds it: in the low bits of a sum with 1.5 · 2^23. Beyond 2^22 it wraps.
static inline int nearest(float value) { return (int)(bits_of_float(value + 12582912.f) & 0x7FFFFF) - 0x400000; }

static inline int clamped(int value, int least, int most) { return value < least ? least : value > most ? most : value; }

/// What a search over the 32 numbers of a part of a Q4_K or Q5_K block finds: numbers are about `scale * level - minimum`.
typedef struct {
    float scale[8], minimum[8];
    /// How the search's own levels come of numbers: `nearest(inverse * (x - base))`. 0 where all are 0.
    float inverse[8], base[8];
} found_with_minimum;

/// The scales and minima of a block's eight parts, in six bits each: the low ones of the first four, then those of the other four with the high ones before.
static inline void put_scales(uint8_t out[12], const found_with_minimum *found, float scale_factor, float minimum_factor, uint8_t scales[8], uint8_t minima[8]) {
    for (int part = 0; part < 8; part++) {
        uint8_t scale = (uint8_t)nearest(scale_factor * found->scale[part]), minimum = (uint8_t)nearest(minimum_factor * found->minimum[part]);
        scales[part] = scale < 63 ? scale : 63;
        minima[part] = minimum < 63 ? minimum : 63;
    }
    for (int part = 0; part < 4; part++) {
        out[part] = (uint8_t)(scales[part] | scales[part + 4] >> 4 << 6);
        out[part + 4] = (uint8_t)(minima[part] | minima[part + 4] >> 4 << 6);
        out[part + 8] = (uint8_t)((scales[part + 4] & 15) | (minima[part + 4] & 15) << 4);
    }
}

/// Rounds the 256 numbers of a Q4_K or Q5_K block with the scales that were found for them.
/// - most: the highest level, 15 or 31.
static inline void finish_with_minimum(const float *x, const found_with_minimum *found, int most, uint8_t d[2], uint8_t dmin[2], uint8_t packed[12], uint8_t levels[256]) {
    float most_scale = 0, most_minimum = 0;
    for (int part = 0; part < 8; part++) {
        if (found->scale[part] > most_scale) most_scale = found->scale[part];
        if (found->minimum[part] > most_minimum) most_minimum = found->minimum[part];
    }
    uint8_t scales[8], minima[8];
    put_scales(packed, found, most_scale > 0 ? 63.f / most_scale : 0.f, most_minimum > 0 ? 63.f / most_minimum : 0.f, scales, minima);
    put_f16(d, most_scale / 63.f);
    put_f16(dmin, most_minimum / 63.f);
    for (int part = 0; part < 8; part++) {
        const float *from = x + 32 * part;
        uint8_t *to = levels + 32 * part;
        float scale = float_of_f16(d) * (float)scales[part], minimum = float_of_f16(dmin) * (float)minima[part];
        if (scale != 0) {
            for (int i = 0; i < 32; i++) to[i] = (uint8_t)clamped(nearest((from[i] + minimum) / scale), 0, most);
        } else {
            // The search's own levels stand.
            float inverse = found->inverse[part], base = found->base[part];
            for (int i = 0; i < 32; i++) to[i] = inverse == 0 ? 0 : (uint8_t)clamped(nearest(inverse * (from[i] - base)), 0, most);
        }
    }
}

static inline void finish_q4_k(const float *x, const found_with_minimum *found, block_q4_k *out) {
    uint8_t levels[256];
    finish_with_minimum(x, found, 15, out->d, out->dmin, out->scales, levels);
    for (int pair = 0; pair < 4; pair++)
        for (int i = 0; i < 32; i++) out->q[32 * pair + i] = (uint8_t)(levels[64 * pair + i] | levels[64 * pair + 32 + i] << 4);
}

static inline void finish_q5_k(const float *x, const found_with_minimum *found, block_q5_k *out) {
    uint8_t levels[256], high[32] = {0};
    finish_with_minimum(x, found, 31, out->d, out->dmin, out->scales, levels);
    for (int pair = 0; pair < 4; pair++) {
        for (int i = 0; i < 32; i++) {
            uint8_t first = levels[64 * pair + i], second = levels[64 * pair + 32 + i];
            out->q[32 * pair + i] = (uint8_t)((first & 15) | second << 4);
            high[i] = (uint8_t)(high[i] | (first >> 4 | second >> 4 << 1) << 2 * pair);
        }
    }
    memcpy(out->high, high, sizeof high);
}

/// What a search over the sixteen numbers of a part of a Q6_K block finds.
typedef struct {
    float scale[16];
    /// As in `found_with_minimum`, without a base.
    float inverse[16];
} found_symmetric;

static inline void finish_q6_k(const float *x, const found_symmetric *found, block_q6_k *out) {
    float most = 0, signed_most = 0;
    for (int part = 0; part < 16; part++) {
        float magnitude = fabsf(found->scale[part]);
        if (magnitude > most) most = magnitude, signed_most = found->scale[part];
    }
    if (most < LEAST_MAGNITUDE) {
        memset(out, 0, sizeof *out);
        return;
    }
    float factor = -128.f / signed_most;
    put_f16(out->d, 1 / factor);
    uint8_t levels[256];
    for (int part = 0; part < 16; part++) {
        const float *from = x + 16 * part;
        uint8_t *to = levels + 16 * part;
        int scale = nearest(factor * found->scale[part]);
        out->scales[part] = (int8_t)(scale < 127 ? scale : 127);
        float d = float_of_f16(out->d) * (float)out->scales[part];
        if (d != 0) {
            for (int i = 0; i < 16; i++) to[i] = (uint8_t)(clamped(nearest(from[i] / d), -32, 31) + 32);
        } else {
            float inverse = found->inverse[part];
            for (int i = 0; i < 16; i++) to[i] = inverse == 0 ? 0 : (uint8_t)(clamped(nearest(inverse * from[i]), -32, 31) + 32);
        }
    }
    for (int half = 0; half < 2; half++) {
        const uint8_t *from = levels + 128 * half;
        for (int i = 0; i < 32; i++) {
            out->q[64 * half + i] = (uint8_t)((from[i] & 15) | from[i + 64] << 4);
            out->q[64 * half + 32 + i] = (uint8_t)((from[i + 32] & 15) | from[i + 96] << 4);
            out->high[32 * half + i] = (uint8_t)(from[i] >> 4 | from[i + 32] >> 4 << 2 | from[i + 64] >> 4 << 4 | from[i + 96] >> 4 << 6);
        }
    }
}
