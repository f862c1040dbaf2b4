// SHA-256 (FIPS 180-4) of two streams at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Whether this processor, and this build, have `drover_sha256_pair`: x86-64 with SHA extensions.
int drover_sha256_has_pair(void);

/// Hashes `blocks` whole 64-byte blocks of each of two streams. `a` and `b` are their chaining values (eight words each) and are updated; `x` and
/// `y` are their bytes, of any alignment. Not to be called where it isn't had.
void drover_sha256_pair(uint32_t *a, const uint8_t *x, uint32_t *b, const uint8_t *y, size_t blocks);

/// Writes the SHA-256 of two whole messages, 32 bytes each, to `x_digest` and `y_digest`. Not to be called where `drover_sha256_has_pair` is 0.
void drover_sha256_two(const uint8_t *x, size_t x_length, uint8_t *x_digest, const uint8_t *y, size_t y_length, uint8_t *y_digest);
