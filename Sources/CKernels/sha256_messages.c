#include "sha256_messages.h"

#include <string.h>

#include "sha256_pair.h"

// The square roots of the first eight primes (FIPS 180-4, section 5.3.3).
static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// The last bytes of a message of `length` bytes with the padding of FIPS 180-4, section 5.1.1.
// Returns the number of blocks written to `tail`, 1 or 2: the same for messages of one length.
static size_t pad(const uint8_t *message, size_t length, uint8_t tail[128]) {
    size_t count = length % 64, blocks = count < 56 ? 1 : 2;
    memset(tail, 0, 64 * blocks);
    memcpy(tail, message + length - count, count);
    tail[count] = 0x80;
    uint64_t bits = __builtin_bswap64((uint64_t)length << 3);
    memcpy(tail + 64 * blocks - 8, &bits, 8);
    return blocks;
}

static void store(const uint32_t *chain, uint8_t *digest) {
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(chain[i]);
        memcpy(digest + 4 * i, &word, 4);
    }
}

void drover_sha256_messages(enum drover_sha256_kernel kernel, const uint8_t *const *data, size_t length, int count, uint8_t *digests) {
    uint32_t chains[DROVER_SHA256_LANES][8];
    uint8_t tails[DROVER_SHA256_LANES][128];
    const uint8_t *ends[DROVER_SHA256_LANES];
    size_t blocks = 1;
    for (int i = 0; i < count; i++) {
        memcpy(chains[i], initial, sizeof initial);
        blocks = pad(data[i], length, tails[i]);
        ends[i] = tails[i];
    }
    drover_sha256_blocks(kernel, chains, data, count, length / 64);
    drover_sha256_blocks(kernel, chains, ends, count, blocks);
    for (int i = 0; i < count; i++) store(chains[i], digests + 32 * i);
}

void drover_sha256_messages_paired(const uint8_t *const *data, size_t length, int count, uint8_t *digests) {
    for (int i = 0; i < count; i += 2) {
        // Of an odd number the last one is hashed twice, which takes no longer than once.
        int other = i + 1 < count ? i + 1 : i;
        uint32_t a[8], b[8];
        memcpy(a, initial, sizeof a);
        memcpy(b, initial, sizeof b);
        uint8_t a_tail[128], b_tail[128];
        size_t blocks = pad(data[i], length, a_tail);
        pad(data[other], length, b_tail);
        drover_sha256_pair(a, data[i], b, data[other], length / 64);
        drover_sha256_pair(a, a_tail, b, b_tail, blocks);
        store(a, digests + 32 * i);
        if (other != i) store(b, digests + 32 * other);
    }
}
