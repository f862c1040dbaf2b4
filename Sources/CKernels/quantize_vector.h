// The quantizers in vectors of sixteen floats, written once: the compiler maps them on one, two or four registers.
//
// A quantize_<name>.c includes this after it has set the instruction set and defined QUANTIZE as the function's name.
//
// Where the reference adds numbers up, each of sixteen sums has a lane: the numbers of sixteen parts are turned so that a vector has one of each part. So every
// sum is added in the reference's order.
#include "quantize_blocks.h"

#include <float.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Wide vectors are never passed between functions that aren't inlined, so their calling convention doesn't matter.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint8_t n16 __attribute__((vector_size(16)));
typedef float v16_at __attribute__((vector_size(64), aligned(1), may_alias));
typedef int8_t b16_at __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t n16_at __attribute__((vector_size(16), aligned(1), may_alias));

INLINE v16 load(const float *p) { return *(const v16_at *)p; }
INLINE v16 splat(float value) { return value - (v16){}; }

/// `a` in the lanes whose mask is set, `b` in the others.
INLINE v16 choose(i16 mask, v16 a, v16 b) { return (v16)((mask & (i16)a) | (~mask & (i16)b)); }
INLINE v16 magnitude(v16 x) { return (v16)((i16)x & 0x7FFFFFFF); }
INLINE _Bool any(i16 mask) { return __builtin_reduce_or(mask) != 0; }

/// `clamped(nearest(x), least, most)` as floats.
INLINE v16 level(v16 x, int least, int most) {
    i16 value = ((i16)(x + 12582912.f) & 0x7FFFFF) - 0x400000;
    value = __builtin_elementwise_min(__builtin_elementwise_max(value, (i16){} + least), (i16){} + most);
    return __builtin_convertvector(value, v16);
}

