// SHA-256 (FIPS 180-4) of several streams at once, one in each lane of a vector register.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Most streams that `drover_sha256_blocks` takes at once, by the widest kernel.
#define DROVER_SHA256_LANES 16

/// The instruction sets that there are kernels for.
enum drover_sha256_kernel {
    DROVER_SHA256_AVX2,    // 8 lanes
    DROVER_SHA256_AVX512,  // 16 lanes, 8 for few streams
};

/// Whether this processor, and this build, have `kernel`.
int drover_sha256_has(enum drover_sha256_kernel kernel);

/// Hashes `blocks` whole 64-byte blocks of each of `streams` (1 to the kernel's lanes) streams.
/// `chains[i]` is the chaining value of stream i, eight words, and is updated; `data[i]` are its bytes, of any alignment.
void drover_sha256_blocks(enum drover_sha256_kernel kernel, uint32_t (*chains)[8], const uint8_t *const *data, int streams, size_t blocks);
