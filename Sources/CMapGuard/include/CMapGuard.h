// Mapped files whose pages may be lost while they are read: the file was cut short, or its disk fails. The kernel then raises SIGBUS, which would end
// the process. Lost pages of a watched range read as zeros instead, and the range remembers it, so that whoever computed with them can throw the result away.
#pragma once
#include <stddef.h>

typedef struct mapguard_range mapguard_range;

// Watches a mapping from now on. The first call installs a handler of SIGBUS, for the process; signals that aren't about a watched range go to the handler that
// was there before. Null where there is no memory for it.
mapguard_range *mapguard_watch(const void *start, size_t count);

// The first byte of the range that was found lost, as an offset; -1 while none was.
ptrdiff_t mapguard_lost(const mapguard_range *range);

// Before the mapping is taken away. Nobody may read from it any more.
void mapguard_unwatch(mapguard_range *range);
