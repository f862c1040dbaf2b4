// The demo checkpoint (see model/README.md), built into the binary.
#pragma once
#include <stddef.h>

typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t count;
} demo_model_file;

/// The checkpoint's files, in the order a folder listing shows them.
extern const demo_model_file demo_model_files[];
extern const size_t demo_model_file_count;
