// Calls that glibc shows only under _GNU_SOURCE, which Swift's Glibc module doesn't define.
#pragma once
#include <linux/stat.h>
#include <spawn.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/uio.h>

int fallocate(int descriptor, int mode, off_t offset, off_t length);
int syncfs(int descriptor);
int sync_file_range(int descriptor, off_t offset, off_t count, unsigned flags);
#define CLINUX_SYNC_FILE_RANGE_WRITE 2u
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
// linux/fs.h
#define CLINUX_RENAME_NOREPLACE 1u
#define CLINUX_RENAME_EXCHANGE 2u

// O_PATH (asm-generic/fcntl.h): a folder that names can be reached by, though its own can't be read.
#define CLINUX_O_PATH 010000000

// Whether an open folder is the root of a mount: 1 or 0; -1 where the kernel doesn't say (before Linux 5.8).
static inline int clinux_is_mount_root(int descriptor) {
    struct statx status;
    // 0x1000 is AT_EMPTY_PATH: the descriptor itself.
    if (syscall(SYS_statx, descriptor, "", 0x1000, 0, &status) != 0) return -1;
    if (!(status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)) return -1;
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

ssize_t preadv2(int descriptor, const struct iovec *vectors, int count, off_t offset, int flags);
// RWF_NOWAIT (linux/fs.h): read only what is in the page cache.
#define CLINUX_RWF_NOWAIT 0x00000008

// Variadic, which Swift cannot call. No core dumps of this process, and no other process but root's may look into its memory.
static inline int clinux_forbid_dumps(void) {
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

// For the programs that tests start.
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
