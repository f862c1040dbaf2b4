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

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
#define V GLUE(NAME, _vector)

#if LANES == 1
typedef uint32_t V;
#else
typedef uint32_t V __attribute__((vector_size(4 * LANES)));
#endif

// Four words of streams i, i + 4, i + 8, i + 12, and the interleavings of words and of pairs of words within each 16 bytes.
#if LANES == 4
#define ROW(i) quad(data[i] + at)
#define LOW(x, y) SHUFFLE(x, y, 0, 4, 1, 5)
#define HIGH(x, y) SHUFFLE(x, y, 2, 6, 3, 7)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 4, 5)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 6, 7)
#elif LANES == 8
#define ROW(i) SHUFFLE(quad(data[i] + at), quad(data[i + 4] + at), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOW(x, y) SHUFFLE(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH(x, y) SHUFFLE(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#elif LANES == 16
#define HALF(i) SHUFFLE(quad(data[i] + at), quad(data[i + 4] + at), 0, 1, 2, 3, 4, 5, 6, 7)
#define ROW(i) SHUFFLE(HALF(i), HALF(i + 8), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define LOW(x, y) SHUFFLE(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(x, y) SHUFFLE(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#endif

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
            V r0 = ROW(0), r1 = ROW(1), r2 = ROW(2), r3 = ROW(3);
            V low01 = LOW(r0, r1), low23 = LOW(r2, r3), high01 = HIGH(r0, r1), high23 = HIGH(r2, r3);
            m[w] = LOW_PAIR(low01, low23);
            m[w + 1] = HIGH_PAIR(low01, low23);
            m[w + 2] = LOW_PAIR(high01, high23);
            m[w + 3] = HIGH_PAIR(high01, high23);
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

#undef NAME
#undef LANES
#undef TARGET
#undef TERNARY
#undef KEEP
#undef V
#undef HALF
#undef ROW
#undef LOW
#undef HIGH
#undef LOW_PAIR
#undef HIGH_PAIR
#undef GLUE
#undef GLUE_
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
