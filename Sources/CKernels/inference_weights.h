// Stored weights in vectors of sixteen floats, and a matrix of them times a vector. A part of inference_vector.h.
//
// Values are those of blocks_plain.c, to the bit: but for the one sum, everything is exact.

typedef uint8_t n16 __attribute__((vector_size(16)));
typedef uint8_t n32 __attribute__((vector_size(32)));
typedef int8_t b16 __attribute__((vector_size(16)));
typedef int8_t b32 __attribute__((vector_size(32)));
typedef uint16_t h8 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));
// What lies in a file has no alignment and any type.
typedef uint16_t h16_at __attribute__((vector_size(32), aligned(1), may_alias));
typedef _Float16 f16_at __attribute__((vector_size(32), aligned(1), may_alias));
typedef int8_t b16_at __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t n16_at __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint8_t n32_at __attribute__((vector_size(32), aligned(1), may_alias));
typedef _Float16 f16_one __attribute__((aligned(1), may_alias));

INLINE v16 load_bf16(const uint8_t *p) { return (v16)(__builtin_convertvector(*(const h16_at *)p, u16) << 16); }
INLINE v16 load_f16(const uint8_t *p) { return __builtin_convertvector(*(const f16_at *)p, v16); }
INLINE float scale_of(const uint8_t *p) {
#if defined(__x86_64__)
    // A plain conversion inserts into whatever the register held, and so waits for the block before.
    return _cvtsh_ss((uint16_t)read_u16(p));
#else
    return (float)*(const f16_one *)p;
#endif
}

INLINE uint32_t read_u32(const uint8_t *p) {
    uint32_t bits;
    memcpy(&bits, p, 4);
    return bits;
}

INLINE v16 floats(n16 numbers) { return __builtin_convertvector(numbers, v16); }
INLINE v16 signed_floats(b16 numbers) { return __builtin_convertvector(numbers, v16); }
INLINE b16 first_half(b32 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
INLINE b16 second_half(b32 v) { return __builtin_shufflevector(v, v, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31); }

// Nibbles

/// What a nibble n stands for, scaled: `n · scale + offset`, `(n - 8) · scale` or `iq4_levels[n] · scale`.
enum nibble_meaning { affine_nibble, centred_nibble, level_nibble };

#if defined(NIBBLES_BY_PERMUTATION)
/// What all sixteen nibbles stand for.
INLINE v16 nibble_values(const enum nibble_meaning meaning, float scale, float offset) {
    const v16 numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const v16 levels = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return meaning == affine_nibble ? fma16(numbers, splat(scale), splat(offset)) : (meaning == centred_nibble ? numbers - 8.0f : levels) * splat(scale);
}
#else
INLINE v16 nibble_values(const enum nibble_meaning meaning, n16 nibbles, float scale, float offset) {
    if (meaning == affine_nibble) return fma16(floats(nibbles), splat(scale), splat(offset));
    if (meaning == centred_nibble) return (floats(nibbles) - 8.0f) * scale;
    const b16 levels = *(const b16_at *)iq4_levels;
#if defined(__x86_64__)
    return signed_floats((b16)_mm_shuffle_epi8((__m128i)levels, (__m128i)nibbles)) * scale;
#else
    return signed_floats((b16)vqtbl1q_s8((int8x16_t)levels, (uint8x16_t)nibbles)) * scale;
#endif
}
#endif

/// What the sixteen low nibbles and the sixteen high ones stand for, with a scale and an offset for each.
INLINE void load_nibbles(const uint8_t *q, const enum nibble_meaning meaning, const float scales[2], const float offsets[2], v16 *low, v16 *high) {
#if defined(NIBBLES_BY_PERMUTATION)
    // All sixteen values in a register; the permutation reads only the low four bits of an index.
    __m512i indices = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)q));
    *low = _mm512_permutexvar_ps(indices, nibble_values(meaning, scales[0], offsets[0]));
    *high = _mm512_permutexvar_ps(_mm512_srli_epi32(indices, 4), nibble_values(meaning, scales[1], offsets[1]));
#else
    n16 bytes = *(const n16_at *)q;
    *low = nibble_values(meaning, bytes & 15, scales[0], offsets[0]);
    *high = nibble_values(meaning, bytes >> 4, scales[1], offsets[1]);
#endif
}

// Blocks of 32

