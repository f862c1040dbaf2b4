#include "quantize_blocks.h"

#include <float.h>

// The reference's arithmetic step by step, one number after the other.

/// What a conversion to an integer gives on x86: the low bits of the number without its fraction, 0 of what isn't within 32 bits.
static int truncated(float value) { return value >= -2147483648.0f && value < 2147483648.0f ? (int)value : 0; }

/// The number of the greatest magnitude, the first of several.
static float extreme(const float *x) {
    float most = 0, value = 0;
    for (int i = 0; i < 32; i++) {
        if (most < fabsf(x[i])) most = fabsf(x[i]), value = x[i];
    }
    return value;
}

static float inverse(float d) { return d != 0 ? 1.0f / d : 0.0f; }

static void quantize_q8_0(const float *x, block_q8_0 *out) {
    float d = fabsf(extreme(x)) / 127, id = inverse(d);
    put_f16(out->d, d);
    for (int i = 0; i < 32; i++) out->q[i] = (int8_t)truncated(roundf(x[i] * id));
}

static void quantize_q4_0(const float *x, block_q4_0 *out) {
    float d = extreme(x) / -8, id = inverse(d);
    put_f16(out->d, d);
    for (int i = 0; i < 16; i++) {
        int8_t low = (int8_t)truncated(x[i] * id + 8.5f), high = (int8_t)truncated(x[16 + i] * id + 8.5f);
        out->q[i] = (uint8_t)((uint8_t)(low < 15 ? low : 15) | (uint8_t)(high < 15 ? high : 15) << 4);
    }
}

static void quantize_q5_0(const float *x, block_q5_0 *out) {
    float d = extreme(x) / -16, id = inverse(d);
    put_f16(out->d, d);
    uint32_t fifth = 0;
    for (int i = 0; i < 16; i++) {
        int8_t a = (int8_t)truncated(x[i] * id + 16.5f), b = (int8_t)truncated(x[16 + i] * id + 16.5f);
        uint32_t low = (uint8_t)(a < 31 ? a : 31), high = (uint8_t)(b < 31 ? b : 31);
        out->q[i] = (uint8_t)((low & 15) | (high & 15) << 4);
        fifth |= (low >> 4 & 1) << i | (high >> 4 & 1) << (16 + i);
    }
    memcpy(out->high, &fifth, 4);
}

static void range(const float *x, float *least, float *most) {
    *least = FLT_MAX;
    *most = -FLT_MAX;
    for (int i = 0; i < 32; i++) {
        if (x[i] < *least) *least = x[i];
        if (x[i] > *most) *most = x[i];
    }
}

static void quantize_q4_1(const float *x, block_q4_1 *out) {
    float least, most;
    range(x, &least, &most);
    float d = (most - least) / 15, id = inverse(d);
    put_f16(out->d, d);
    put_f16(out->m, least);
    for (int i = 0; i < 16; i++) {
        int8_t low = (int8_t)truncated((x[i] - least) * id + 0.5f), high = (int8_t)truncated((x[16 + i] - least) * id + 0.5f);
        out->q[i] = (uint8_t)((uint8_t)(low < 15 ? low : 15) | (uint8_t)(high < 15 ? high : 15) << 4);
    }
}

static void quantize_q5_1(const float *x, block_q5_1 *out) {
    float least, most;
    range(x, &least, &most);
    float d = (most - least) / 31, id = inverse(d);
    put_f16(out->d, d);
    put_f16(out->m, least);
    uint32_t fifth = 0;
    for (int i = 0; i < 16; i++) {
        uint32_t low = (uint8_t)truncated((x[i] - least) * id + 0.5f), high = (uint8_t)truncated((x[16 + i] - least) * id + 0.5f);
        out->q[i] = (uint8_t)((low & 15) | (high & 15) << 4);
        fifth |= (low >> 4 & 1) << i | (high >> 4 & 1) << (16 + i);
    }
    memcpy(out->high, &fifth, 4);
}

