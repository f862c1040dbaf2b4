// The Catalog library.
