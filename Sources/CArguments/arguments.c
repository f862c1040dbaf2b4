#include <features.h>
#include "CArguments.h"

// Swift's runtime reads the arguments from /proc/self/cmdline, which isn't there in every root, and makes text of them. glibc calls the functions of
// .init_array with what the program was started with (its csu/libc-start.c), before main.
static char **words, **environment;

static void remember(int count, char **arguments, char **variables) {
    if (count > 0) words = arguments;
    environment = variables;
}

#ifdef __GLIBC__
__attribute__((section(".init_array"), used)) static void (*const first)(int, char **, char **) = remember;
#else
// Other C libraries call such functions without arguments.
#error "how does this C library hand over the arguments?"
#endif

char **carguments_words(void) { return words; }
char **carguments_environment(void) { return environment; }
