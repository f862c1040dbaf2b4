// MD5 (RFC 1321) of several streams at once, one in each lane of a vector register.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Most streams that `drover_md5_blocks` takes at once.
#define DROVER_MD5_LANES 16

/// The instruction sets that there are kernels for.
enum drover_md5_kernel {
    DROVER_MD5_PLAIN,   // one stream after the other, in portable C: the reference for the others
    DROVER_MD5_SSE2,    // 4 lanes
    DROVER_MD5_NEON,    // 4 lanes
    DROVER_MD5_AVX2,    // 8 lanes, 4 for few streams
    DROVER_MD5_AVX512,  // 16 lanes, 8 and 4 for few streams
};

/// Whether this processor, and this build, have `kernel`.
int drover_md5_has(enum drover_md5_kernel kernel);

/// Hashes `blocks` whole 64-byte blocks of each of `streams` (1 to DROVER_MD5_LANES) streams.
/// `chains[i]` is the chaining value (A, B, C, D) of stream i and is updated; `data[i]` are its bytes, of any alignment.
void drover_md5_blocks(enum drover_md5_kernel kernel, uint32_t (*chains)[4], const uint8_t *const *data, int streams, size_t blocks);
