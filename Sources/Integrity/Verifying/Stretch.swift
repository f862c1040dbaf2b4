/// A run of a file's bytes that is read once, from the first to the last, and what is computed of it.
///
/// A file whose hash has to be computed from nothing is one stretch. One whose chaining values are known is as many as it has pieces, and one that drover
/// wrote is cut between its weights: then one file keeps all cores and lanes busy.
struct Stretch: Sendable {
  /// Bytes that are hashed, and copied out of the page cache, at a time: large against the cost of handing them over, small against the cache that
  /// cores share.
  static let chunkBytes = 256 << 10
  /// Bytes that are read from a disk in one request. Weights are hashed so many at a time, so that two leaves of a tensor's tree are side by side.
  static let spanBytes = 1 << 20

  /// Index of the file in its list.
  var file: Int
  /// At least one byte, unless the file is empty.
  var bytes: Range<Int>
  /// The hashes that go on here; nil for what isn't wanted.
  var md5: MD5?
  var sha256: SHA256?
  /// The weights and gaps in it.
  var content: ContentStretch?

  init(file: Int, bytes: Range<Int>, md5: MD5? = nil, sha256: SHA256? = nil, content: ContentStretch? = nil) {
    (self.file, self.bytes, self.md5, self.sha256, self.content) = (file, bytes, md5, sha256, content)
  }

  /// What came of it.
  struct Outcome: Sendable {
    var md5: ChainedHash<MD5>?
    var sha256: ChainedHash<SHA256>?
    var content: ContentStretch.Outcome?
  }
}
