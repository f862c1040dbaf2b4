#include "inference_tables.h"

#include <string.h>

const drover_kernels *drover_kernels_named(const char *name) {
    if (strcmp(name, "plain") == 0) return &drover_kernels_plain;
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
    if (avx512 && strcmp(name, "avx512") == 0) return &drover_kernels_avx512;
    if (avx2 && strcmp(name, "avx2") == 0) return &drover_kernels_avx2;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return &drover_kernels_neon;
#endif
    return NULL;
}

const drover_kernels *drover_kernels_best(void) {
    static const char *const names[] = {"avx512", "avx2", "neon"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const drover_kernels *kernels = drover_kernels_named(names[i]);
        if (kernels) return kernels;
    }
    return &drover_kernels_plain;
}