/// Looks for the scale and the minimum that make the least weighted error over 32 numbers, among those of `steps + 1` roundings.
static void search_with_minimum(const float *x, int levels, float first, int steps, found_with_minimum *found, int part) {
    float squares = 0, weights[32];
    for (int i = 0; i < 32; i++) squares += x[i] * x[i];
    float mean = sqrtf(squares / 32);
    for (int i = 0; i < 32; i++) weights[i] = mean + fabsf(x[i]);
    float least = x[0], most = x[0], sum_w = weights[0], sum_x = sum_w * x[0];
    for (int i = 1; i < 32; i++) {
        if (x[i] < least) least = x[i];
        if (x[i] > most) most = x[i];
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    if (least > 0) least = 0;
    found->scale[part] = found->inverse[part] = found->base[part] = 0;
    if (most == least) {
        found->minimum[part] = -least;
        return;
    }
    float inverse = (float)levels / (most - least), scale = 1 / inverse, best = 0;
    for (int i = 0; i < 32; i++) {
        float difference = scale * (float)clamped(nearest(inverse * (x[i] - least)), 0, levels) + least - x[i];
        best += weights[i] * (difference * difference);
    }
    found->inverse[part] = inverse;
    found->base[part] = least;
    for (int step = 0; step <= steps; step++) {
        inverse = (first + 0.1f * (float)step + (float)levels) / (most - least);
        float sum_l = 0, sum_l2 = 0, sum_xl = 0, level[32];
        for (int i = 0; i < 32; i++) {
            level[i] = (float)clamped(nearest(inverse * (x[i] - least)), 0, levels);
            sum_l += weights[i] * level[i];
            sum_l2 += weights[i] * level[i] * level[i];
            sum_xl += weights[i] * level[i] * x[i];
        }
        float determinant = sum_w * sum_l2 - sum_l * sum_l;
        if (!(determinant > 0)) continue;
        float this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant, this_least = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        if (this_least > 0) {
            this_least = 0;
            this_scale = sum_xl / sum_l2;
        }
        float error = 0;
        for (int i = 0; i < 32; i++) {
            float difference = this_scale * level[i] + this_least - x[i];
            error += weights[i] * (difference * difference);
        }
        if (!(error < best)) continue;
        best = error;
        found->inverse[part] = inverse;
        found->base[part] = least;
        scale = this_scale;
        least = this_least;
    }
    found->scale[part] = scale;
    found->minimum[part] = -least;
}

/// Looks for the scale that makes the least error over sixteen numbers, weighted by their squares, for levels of -32 to 31.
static void search_symmetric(const float *x, found_symmetric *found, int part) {
    float most = 0, value = 0;
    for (int i = 0; i < 16; i++) {
        if (fabsf(x[i]) > most) most = fabsf(x[i]), value = x[i];
    }
    found->scale[part] = found->inverse[part] = 0;
    if (most < LEAST_MAGNITUDE) return;
    float scale = 0, best = 0;
    for (int step = -10; step <= 9; step++) {
        // The first is the plain one, which the others must beat.
        if (step == 0) continue;
        float inverse = step == -10 ? -32 / value : -(32 + 0.1f * (float)step) / value, sum_lx = 0, sum_l2 = 0;
        for (int i = 0; i < 16; i++) {
            float level = (float)clamped(nearest(inverse * x[i]), -32, 31), weight = x[i] * x[i];
            sum_lx += weight * x[i] * level;
            sum_l2 += weight * level * level;
        }
        if (step == -10) {
            scale = sum_l2 != 0 ? sum_lx / sum_l2 : 0.0f;
        } else if (sum_l2 > 0 && sum_lx * sum_lx > best * sum_l2) {
            scale = sum_lx / sum_l2;
        } else {
            continue;
        }
        best = scale * sum_lx;
        found->inverse[part] = inverse;
    }
    found->scale[part] = scale;
}

void drover_quantize_block_plain(drover_dtype type, const float *x, void *out) {
    found_with_minimum found;
    found_symmetric symmetric;
    switch (type) {
    case drover_q8_0: return quantize_q8_0(x, out);
    case drover_q4_0: return quantize_q4_0(x, out);
    case drover_q4_1: return quantize_q4_1(x, out);
    case drover_q5_0: return quantize_q5_0(x, out);
    case drover_q5_1: return quantize_q5_1(x, out);
    case drover_q4_k:
        for (int part = 0; part < 8; part++) search_with_minimum(x + 32 * part, 15, -1.f, 20, &found, part);
        return finish_q4_k(x, &found, out);
    case drover_q5_k:
        for (int part = 0; part < 8; part++) search_with_minimum(x + 32 * part, 31, -0.5f, 15, &found, part);
        return finish_q5_k(x, &found, out);
    case drover_q6_k:
        for (int part = 0; part < 16; part++) search_symmetric(x + 16 * part, &symmetric, part);
        return finish_q6_k(x, &symmetric, out);
    default: return;
    }
}

void drover_quantize_plain(drover_dtype type, const float *x, ptrdiff_t count, void *out) {
    ptrdiff_t elements = block_elements(type), bytes = block_bytes(type);
    for (ptrdiff_t block = 0; block < count / elements; block++) drover_quantize_block_plain(type, x + block * elements, (char *)out + block * bytes);
}
