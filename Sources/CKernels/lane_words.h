// What hashing several streams side by side needs, for MD5 and SHA-256 alike: a vector with a word of each stream, and 16 of them from a block of each.
// Included with these defined:
//   NAME   the function's name
//   LANES  how many streams there are: 1, 4, 8 or 16
//   LOAD4  four words of a stream, from an address of any alignment
// `lane_words_end.h` takes everything back.

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
#define ROW(i) LOAD4(data[i] + at)
#define LOW(x, y) SHUFFLE(x, y, 0, 4, 1, 5)
#define HIGH(x, y) SHUFFLE(x, y, 2, 6, 3, 7)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 4, 5)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 6, 7)
#elif LANES == 8
#define ROW(i) SHUFFLE(LOAD4(data[i] + at), LOAD4(data[i + 4] + at), 0, 1, 2, 3, 4, 5, 6, 7)
#define LOW(x, y) SHUFFLE(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH(x, y) SHUFFLE(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#elif LANES == 16
#define HALF(i) SHUFFLE(LOAD4(data[i] + at), LOAD4(data[i + 4] + at), 0, 1, 2, 3, 4, 5, 6, 7)
#define ROW(i) SHUFFLE(HALF(i), HALF(i + 8), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define LOW(x, y) SHUFFLE(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(x, y) SHUFFLE(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_PAIR(x, y) SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_PAIR(x, y) SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#endif

// Words w to w + 3 of all streams' blocks, whose byte `at` is word w.
#define FOUR_WORDS(m, w) do { \
    V r0 = ROW(0), r1 = ROW(1), r2 = ROW(2), r3 = ROW(3); \
    V low01 = LOW(r0, r1), low23 = LOW(r2, r3), high01 = HIGH(r0, r1), high23 = HIGH(r2, r3); \
    m[w] = LOW_PAIR(low01, low23); \
    m[(w) + 1] = HIGH_PAIR(low01, low23); \
    m[(w) + 2] = LOW_PAIR(high01, high23); \
    m[(w) + 3] = HIGH_PAIR(high01, high23); \
} while (0)
