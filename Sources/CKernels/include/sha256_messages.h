// SHA-256 (FIPS 180-4) of whole messages, several at once.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "sha256_lanes.h"

/// Writes the SHA-256 of each of `count` messages of `length` bytes, at any alignment: 32 bytes each, one after the other, to `digests`.
/// In lanes: `count` is 1 to the kernel's lanes. Not to be called where the kernel isn't had.
void drover_sha256_messages(enum drover_sha256_kernel kernel, const uint8_t *const *data, size_t length, int count, uint8_t *digests);

/// The same by the processor's own instructions, two at a time, for any number. Not to be called where `drover_sha256_has_pair` is 0.
void drover_sha256_messages_paired(const uint8_t *const *data, size_t length, int count, uint8_t *digests);
