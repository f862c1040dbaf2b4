// The Tokenization library.
