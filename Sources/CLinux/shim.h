// Calls that glibc shows only under _GNU_SOURCE, which Swift's Glibc module doesn't define.
#pragma once
#include <sys/vfs.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/uio.h>

int fallocate(int descriptor, int mode, off_t offset, off_t length);
int sync_file_range(int descriptor, off_t offset, off_t count, unsigned flags);
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);

ssize_t preadv2(int descriptor, const struct iovec *vectors, int count, off_t offset, int flags);
// RWF_NOWAIT (linux/fs.h): read only what is in the page cache.
#define CLINUX_RWF_NOWAIT 0x00000008

// Variadic, which Swift cannot call. No core dumps of this process, and no other process but root's may look into its memory.
static inline int clinux_forbid_dumps(void) {
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
