#define _GNU_SOURCE
#include "CMapGuard.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The handler may walk the list at any moment, in any thread. So ranges are never freed: one that is watched no more has no start, and is used again.
struct mapguard_range {
    _Atomic(uintptr_t) start;
    _Atomic(size_t) count;
    // Offset + 1; 0 while nothing is lost.
    _Atomic(size_t) lost;
    struct mapguard_range *next;
};

static _Atomic(mapguard_range *) ranges;
static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static uintptr_t page_mask;
static struct sigaction previous;

// Puts zeros where the address and all behind it in its range was mapped. Only what a signal handler may do: atomics and a system call.
static int replace(uintptr_t at) {
    for (mapguard_range *range = atomic_load(&ranges); range; range = range->next) {
        uintptr_t start = atomic_load(&range->start);
        size_t count = atomic_load(&range->count);
        if (start == 0 || at < start || at - start >= count) continue;
        uintptr_t page = at & page_mask, end = (start + count + ~page_mask) & page_mask;
        // To the end: a file that was cut short has lost all of it, and a piece of memory a page would be more than a process may have. Whoever reads there at
        // this moment in another thread reads the file or zeros, and what it makes of either is thrown away.
        long map = syscall(SYS_mmap, page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L);
        if (map == -1) return 0;
        size_t mine = at - start + 1, known = atomic_load(&range->lost);
        while ((known == 0 || mine < known) && !atomic_compare_exchange_weak(&range->lost, &known, mine)) {}
        return 1;
    }
    return 0;
}

// What would have happened without this handler.
static void pass_on(int number, siginfo_t *info, void *context) {
    if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(number, info, context);
    if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(number);
    // Sent by a process, and ignored.
    if (info->si_code <= 0 && previous.sa_handler == SIG_IGN) return;
    // It comes again when this handler returns, and ends the process: from the same instruction, or, if a process sent it, from here.
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(number, &action, NULL);
    if (info->si_code <= 0) raise(number);
}

static void on_lost_page(int number, siginfo_t *info, void *context) {
    int saved = errno;
    // Positive codes are the kernel's own.
    int is_ours = info->si_code > 0 && replace((uintptr_t)info->si_addr);
    errno = saved;
    if (!is_ours) pass_on(number, info, context);
}

static void install(void) {
    page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
    sigaction(SIGBUS, NULL, &previous);
    struct sigaction action = {.sa_sigaction = on_lost_page, .sa_mask = previous.sa_mask};
    // On the thread's own stack for signals, if it has one, as handlers of crashes want it.
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | (previous.sa_flags & SA_NODEFER);
    sigaction(SIGBUS, &action, NULL);
}

mapguard_range *mapguard_watch(const void *start, size_t count) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    pthread_mutex_lock(&changing);
    mapguard_range *range = atomic_load(&ranges);
    while (range && atomic_load(&range->start) != 0) range = range->next;
    int is_new = range == NULL;
    if (is_new) range = calloc(1, sizeof *range);
    if (range) {
        atomic_store(&range->lost, 0);
        atomic_store(&range->count, count);
        atomic_store(&range->start, (uintptr_t)start);
        if (is_new) {
            range->next = atomic_load(&ranges);
            atomic_store(&ranges, range);
        }
    }
    pthread_mutex_unlock(&changing);
    return range;
}

ptrdiff_t mapguard_lost(const mapguard_range *range) { return (ptrdiff_t)atomic_load(&range->lost) - 1; }

void mapguard_unwatch(mapguard_range *range) { atomic_store(&range->start, 0); }
