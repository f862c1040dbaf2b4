#pragma once
/// The widest vector instruction set that both this processor and the kernels know: "avx512", "avx2", "sse2", "neon" or "plain".
const char *drover_cpu_best(void);
/// Processors that this process may run on, at least 1.
int drover_cpu_count(void);
