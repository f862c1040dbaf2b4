#pragma once
#include <stddef.h>
#include <stdint.h>
/// CRC-32 as zip has it (reflected 0xEDB88320), going on from `crc`, which is 0 at the start.
uint32_t drover_crc32(uint32_t crc, const void *bytes, size_t count);
/// The same without any special instruction.
uint32_t drover_crc32_plain(uint32_t crc, const void *bytes, size_t count);
/// The CRC-32 of A followed by B, from that of A, that of B, and B's length.
uint32_t drover_crc32_combine(uint32_t a, uint32_t b, uint64_t count_b);
/// The same without any special instruction.
uint32_t drover_crc32_combine_plain(uint32_t a, uint32_t b, uint64_t count_b);
