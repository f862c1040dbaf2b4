#include "crc32.h"

#include <string.h>

#define POLYNOMIAL 0xEDB88320u

// Eight bytes a step: table[k][b] is the CRC of byte b followed by k zero bytes.
static uint32_t table[8][256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
}

// `crc` is the register: the complement of the checksum.
static uint32_t advance(uint32_t crc, const uint8_t *bytes, size_t count) {
    for (; count >= 8; bytes += 8, count -= 8) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + 4, 4);
        low ^= crc;
        crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24]
            ^ table[3][high & 255] ^ table[2][high >> 8 & 255] ^ table[1][high >> 16 & 255] ^ table[0][high >> 24];
    }
    for (; count; bytes++, count--) crc = crc >> 8 ^ table[0][(crc ^ *bytes) & 255];
    return crc;
}

uint32_t drover_crc32_plain(uint32_t crc, const void *bytes, size_t count) { return ~advance(~crc, bytes, count); }

#if defined(__x86_64__)
#include <immintrin.h>

// Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009): four registers of 128 bits are folded
// over 64 bytes at a time, then into one. Its 16 bytes are congruent to all that was read, so the table can finish them.
// The constants are x^n mod P, reflected, for the distances 512 ± 32 and 128 ± 32 bits.
__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i by, __m128i next) {
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11)), next);
}

__attribute__((target("pclmul,sse4.1"))) static uint32_t advance_pclmul(uint32_t crc, const uint8_t *bytes, size_t count) {
    if (count < 128) return advance(crc, bytes, count);
    const __m128i over512 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4);
    const __m128i over128 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    const __m128i *at = (const __m128i *)bytes;
    __m128i a = _mm_xor_si128(_mm_loadu_si128(at), _mm_cvtsi32_si128((int)crc));
    __m128i b = _mm_loadu_si128(at + 1), c = _mm_loadu_si128(at + 2), d = _mm_loadu_si128(at + 3);
    for (at += 4, count -= 64; count >= 64; at += 4, count -= 64) {
        a = fold(a, over512, _mm_loadu_si128(at));
        b = fold(b, over512, _mm_loadu_si128(at + 1));
        c = fold(c, over512, _mm_loadu_si128(at + 2));
        d = fold(d, over512, _mm_loadu_si128(at + 3));
    }
    a = fold(fold(fold(a, over128, b), over128, c), over128, d);
    for (; count >= 16; at++, count -= 16) a = fold(a, over128, _mm_loadu_si128(at));
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, a);
    return advance(advance(0, rest, sizeof rest), (const uint8_t *)at, count);
}

uint32_t drover_crc32(uint32_t crc, const void *bytes, size_t count) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) return ~advance_pclmul(~crc, bytes, count);
    return drover_crc32_plain(crc, bytes, count);
}
#else
uint32_t drover_crc32(uint32_t crc, const void *bytes, size_t count) { return drover_crc32_plain(crc, bytes, count); }
#endif

// a * b mod P, both reflected: bit 31 is x^0.
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t result = 0;
    for (uint32_t bit = 1u << 31; bit; bit >>= 1) {
        if (a & bit) result ^= b;
        b = b >> 1 ^ (b & 1 ? POLYNOMIAL : 0);
    }
    return result;
}

// moves[k] is x^(8 * 2^k) mod P, which moves a checksum over 2^k bytes; lessened[k] is the same times x^-33.
static uint32_t moves[64], lessened[64];

__attribute__((constructor)) static void make_moves(void) {
    uint32_t less = 1u << 31; // x^0
    for (int k = 0; k < 33; k++) less = less & 1u << 31 ? (less ^ POLYNOMIAL) << 1 | 1 : less << 1;
    moves[0] = 1u << 23; // x^8
    for (int k = 1; k < 64; k++) moves[k] = multiply(moves[k - 1], moves[k - 1]);
    for (int k = 0; k < 64; k++) lessened[k] = multiply(moves[k], less);
}

uint32_t drover_crc32_combine_plain(uint32_t a, uint32_t b, uint64_t count_b) {
    for (int k = 0; count_b; k++, count_b >>= 1)
        if (count_b & 1) a = multiply(moves[k], a);
    return a ^ b;
}

#if defined(__x86_64__)
// The product without carries of two reflected words is, as eight bytes, their product times x; reading those into a register of zeros multiplies by x^32 more.
__attribute__((target("pclmul,sse4.1"))) static uint32_t combine_pclmul(uint32_t a, uint32_t b, uint64_t count_b) {
    for (int k = 0; count_b; k++, count_b >>= 1) {
        if (!(count_b & 1)) continue;
        uint64_t product = (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_cvtsi32_si128((int)lessened[k]), _mm_cvtsi32_si128((int)a), 0));
        a = advance(0, (const uint8_t *)&product, sizeof product);
    }
    return a ^ b;
}
#endif

uint32_t drover_crc32_combine(uint32_t a, uint32_t b, uint64_t count_b) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) return combine_pclmul(a, b, count_b);
#endif
    return drover_crc32_combine_plain(a, b, count_b);
}
