#include "md5_lanes.h"

#include <string.h>

#define SHUFFLE __builtin_shufflevector
#define INLINE static inline __attribute__((always_inline))

// On a machine that stores words the other way round only the plain kernel is built.
#define LITTLE_ENDIAN_WORDS (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

INLINE uint32_t word(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return LITTLE_ENDIAN_WORDS ? value : __builtin_bswap32(value);
}

#define NAME plain
#define LANES 1
#define TARGET
#define KEEP(x) __asm__("" : "+r"(x))
#include "md5_lanes_body.h"

#if LITTLE_ENDIAN_WORDS && (defined(__x86_64__) || defined(__aarch64__))
typedef uint32_t quad_vector __attribute__((vector_size(16)));

INLINE quad_vector quad(const uint8_t *bytes) {
    quad_vector value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

#define NAME four
#define LANES 4
#define TARGET
#if defined(__x86_64__)
#define KEEP(x) __asm__("" : "+x"(x))
#else
#define KEEP(x) __asm__("" : "+w"(x))
#endif
#include "md5_lanes_body.h"
#endif

#if defined(__x86_64__)
#define NAME four_avx2
#define LANES 4
#define TARGET __attribute__((target("avx2")))
#define KEEP(x) __asm__("" : "+x"(x))
#include "md5_lanes_body.h"

#define NAME eight_avx2
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define KEEP(x) __asm__("" : "+x"(x))
#include "md5_lanes_body.h"

#define AVX512 __attribute__((target("avx512f,avx512vl")))

#define NAME four_avx512
#define LANES 4
#define TARGET AVX512
#define TERNARY 1
#define KEEP(x) __asm__("" : "+v"(x))
#include "md5_lanes_body.h"

#define NAME eight_avx512
#define LANES 8
#define TARGET AVX512
#define TERNARY 1
#define KEEP(x) __asm__("" : "+v"(x))
#include "md5_lanes_body.h"

#define NAME sixteen_avx512
#define LANES 16
#define TARGET AVX512
#define TERNARY 1
#define KEEP(x) __asm__("" : "+v"(x))
#include "md5_lanes_body.h"
#endif

typedef void body(uint32_t *chains, const uint8_t *const *data, size_t blocks);

// A kernel's bodies, the narrow ones first; the widest takes what is left over in turns.
static const struct { int lanes; body *run; } bodies[][3] = {
    [DROVER_MD5_PLAIN] = {{1, plain}},
#if defined(__x86_64__)
    [DROVER_MD5_SSE2] = {{4, four}},
    [DROVER_MD5_AVX2] = {{4, four_avx2}, {8, eight_avx2}},
    [DROVER_MD5_AVX512] = {{4, four_avx512}, {8, eight_avx512}, {16, sixteen_avx512}},
#elif defined(__aarch64__) && LITTLE_ENDIAN_WORDS
    [DROVER_MD5_NEON] = {{4, four}},
#endif
};

int drover_md5_has(enum drover_md5_kernel kernel) {
    if ((size_t)kernel >= sizeof bodies / sizeof bodies[0] || !bodies[kernel][0].run) return 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (kernel == DROVER_MD5_AVX2) return __builtin_cpu_supports("avx2") != 0;
    if (kernel == DROVER_MD5_AVX512) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#endif
    return 1;
}

void drover_md5_blocks(enum drover_md5_kernel kernel, uint32_t (*chains)[4], const uint8_t *const *data, int streams, size_t blocks) {
    while (streams > 0) {
        int choice = 0;
        while (choice < 2 && bodies[kernel][choice].lanes < streams && bodies[kernel][choice + 1].run) choice++;
        int lanes = bodies[kernel][choice].lanes, used = streams < lanes ? streams : lanes;
        uint32_t words[4 * DROVER_MD5_LANES];
        const uint8_t *from[DROVER_MD5_LANES];
        for (int lane = 0; lane < lanes; lane++) {
            // Lanes that nobody needs go along with the first.
            int stream = lane < used ? lane : 0;
            from[lane] = data[stream];
            for (int i = 0; i < 4; i++) words[i * lanes + lane] = chains[stream][i];
        }
        bodies[kernel][choice].run(words, from, blocks);
        for (int lane = 0; lane < used; lane++)
            for (int i = 0; i < 4; i++) chains[lane][i] = words[i * lanes + lane];
        streams -= used;
        chains += used;
        data += used;
    }
}
