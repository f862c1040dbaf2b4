// The command line and the environment as the kernel handed them to the process.
#pragma once

// Both end with a null pointer; null where the C library doesn't tell.
char **carguments_words(void);
char **carguments_environment(void);
