// One MD5 kernel, made by defining these and including this file:
//   NAME    the function's name
//   LANES   how many streams it hashes side by side: 1, 4, 8 or 16
//   TARGET  the attribute that allows its instructions
//   TERNARY whether any function of three bits is one instruction
//   KEEP(x) stops the compiler from moving additions across x
//
// A lane is a chain in which each step waits for the one before, so what counts is the latency from one b to the next. All that doesn't depend on
// the newest b (a + message + constant, part of the round's function) is computed ahead, and KEEP holds it there: left alone, the compiler
// reassociates the sums and puts constants into the chain, which costs a sixth of the speed.

#define LOAD4 quad
#include "lane_words.h"

#define PREPARE(a, g, k) a += m[g] + k##u; KEEP(a)
#define TURN(a, b, s) a = ((a << s) | (a >> (32 - s))) + b
// The four functions of RFC 1321, section 3.4.
#if TERNARY
// One instruction each, whatever their inputs.
#define STEP_F(a, b, c, d, g, k, s) do { PREPARE(a, g, k); a += (b & c) | (~b & d); TURN(a, b, s); } while (0)
#define STEP_G(a, b, c, d, g, k, s) do { PREPARE(a, g, k); a += (b & d) | (c & ~d); TURN(a, b, s); } while (0)
#define STEP_H(a, b, c, d, g, k, s) do { PREPARE(a, g, k); a += b ^ c ^ d; TURN(a, b, s); } while (0)
#define STEP_I(a, b, c, d, g, k, s) do { PREPARE(a, g, k); a += c ^ (b | ~d); TURN(a, b, s); } while (0)
#else
// F is ((c ^ d) & b) ^ d; G's two halves have no bit in common, so they can be added one by one.
#define STEP_F(a, b, c, d, g, k, s) do { PREPARE(a, g, k); V early = c ^ d; KEEP(early); a += d ^ (b & early); TURN(a, b, s); } while (0)
#define STEP_G(a, b, c, d, g, k, s) do { PREPARE(a, g, k); a += c & ~d; KEEP(a); a += b & d; TURN(a, b, s); } while (0)
#define STEP_H(a, b, c, d, g, k, s) do { PREPARE(a, g, k); V early = c ^ d; KEEP(early); a += b ^ early; TURN(a, b, s); } while (0)
#define STEP_I(a, b, c, d, g, k, s) do { PREPARE(a, g, k); V early = ~d; KEEP(early); a += c ^ (b | early); TURN(a, b, s); } while (0)
#endif
#define FOUR(step, s0, s1, s2, s3, g0, k0, g1, k1, g2, k2, g3, k3) \
    step(a, b, c, d, g0, k0, s0); step(d, a, b, c, g1, k1, s1); step(c, d, a, b, g2, k2, s2); step(b, c, d, a, g3, k3, s3)
#define FOUR_F(...) FOUR(STEP_F, 7, 12, 17, 22, __VA_ARGS__)
#define FOUR_G(...) FOUR(STEP_G, 5, 9, 14, 20, __VA_ARGS__)
#define FOUR_H(...) FOUR(STEP_H, 4, 11, 16, 23, __VA_ARGS__)
#define FOUR_I(...) FOUR(STEP_I, 6, 10, 15, 21, __VA_ARGS__)

// `chains` holds A of every lane, then B, C and D.
TARGET static void NAME(uint32_t *chains, const uint8_t *const *data, size_t blocks) {
    V a, b, c, d;
    memcpy(&a, chains, sizeof a);
    memcpy(&b, chains + LANES, sizeof b);
    memcpy(&c, chains + 2 * LANES, sizeof c);
    memcpy(&d, chains + 3 * LANES, sizeof d);
    for (size_t at = 0, end = blocks * 64; at < end;) {
        V m[16];
#if LANES == 1
        for (int w = 0; w < 16; w++, at += 4) m[w] = word(data[0] + at);
#else
        for (int w = 0; w < 16; w += 4, at += 16) {
            FOUR_WORDS(m, w);
        }
#endif
        V a0 = a, b0 = b, c0 = c, d0 = d;
        FOUR_F(0, 0xd76aa478, 1, 0xe8c7b756, 2, 0x242070db, 3, 0xc1bdceee);
        FOUR_F(4, 0xf57c0faf, 5, 0x4787c62a, 6, 0xa8304613, 7, 0xfd469501);
        FOUR_F(8, 0x698098d8, 9, 0x8b44f7af, 10, 0xffff5bb1, 11, 0x895cd7be);
        FOUR_F(12, 0x6b901122, 13, 0xfd987193, 14, 0xa679438e, 15, 0x49b40821);
        FOUR_G(1, 0xf61e2562, 6, 0xc040b340, 11, 0x265e5a51, 0, 0xe9b6c7aa);
        FOUR_G(5, 0xd62f105d, 10, 0x02441453, 15, 0xd8a1e681, 4, 0xe7d3fbc8);
        FOUR_G(9, 0x21e1cde6, 14, 0xc33707d6, 3, 0xf4d50d87, 8, 0x455a14ed);
        FOUR_G(13, 0xa9e3e905, 2, 0xfcefa3f8, 7, 0x676f02d9, 12, 0x8d2a4c8a);
        FOUR_H(5, 0xfffa3942, 8, 0x8771f681, 11, 0x6d9d6122, 14, 0xfde5380c);
        FOUR_H(1, 0xa4beea44, 4, 0x4bdecfa9, 7, 0xf6bb4b60, 10, 0xbebfbc70);
        FOUR_H(13, 0x289b7ec6, 0, 0xeaa127fa, 3, 0xd4ef3085, 6, 0x04881d05);
        FOUR_H(9, 0xd9d4d039, 12, 0xe6db99e5, 15, 0x1fa27cf8, 2, 0xc4ac5665);
        FOUR_I(0, 0xf4292244, 7, 0x432aff97, 14, 0xab9423a7, 5, 0xfc93a039);
        FOUR_I(12, 0x655b59c3, 3, 0x8f0ccc92, 10, 0xffeff47d, 1, 0x85845dd1);
        FOUR_I(8, 0x6fa87e4f, 15, 0xfe2ce6e0, 6, 0xa3014314, 13, 0x4e0811a1);
        FOUR_I(4, 0xf7537e82, 11, 0xbd3af235, 2, 0x2ad7d2bb, 9, 0xeb86d391);
        a += a0;
        b += b0;
        c += c0;
        d += d0;
    }
    memcpy(chains, &a, sizeof a);
    memcpy(chains + LANES, &b, sizeof b);
    memcpy(chains + 2 * LANES, &c, sizeof c);
    memcpy(chains + 3 * LANES, &d, sizeof d);
}

#include "lane_words_end.h"
#undef TERNARY
#undef KEEP
#undef PREPARE
#undef TURN
#undef STEP_F
#undef STEP_G
#undef STEP_H
#undef STEP_I
#undef FOUR
#undef FOUR_F
#undef FOUR_G
#undef FOUR_H
#undef FOUR_I
