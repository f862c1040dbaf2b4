// The Integrity library.
