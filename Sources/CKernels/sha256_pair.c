#include "sha256_pair.h"

#include "sha256_constants.h"

#if defined(__x86_64__)
#include <immintrin.h>

int drover_sha256_has_pair(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sha") && __builtin_cpu_supports("avx");
}

#define EACH _Pragma("unroll") for (int i = 0; i < 2; i++)

// `sha256rnds2` takes two rounds and answers after four cycles or more, and each waits for the one before, so a stream alone leaves the unit idle
// half of the time. Two fill it; with three or four the message words no longer fit into the registers, and it is slower again.
__attribute__((target("sha,sse4.1,avx")))
void drover_sha256_pair(uint32_t *a, const uint8_t *x, uint32_t *b, const uint8_t *y, size_t blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    uint32_t *chain[2] = {a, b};
    const uint8_t *data[2] = {x, y};
    // The instructions want the state so, the highest word first.
    __m128i abef[2], cdgh[2];
    EACH {
        __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)chain[i]), 0xB1);
        __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(chain[i] + 4)), 0x1B);
        abef[i] = _mm_alignr_epi8(cdab, efgh, 8);
        cdgh[i] = _mm_blend_epi16(efgh, cdab, 0xF0);
    }
    for (size_t at = 0, end = 64 * blocks; at < end; at += 64) {
        __m128i m[2][4], abef_before[2] = {abef[0], abef[1]}, cdgh_before[2] = {cdgh[0], cdgh[1]};
        _Pragma("unroll") for (int t = 0; t < 16; t++) EACH {
            __m128i *w = m[i];
            if (t < 4) {
                w[t] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data[i] + at + 16 * t)), big_endian);
            } else {
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[t & 3], w[(t + 1) & 3]), _mm_alignr_epi8(w[(t + 3) & 3], w[(t + 2) & 3], 4));
                w[t & 3] = _mm_sha256msg2_epu32(sum, w[(t + 3) & 3]);
            }
            __m128i rounds = _mm_add_epi32(w[t & 3], _mm_load_si128((const __m128i *)(sha256_constants + 4 * t)));
            cdgh[i] = _mm_sha256rnds2_epu32(cdgh[i], abef[i], rounds);
            abef[i] = _mm_sha256rnds2_epu32(abef[i], cdgh[i], _mm_shuffle_epi32(rounds, 0x0E));
        }
        EACH {
            abef[i] = _mm_add_epi32(abef[i], abef_before[i]);
            cdgh[i] = _mm_add_epi32(cdgh[i], cdgh_before[i]);
        }
    }
    EACH {
        __m128i feba = _mm_shuffle_epi32(abef[i], 0x1B);
        __m128i dchg = _mm_shuffle_epi32(cdgh[i], 0xB1);
        _mm_storeu_si128((__m128i *)chain[i], _mm_blend_epi16(feba, dchg, 0xF0));
        _mm_storeu_si128((__m128i *)(chain[i] + 4), _mm_alignr_epi8(dchg, feba, 8));
    }
}

#else

int drover_sha256_has_pair(void) { return 0; }

void drover_sha256_pair(uint32_t *a, const uint8_t *x, uint32_t *b, const uint8_t *y, size_t blocks) {
    (void)a, (void)x, (void)b, (void)y, (void)blocks;
    __builtin_trap();
}

#endif

#if defined(__x86_64__)

static void store_digest(const uint32_t *chain, uint8_t *digest) {
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(chain[i]);
        __builtin_memcpy(digest + 4 * i, &word, 4);
    }
}

// The last bytes of a message of `length` bytes with the padding of FIPS 180-4, section 5.1.1.
// Returns the number of blocks written to `tail`: 1 or 2.
static size_t pad(const uint8_t *rest, size_t length, uint8_t *tail) {
    size_t count = length % 64, blocks = count < 56 ? 1 : 2;
    __builtin_memset(tail, 0, 64 * blocks);
    __builtin_memcpy(tail, rest, count);
    tail[count] = 0x80;
    uint64_t bits = __builtin_bswap64((uint64_t)length << 3);
    __builtin_memcpy(tail + 64 * blocks - 8, &bits, 8);
    return blocks;
}

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

void drover_sha256_two(const uint8_t *x, size_t x_length, uint8_t *x_digest, const uint8_t *y, size_t y_length, uint8_t *y_digest) {
    uint32_t a[8], b[8], unused[8];
    __builtin_memcpy(a, initial, sizeof a);
    __builtin_memcpy(b, initial, sizeof b);
    __builtin_memcpy(unused, initial, sizeof unused);
    size_t x_blocks = x_length / 64, y_blocks = y_length / 64, common = x_blocks < y_blocks ? x_blocks : y_blocks;
    drover_sha256_pair(a, x, b, y, common);
    // What the longer one has more goes alone; the other half of the pair computes what nobody reads.
    if (x_blocks > common) drover_sha256_pair(a, x + 64 * common, unused, x + 64 * common, x_blocks - common);
    if (y_blocks > common) drover_sha256_pair(b, y + 64 * common, unused, y + 64 * common, y_blocks - common);
    uint8_t x_tail[128], y_tail[128];
    size_t x_rest = pad(x + 64 * x_blocks, x_length, x_tail), y_rest = pad(y + 64 * y_blocks, y_length, y_tail);
    drover_sha256_pair(a, x_tail, b, y_tail, 1);
    if (x_rest > 1) drover_sha256_pair(a, x_tail + 64, unused, x_tail + 64, 1);
    if (y_rest > 1) drover_sha256_pair(b, y_tail + 64, unused, y_tail + 64, 1);
    store_digest(a, x_digest);
    store_digest(b, y_digest);
}

#else

void drover_sha256_two(const uint8_t *x, size_t x_length, uint8_t *x_digest, const uint8_t *y, size_t y_length, uint8_t *y_digest) {
    (void)x, (void)x_length, (void)x_digest, (void)y, (void)y_length, (void)y_digest;
    __builtin_trap();
}

#endif