/// Sixteen parts of `count` numbers each, so that vector i has number i of each.
INLINE void turn(const float *x, int count, v16 *out) {
    for (int i = 0; i < count; i += 16) {
        // A square of sixteen by sixteen, in four steps that exchange halves, quarters and so on.
        v16 a[16], b[16];
        UNROLL for (int part = 0; part < 16; part++) a[part] = load(x + part * count + i);
        UNROLL for (int k = 0; k < 8; k++) {
            b[2 * k] = __builtin_shufflevector(a[k], a[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * k + 1] = __builtin_shufflevector(a[k], a[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int k = 0; k < 8; k++) {
            a[2 * k] = __builtin_shufflevector(b[k], b[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            a[2 * k + 1] = __builtin_shufflevector(b[k], b[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int k = 0; k < 8; k++) {
            b[2 * k] = __builtin_shufflevector(a[k], a[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            b[2 * k + 1] = __builtin_shufflevector(a[k], a[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
        UNROLL for (int k = 0; k < 8; k++) {
            out[i + 2 * k] = __builtin_shufflevector(b[k], b[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            out[i + 2 * k + 1] = __builtin_shufflevector(b[k], b[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    }
}

/// `search_with_minimum` for sixteen parts of 32 numbers: two blocks.
/// - first, steps: of the roundings that are tried.
INLINE void search_with_minimum(const float *numbers, int levels, float first, int steps, found_with_minimum found[2]) {
    v16 x[32], weights[32], chosen[32];
    turn(numbers, 32, x);
    v16 squares = {};
    for (int i = 0; i < 32; i++) squares += x[i] * x[i];
    v16 mean = __builtin_elementwise_sqrt(squares / 32);
    for (int i = 0; i < 32; i++) weights[i] = mean + magnitude(x[i]);
    v16 least = x[0], most = x[0], sum_w = weights[0], sum_x = sum_w * x[0];
    for (int i = 1; i < 32; i++) {
        least = choose(x[i] < least, x[i], least);
        most = choose(x[i] > most, x[i], most);
        sum_w += weights[i];
        sum_x += weights[i] * x[i];
    }
    least = choose(least > 0, (v16){}, least);
    i16 is_flat = most == least;
    v16 flat_minimum = -least;
    v16 inverse = (float)levels / (most - least), scale = 1 / inverse, best = {};
    for (int i = 0; i < 32; i++) {
        v16 difference = scale * level(inverse * (x[i] - least), 0, levels) + least - x[i];
        best += weights[i] * (difference * difference);
    }
    v16 best_inverse = inverse, best_base = least;
    for (int step = 0; step <= steps; step++) {
        inverse = (first + 0.1f * (float)step + (float)levels) / (most - least);
        v16 sum_l = {}, sum_l2 = {}, sum_xl = {};
        for (int i = 0; i < 32; i++) {
            v16 l = level(inverse * (x[i] - least), 0, levels), weighted = weights[i] * l;
            chosen[i] = l;
            sum_l += weighted;
            sum_l2 += weighted * l;
            sum_xl += weighted * x[i];
        }
        v16 determinant = sum_w * sum_l2 - sum_l * sum_l;
        v16 this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant, this_least = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
        i16 is_positive = this_least > 0;
        this_scale = choose(is_positive, sum_xl / sum_l2, this_scale);
        this_least = choose(is_positive, (v16){}, this_least);
        v16 error = {};
        for (int i = 0; i < 32; i++) {
            v16 difference = this_scale * chosen[i] + this_least - x[i];
            error += weights[i] * (difference * difference);
        }
        i16 is_better = (determinant > 0) & (error < best);
        if (!any(is_better)) continue;
        best = choose(is_better, error, best);
        best_inverse = choose(is_better, inverse, best_inverse);
        best_base = choose(is_better, least, best_base);
        scale = choose(is_better, this_scale, scale);
        least = choose(is_better, this_least, least);
    }
    v16 minimum = choose(is_flat, flat_minimum, -least);
    scale = choose(is_flat, (v16){}, scale);
    best_inverse = choose(is_flat, (v16){}, best_inverse);
    for (int block = 0; block < 2; block++) {
        memcpy(found[block].scale, (char *)&scale + 32 * block, 32);
        memcpy(found[block].minimum, (char *)&minimum + 32 * block, 32);
        memcpy(found[block].inverse, (char *)&best_inverse + 32 * block, 32);
        memcpy(found[block].base, (char *)&best_base + 32 * block, 32);
    }
}

/// `search_symmetric` for the sixteen parts of a block.
INLINE void search_symmetric(const float *numbers, found_symmetric *found) {
    v16 x[16], weights[16], weighted[16];
    turn(numbers, 16, x);
    v16 most = {}, value = {};
    for (int i = 0; i < 16; i++) {
        i16 is_more = magnitude(x[i]) > most;
        most = choose(is_more, magnitude(x[i]), most);
        value = choose(is_more, x[i], value);
        weights[i] = x[i] * x[i];
        weighted[i] = weights[i] * x[i];
    }
    v16 scale = {}, best = {}, best_inverse = {};
    for (int step = -10; step <= 9; step++) {
        if (step == 0) continue;
        v16 inverse = step == -10 ? -32 / value : -(32 + 0.1f * (float)step) / value, sum_lx = {}, sum_l2 = {};
        for (int i = 0; i < 16; i++) {
            v16 l = level(inverse * x[i], -32, 31);
            sum_lx += weighted[i] * l;
            sum_l2 += weights[i] * l * l;
        }
        i16 is_better = step == -10 ? (i16){} - 1 : (sum_l2 > 0) & (sum_lx * sum_lx > best * sum_l2);
        if (!any(is_better)) continue;
        v16 this_scale = sum_lx / sum_l2;
        if (step == -10) this_scale = choose(sum_l2 != 0, this_scale, (v16){});
        scale = choose(is_better, this_scale, scale);
        best = choose(is_better, this_scale * sum_lx, best);
        best_inverse = choose(is_better, inverse, best_inverse);
    }
    i16 is_zero = most < LEAST_MAGNITUDE;
    scale = choose(is_zero, (v16){}, scale);
    best_inverse = choose(is_zero, (v16){}, best_inverse);
    memcpy(found->scale, &scale, 64);
    memcpy(found->inverse, &best_inverse, 64);
}

// MARK: Blocks of 32

/// Of 32 numbers the first that is equal to `value`: which of two zeros it is.
INLINE float first_equal(const float *x, float value) {
    for (int i = 0; i < 32; i++) {
        if (x[i] == value) return x[i];
    }
    return value;
}

INLINE float greatest_magnitude(const float *x) { return __builtin_reduce_max(__builtin_elementwise_max(magnitude(load(x)), magnitude(load(x + 16)))); }

/// The number of the greatest magnitude, the first of several.
INLINE float extreme(const float *x) {
    float most = greatest_magnitude(x);
    if (most == 0) return 0;
    for (int i = 0; i < 32; i++) {
        if (fabsf(x[i]) == most) return x[i];
    }
    return most;
}

/// Rounds 32 numbers towards zero, which are within 0 and 255.
INLINE void put_levels(v16 a, v16 b, float most, uint8_t levels[32]) {
    n16_at *out = (n16_at *)levels;
    out[0] = __builtin_convertvector(__builtin_convertvector(choose(a < most, a, splat(most)), i16), n16);
    out[1] = __builtin_convertvector(__builtin_convertvector(choose(b < most, b, splat(most)), i16), n16);
}

INLINE void put_nibbles(const uint8_t levels[32], uint8_t q[16]) {
    for (int i = 0; i < 16; i++) q[i] = (uint8_t)((levels[i] & 15) | levels[16 + i] << 4);
}

INLINE void put_fifth_bits(const uint8_t levels[32], uint8_t high[4]) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(levels[i] >> 4 & 1) << i;
    memcpy(high, &bits, 4);
}

/// To the nearest, halves away from zero: what `roundf` does.
INLINE v16 rounded(v16 x) {
    // The greatest number below a half: a half would take what is just below one to the next.
    v16 half = (v16)((i16)splat(0x1.FFFFFEp-2f) | ((i16)x & (int32_t)0x80000000));
    return __builtin_elementwise_trunc(x + half);
}

/// - Returns: whether it was done. Where the reciprocal of a scale overflows, as that of a subnormal one may, the plain kernel does what the reference does.
INLINE _Bool quantize_32(drover_dtype type, const float *x, void *block) {
    uint8_t levels[32];
    if (type == drover_q4_1 || type == drover_q5_1) {
        float steps = type == drover_q4_1 ? 15 : 31;
        float least = __builtin_reduce_min(__builtin_elementwise_min(load(x), load(x + 16))), most = __builtin_reduce_max(__builtin_elementwise_max(load(x), load(x + 16)));
        if (least == 0) least = first_equal(x, least);
        if (most == 0) most = first_equal(x, most);
        float d = (most - least) / steps, inverse = d != 0 ? 1.0f / d : 0.0f;
        if (!(fabsf(inverse) <= FLT_MAX && fabsf(d) <= FLT_MAX)) return 0;
        put_levels((load(x) - least) * inverse + 0.5f, (load(x + 16) - least) * inverse + 0.5f, steps, levels);
        if (type == drover_q4_1) {
            block_q4_1 *out = block;
            put_f16(out->d, d);
            put_f16(out->m, least);
            put_nibbles(levels, out->q);
        } else {
            block_q5_1 *out = block;
            put_f16(out->d, d);
            put_f16(out->m, least);
            put_nibbles(levels, out->q);
            put_fifth_bits(levels, out->high);
        }
        return 1;
    }
    float d = type == drover_q8_0 ? greatest_magnitude(x) / 127 : extreme(x) / (type == drover_q4_0 ? -8 : -16), inverse = d != 0 ? 1.0f / d : 0.0f;
    if (!(fabsf(inverse) <= FLT_MAX)) return 0;
    v16 a = load(x) * inverse, b = load(x + 16) * inverse;
    if (type == drover_q8_0) {
        block_q8_0 *out = block;
        put_f16(out->d, d);
        *(b16_at *)out->q = __builtin_convertvector(__builtin_convertvector(rounded(a), i16), b16_at);
        *(b16_at *)(out->q + 16) = __builtin_convertvector(__builtin_convertvector(rounded(b), i16), b16_at);
    } else if (type == drover_q4_0) {
        block_q4_0 *out = block;
        put_f16(out->d, d);
        put_levels(a + 8.5f, b + 8.5f, 15, levels);
        put_nibbles(levels, out->q);
    } else {
        block_q5_0 *out = block;
        put_f16(out->d, d);
        put_levels(a + 16.5f, b + 16.5f, 31, levels);
        put_nibbles(levels, out->q);
        put_fifth_bits(levels, out->high);
    }
    return 1;
}

INLINE void quantize_blocks_of_32(drover_dtype type, const float *x, ptrdiff_t blocks, char *out, ptrdiff_t bytes) {
    for (ptrdiff_t block = 0; block < blocks; block++, x += 32, out += bytes) {
        if (!quantize_32(type, x, out)) drover_quantize_block_plain(type, x, out);
    }
}

void QUANTIZE(drover_dtype type, const float *x, ptrdiff_t count, void *out) {
    ptrdiff_t blocks = count / block_elements(type);
    switch (type) {
    case drover_q8_0: return quantize_blocks_of_32(drover_q8_0, x, blocks, out, sizeof(block_q8_0));
    case drover_q4_0: return quantize_blocks_of_32(drover_q4_0, x, blocks, out, sizeof(block_q4_0));
    case drover_q4_1: return quantize_blocks_of_32(drover_q4_1, x, blocks, out, sizeof(block_q4_1));
    case drover_q5_0: return quantize_blocks_of_32(drover_q5_0, x, blocks, out, sizeof(block_q5_0));
    case drover_q5_1: return quantize_blocks_of_32(drover_q5_1, x, blocks, out, sizeof(block_q5_1));
    case drover_q4_k:
    case drover_q5_k: {
        found_with_minimum found[2];
        for (ptrdiff_t block = 0; block < blocks; block += 2) {
            const float *from = x + 256 * block;
            float pair[512];
            // Of an odd number the last is done twice.
            if (block + 1 == blocks) {
                memcpy(pair, from, 1024);
                memcpy(pair + 256, from, 1024);
                from = pair;
            }
            if (type == drover_q4_k) search_with_minimum(from, 15, -1.f, 20, found);
            else search_with_minimum(from, 31, -0.5f, 15, found);
            for (ptrdiff_t i = 0; i < 2 && block + i < blocks; i++) {
                if (type == drover_q4_k) finish_q4_k(from + 256 * i, &found[i], (block_q4_k *)out + block + i);
                else finish_q5_k(from + 256 * i, &found[i], (block_q5_k *)out + block + i);
            }
        }
        return;
    }
    case drover_q6_k: {
        found_symmetric found;
        for (ptrdiff_t block = 0; block < blocks; block++) {
            search_symmetric(x + 256 * block, &found);
            finish_q6_k(x + 256 * block, &found, (block_q6_k *)out + block);
        }
        return;
    }
    default: return;
    }
}
