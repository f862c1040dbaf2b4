#include "sha256_lanes.h"

#include <string.h>

#include "sha256_constants.h"

typedef void body(uint32_t *chains, const uint8_t *const *data, size_t blocks);

#if defined(__x86_64__)
#define SHUFFLE __builtin_shufflevector

typedef uint32_t quad_vector __attribute__((vector_size(16)));
typedef uint8_t bytes_vector __attribute__((vector_size(16)));

// Four words of a message, which are stored the highest byte first.
static inline __attribute__((always_inline)) quad_vector big_endian_quad(const uint8_t *bytes) {
    bytes_vector value;
    memcpy(&value, bytes, sizeof value);
    return (quad_vector)SHUFFLE(value, value, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

#define NAME eight_avx2
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#include "sha256_lanes_body.h"

#define AVX512 __attribute__((target("avx512f,avx512vl,avx512bw")))

#define NAME eight_avx512
#define LANES 8
#define TARGET AVX512
#include "sha256_lanes_body.h"

#define NAME sixteen_avx512
#define LANES 16
#define TARGET AVX512
#include "sha256_lanes_body.h"

static body *kernel_for(enum drover_sha256_kernel kernel, int streams, int *lanes) {
    *lanes = kernel == DROVER_SHA256_AVX512 && streams > 8 ? 16 : 8;
    if (kernel == DROVER_SHA256_AVX2) return eight_avx2;
    return *lanes == 16 ? sixteen_avx512 : eight_avx512;
}

int drover_sha256_has(enum drover_sha256_kernel kernel) {
    __builtin_cpu_init();
    if (kernel == DROVER_SHA256_AVX2) return __builtin_cpu_supports("avx2") != 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

#else

static body *kernel_for(enum drover_sha256_kernel kernel, int streams, int *lanes) {
    (void)kernel, (void)streams, (void)lanes, (void)sha256_constants;
    __builtin_trap();
}

int drover_sha256_has(enum drover_sha256_kernel kernel) {
    (void)kernel;
    return 0;
}

#endif

void drover_sha256_blocks(enum drover_sha256_kernel kernel, uint32_t (*chains)[8], const uint8_t *const *data, int streams, size_t blocks) {
    int lanes = 8;
    body *run = kernel_for(kernel, streams, &lanes);
    uint32_t words[8 * DROVER_SHA256_LANES];
    const uint8_t *from[DROVER_SHA256_LANES];
    for (int lane = 0; lane < lanes; lane++) {
        // Lanes that nobody needs go along with the first.
        int stream = lane < streams ? lane : 0;
        from[lane] = data[stream];
        for (int i = 0; i < 8; i++) words[i * lanes + lane] = chains[stream][i];
    }
    run(words, from, blocks);
    for (int lane = 0; lane < streams; lane++)
        for (int i = 0; i < 8; i++) chains[lane][i] = words[i * lanes + lane];
}
