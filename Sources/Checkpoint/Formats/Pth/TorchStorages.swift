/// Where the storages of a file that torch wrote lie in it.
struct TorchStorages {
  /// Bytes of the file that hold the storage with this key; nil for one that isn't there.
  let place: (_ key: String) -> Range<Int>?
  /// Whether a pickled storage may be a stretch of another one, as in files from before torch 1.6.
  let hasViews: Bool
}
