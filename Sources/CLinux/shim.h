// Calls that glibc shows only under _GNU_SOURCE, which Swift's Glibc module doesn't define.
#pragma once
#include <sys/types.h>

int fallocate(int descriptor, int mode, off_t offset, off_t length);
int sync_file_range(int descriptor, off_t offset, off_t count, unsigned flags);
int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
