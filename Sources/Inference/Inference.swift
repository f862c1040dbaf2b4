// The Inference library.
