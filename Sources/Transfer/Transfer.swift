// The Transfer library.
