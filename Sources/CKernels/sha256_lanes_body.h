// One SHA-256 kernel (FIPS 180-4, section 6.2.2), made by defining these and including this file:
//   NAME    the function's name
//   LANES   how many streams it hashes side by side: 8 or 16
//   TARGET  the attribute that allows its instructions

#define LOAD4 big_endian_quad
#include "lane_words.h"

#define ROTATE(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

// `chains` holds the first word of every lane, then the second, and so on.
TARGET static void NAME(uint32_t *chains, const uint8_t *const *data, size_t blocks) {
    V chain[8];
    for (int i = 0; i < 8; i++) memcpy(&chain[i], chains + LANES * i, sizeof(V));
    for (size_t block = 0, at = 0; block < blocks; block++) {
        V w[16];
        _Pragma("unroll") for (int i = 0; i < 16; i += 4, at += 16) FOUR_WORDS(w, i);
        V a = chain[0], b = chain[1], c = chain[2], d = chain[3], e = chain[4], f = chain[5], g = chain[6], h = chain[7];
        _Pragma("unroll") for (int t = 0; t < 64; t++) {
            if (t >= 16) {
                V early = w[(t + 1) & 15], late = w[(t + 14) & 15];
                w[t & 15] += (ROTATE(early, 7) ^ ROTATE(early, 18) ^ (early >> 3)) + w[(t + 9) & 15] + (ROTATE(late, 17) ^ ROTATE(late, 19) ^ (late >> 10));
            }
            V first = h + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + (g ^ (e & (f ^ g))) + sha256_constants[t] + w[t & 15];
            V second = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & b) | (c & (a | b)));
            h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
        }
        chain[0] += a, chain[1] += b, chain[2] += c, chain[3] += d, chain[4] += e, chain[5] += f, chain[6] += g, chain[7] += h;
    }
    for (int i = 0; i < 8; i++) memcpy(chains + LANES * i, &chain[i], sizeof(V));
}

#undef ROTATE
#include "lane_words_end.h"