/// 16 for each bit that is set, 0 for the others: the fifth bits of sixteen numbers.
INLINE n16 fifth_bits(uint32_t bits) {
    const n16 one = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    n16 pair = (n16)((uint16_t)bits - (h8){});
    n16 bytes = __builtin_shufflevector(pair, pair, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return (n16)((bytes & one) != 0) & 16;
}

/// Elements 0…31 of the run that starts at `p`: of a quantized type, one block.
INLINE void load32(drover_dtype type, const uint8_t *p, v16 *low, v16 *high) {
    switch (type) {
    case drover_f32:
        *low = load((const float *)p);
        *high = load((const float *)p + 16);
        return;
    case drover_f16:
        *low = load_f16(p);
        *high = load_f16(p + 32);
        return;
    case drover_bf16:
        *low = load_bf16(p);
        *high = load_bf16(p + 32);
        return;
    case drover_q8_0: {
        const block_q8_0 *block = (const block_q8_0 *)p;
        v16 d = splat(scale_of(block->d));
        *low = signed_floats(*(const b16_at *)block->q) * d;
        *high = signed_floats(*(const b16_at *)(block->q + 16)) * d;
        return;
    }
    case drover_q4_0:
    case drover_q4_1:
    case drover_iq4_nl: {
        const block_q4_1 *block = (const block_q4_1 *)p;
        float d = scale_of(block->d), m = type == drover_q4_1 ? scale_of(block->m) : 0;
        const uint8_t *q = type == drover_q4_1 ? block->q : ((const block_q4_0 *)p)->q;
        const enum nibble_meaning meaning = type == drover_q4_1 ? affine_nibble : type == drover_q4_0 ? centred_nibble : level_nibble;
        return load_nibbles(q, meaning, (const float[]){d, d}, (const float[]){m, m}, low, high);
    }
    case drover_q5_0:
    case drover_q5_1: {
        const block_q5_1 *block = (const block_q5_1 *)p;
        float d = scale_of(block->d);
        const uint8_t *bits = type == drover_q5_1 ? block->high : ((const block_q5_0 *)p)->high;
        n16 nibbles = *(const n16_at *)(bits + 4);
        v16 a = floats((nibbles & 15) | fifth_bits(read_u16(bits))), b = floats(nibbles >> 4 | fifth_bits(read_u16(bits + 2)));
        v16 m = type == drover_q5_1 ? splat(scale_of(block->m)) : splat(0);
        *low = type == drover_q5_1 ? fma16(a, splat(d), m) : (a - 16.0f) * d;
        *high = type == drover_q5_1 ? fma16(b, splat(d), m) : (b - 16.0f) * d;
        return;
    }
    case drover_q2_k:
    case drover_q3_k:
    case drover_q4_k:
    case drover_q5_k:
    case drover_q6_k:
    case drover_iq4_xs: return;
    }
}

// Blocks of 256

/// What the runs of a block are multiplied with, and then, of types with minima, what is added: 16 and 16 numbers of Q2_K, 8 and 8 of Q4_K and Q5_K,
/// 16 of Q3_K and Q6_K, 8 of IQ4_XS.
INLINE void load_scales(drover_dtype type, const uint8_t *p, float *scales) {
    if (type == drover_q4_k || type == drover_q5_k) {
        const block_q4_k *block = (const block_q4_k *)p;
        uint32_t a = read_u32(block->scales), b = read_u32(block->scales + 4), c = read_u32(block->scales + 8);
        const u4 numbers = {a & 0x3F3F3F3F, (c & 0x0F0F0F0F) | (a >> 2 & 0x30303030), b & 0x3F3F3F3F, (c >> 4 & 0x0F0F0F0F) | (b >> 2 & 0x30303030)};
        v16 d = splat(scale_of(block->d)), m = splat(-scale_of(block->dmin));
        store(scales, floats((n16)numbers) * __builtin_shufflevector(d, m, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
    } else if (type == drover_q2_k) {
        const block_q2_k *block = (const block_q2_k *)p;
        n16 bytes = *(const n16_at *)block->scales;
        store(scales, floats(bytes & 15) * scale_of(block->d));
        store(scales + 16, floats(bytes >> 4) * -scale_of(block->dmin));
    } else if (type == drover_q3_k) {
        const block_q3_k *block = (const block_q3_k *)p;
        uint32_t a = read_u32(block->scales), b = read_u32(block->scales + 4), c = read_u32(block->scales + 8);
        const u4 low = {a, b, a >> 4, b >> 4}, high = {c << 4, c << 2, c, c >> 2};
        store(scales, (floats((n16)((low & 0x0F0F0F0F) | (high & 0x30303030))) - 32.0f) * scale_of(block->d));
    } else if (type == drover_q6_k) {
        const block_q6_k *block = (const block_q6_k *)p;
        store(scales, signed_floats(*(const b16_at *)block->scales) * scale_of(block->d));
    } else if (type == drover_iq4_xs) {
        const block_iq4_xs *block = (const block_iq4_xs *)p;
        const u16 at = {0, 4, 8, 12, 16, 20, 24, 28};
        u16 low = (read_u32(block->scales_low) - (u16){}) >> at, high = (read_u16(block->scales_high) - (u16){}) >> at / 2;
        u16 numbers = (low & 15) | (high & 3) << 4;
        store(scales, (__builtin_convertvector((i16)numbers, v16) - 32.0f) * scale_of(block->d));
    }
}

/// The bits `1 << bit` of each byte, as bits `1 << to`; both are constants.
INLINE n32 moved_bits(n32 bytes, const int bit, const int to, const int mask) { return (to > bit ? bytes << (to - bit) : bytes >> (bit - to)) & (uint8_t)mask; }

/// Elements 64·part… of the block at `p`, with what `load_scales` made of it; `part` is a constant.
INLINE void load64(drover_dtype type, const uint8_t *p, const int part, const float *scales, v16 w[4]) {
    if (type == drover_q4_k) {
        const block_q4_k *block = (const block_q4_k *)p;
        UNROLL for (int i = 0; i < 2; i++)
            load_nibbles(block->q + 32 * part + 16 * i, affine_nibble, scales + 2 * part, scales + 8 + 2 * part, &w[i], &w[i + 2]);
        return;
    }
    if (type == drover_iq4_xs) {
        const block_iq4_xs *block = (const block_iq4_xs *)p;
        UNROLL for (int i = 0; i < 2; i++) {
            float scale = scales[2 * part + i];
            load_nibbles(block->q + 32 * part + 16 * i, level_nibble, (const float[]){scale, scale}, (const float[]){0, 0}, &w[2 * i], &w[2 * i + 1]);
        }
        return;
    }
    UNROLL for (int i = 0; i < 2; i++) {
        // Elements 32·run… of the block.
        const int run = 2 * part + i, half = run / 4, quarter = run % 4;
        if (type == drover_q5_k) {
            const block_q5_k *block = (const block_q5_k *)p;
            n32 nibbles = *(const n32_at *)(block->q + 32 * part);
            b32 numbers = (b32)((i ? nibbles >> 4 : nibbles & 15) | moved_bits(*(const n32_at *)block->high, run, 4, 16));
            v16 scale = splat(scales[run]), offset = splat(scales[8 + run]);
            w[2 * i] = fma16(signed_floats(first_half(numbers)), scale, offset);
            w[2 * i + 1] = fma16(signed_floats(second_half(numbers)), scale, offset);
        } else if (type == drover_q6_k) {
            const block_q6_k *block = (const block_q6_k *)p;
            n32 nibbles = *(const n32_at *)(block->q + 64 * half + 32 * i);
            n32 high = moved_bits(*(const n32_at *)(block->high + 32 * half), 2 * quarter, 4, 0x30);
            b32 numbers = (b32)((quarter / 2 ? nibbles >> 4 : nibbles & 15) | high) - 32;
            w[2 * i] = signed_floats(first_half(numbers)) * scales[2 * run];
            w[2 * i + 1] = signed_floats(second_half(numbers)) * scales[2 * run + 1];
        } else if (type == drover_q2_k) {
            const block_q2_k *block = (const block_q2_k *)p;
            b32 numbers = (b32)moved_bits(*(const n32_at *)(block->q + 32 * half), 2 * quarter, 0, 3);
            w[2 * i] = fma16(signed_floats(first_half(numbers)), splat(scales[2 * run]), splat(scales[16 + 2 * run]));
            w[2 * i + 1] = fma16(signed_floats(second_half(numbers)), splat(scales[2 * run + 1]), splat(scales[17 + 2 * run]));
        } else {
            const block_q3_k *block = (const block_q3_k *)p;
            n32 low = moved_bits(*(const n32_at *)(block->q + 32 * half), 2 * quarter, 0, 3);
            b32 numbers = (b32)(low | moved_bits(*(const n32_at *)block->high, run, 2, 4)) - 4;
            w[2 * i] = signed_floats(first_half(numbers)) * scales[2 * run];
            w[2 * i + 1] = signed_floats(second_half(numbers)) * scales[2 * run + 1];
        }
    }
}

// All types

/// A constant type in each call gives each type a loop of its own.
#define EACH_TYPE(DO) DO(f32) DO(f16) DO(bf16) DO(q8_0) DO(q4_0) DO(q4_1) DO(q5_0) DO(q5_1) DO(q2_k) DO(q3_k) DO(q4_k) DO(q5_k) DO(q6_k) DO(iq4_nl) DO(iq4_xs)

INLINE void unpack_type(drover_dtype type, const uint8_t *p, ptrdiff_t count, float *out) {
    if (block_elements(type) == 256) {
        for (ptrdiff_t i = 0; i < count; i += 256, p += block_bytes(type)) {
            float scales[32];
            load_scales(type, p, scales);
            UNROLL for (int part = 0; part < 4; part++) {
                v16 w[4];
                load64(type, p, part, scales, w);
                UNROLL for (int v = 0; v < 4; v++) store(out + i + 64 * part + 16 * v, w[v]);
            }
        }
        return;
    }
    ptrdiff_t bytes = 32 / block_elements(type) * block_bytes(type), i = 0;
    for (; i + 32 <= count; i += 32, p += bytes) {
        v16 low, high;
        load32(type, p, &low, &high);
        store(out + i, low);
        store(out + i + 16, high);
    }
    if (i < count) drover_unpack_plain(type, p, count - i, out + i);
}

static void unpack(drover_dtype type, const void *source, ptrdiff_t count, float *out) {
#define UNPACK(name) case drover_##name: return unpack_type(drover_##name, source, count, out);
    switch (type) { EACH_TYPE(UNPACK) }
#undef UNPACK
}

// Matrix times vector

/// `rows` (a constant) rows side by side, so that their chains of additions overlap and x is loaded once.
INLINE void gemv_rows(drover_dtype type, const int rows, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, const float *x,
                      float *y) {
    const ptrdiff_t step = block_elements(type) == 256 ? 256 : 32, bytes = step / block_elements(type) * block_bytes(type);
    v16 sums[8] = {};
    for (ptrdiff_t s = 0; s < count; s++) {
        const ptrdiff_t stride = segments[s].row_stride, columns = segments[s].columns;
        const uint8_t *p = (const uint8_t *)segments[s].first + row * stride;
        // The memory delivers far more when it is asked for one line after the other than for the lines of several rows in turn, so
        // the rows after these are asked for in the order in which they lie.
        const uint8_t *ahead = p + rows * stride;
        ptrdiff_t k = 0;
        for (; k + step <= columns; k += step, p += bytes, x += step, ahead += rows * bytes) {
            if (step == 256) {
                float scales[8][32];
                UNROLL for (int r = 0; r < rows; r++) load_scales(type, p + r * stride, scales[r]);
                // By way of memory, from where an instruction takes a number into all lanes; the compiler would shuffle each out of its vector.
                __asm__ volatile("" : : "r"(scales) : "memory");
                UNROLL for (ptrdiff_t line = 0; line < rows * bytes; line += 64) __builtin_prefetch(ahead + line, 0, 3);
                UNROLL for (int part = 0; part < 4; part++) {
                    UNROLL for (int r = 0; r < rows; r++) {
                        v16 w[4];
                        load64(type, p + r * stride, part, scales[r], w);
                        UNROLL for (int v = 0; v < 4; v++) sums[r] = fma16(w[v], load(x + 64 * part + 16 * v), sums[r]);
                    }
                }
                continue;
            }
            v16 x_low = load(x), x_high = load(x + 16);
            UNROLL for (int r = 0; r < rows; r++) {
                v16 low, high;
                if ((r + 1) * bytes / 64 > r * bytes / 64) __builtin_prefetch(ahead + r * bytes, 0, 3);
                load32(type, p + r * stride, &low, &high);
                sums[r] = fma16(low, x_low, sums[r]);
                sums[r] = fma16(high, x_high, sums[r]);
            }
        }
        // Sixteen columns more, of a type that isn't quantized.
        if (k < columns) {
            v16 x_low = load(x);
            UNROLL for (int r = 0; r < rows; r++) {
                v16 low = type == drover_f32   ? load((const float *)(p + r * stride))
                          : type == drover_f16 ? load_f16(p + r * stride)
                                               : load_bf16(p + r * stride);
                sums[r] = fma16(low, x_low, sums[r]);
            }
            x += 16;
        }
    }
    UNROLL for (int r = 0; r < rows; r++) y[r] = add_lanes(sums[r]);
}

INLINE void gemv_type(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, ptrdiff_t rows, const float *x,
                      float *y) {
    ptrdiff_t r = 0;
    for (; r + GEMV_ROWS <= rows; r += GEMV_ROWS) gemv_rows(type, GEMV_ROWS, segments, count, row + r, x, y + r);
    for (; r < rows; r++) gemv_rows(type, 1, segments, count, row + r, x, y + r);
}

static void gemv(drover_dtype type, const drover_segment *segments, ptrdiff_t count, ptrdiff_t row, ptrdiff_t rows, const float *x,
                 float *y) {
#define GEMV(name) case drover_##name: return gemv_type(drover_##name, segments, count, row, rows, x, y);
    switch (type) { EACH_TYPE(GEMV) }
#undef GEMV
}
