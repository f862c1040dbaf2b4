// The demo checkpoint (see model/README.md), built into the binary.
#pragma once
#include <stddef.h>

typedef struct {
    const char *name;
    const unsigned char *bytes;
    size_t count;
} demo_model_file;

extern const size_t demo_model_file_count;
/// The file at `index`, below `demo_model_file_count`, in the order a folder listing shows them.
demo_model_file demo_model_file_at(size_t index);
