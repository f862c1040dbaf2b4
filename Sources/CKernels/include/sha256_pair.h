// SHA-256 (FIPS 180-4) of two streams at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Whether this processor, and this build, have `drover_sha256_pair`: x86-64 with SHA extensions.
int drover_sha256_has_pair(void);

/// Hashes `blocks` whole 64-byte blocks of each of two streams. `a` and `b` are their chaining values (eight words each) and are updated; `x` and
/// `y` are their bytes, of any alignment. Not to be called where it isn't had.
void drover_sha256_pair(uint32_t *a, const uint8_t *x, uint32_t *b, const uint8_t *y, size_t blocks);
