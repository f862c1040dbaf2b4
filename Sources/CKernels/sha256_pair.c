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
