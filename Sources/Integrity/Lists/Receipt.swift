import FoundationEssentials
import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What drover says of a folder that it downloaded or wrote: `drover-receipt.json`.
///
/// It says of every byte of its files what it must be, so that the folder can be verified later, on all cores, and what is damaged can be named; it has
/// the weights' fingerprints, so that the folder can be compared with any other checkpoint; and it says where the files came from. It holds no absolute
/// path and nothing of a link, and can be published with the weights.
public struct Receipt: Sendable, Equatable {
  /// The file's name in its folder.
  public static let fileName = "drover-receipt.json"

  /// A file, and at least one of: a digest of the whole, the digests of its weights and of the rest.
  public struct File: Sendable, Equatable {
    /// Relative to the receipt's folder, never leaving it.
    public var path: FilePath
    public var bytes: Int
    /// What its publisher says of a downloaded file, or what was asked for of one that drover wrote, with the states of the chain.
    public var md5: ChainedDigest?
    public var sha256: ChainedDigest?
    /// nil for files without weights, and for those that drover didn't write.
    public var content: Content?

    public init(path: FilePath, bytes: Int, md5: ChainedDigest? = nil, sha256: ChainedDigest? = nil, content: Content? = nil) {
      (self.path, self.bytes, self.md5, self.sha256, self.content) = (path, bytes, md5, sha256, content)
    }
  }

  /// A file that drover wrote, byte for byte: each is in a weight or in the rest.
  public struct Content: Sendable, Equatable {
    /// Rectangles of the file that don't overlap, in the order of their offsets.
    public var weights: [WeightProof]
    /// SHA-256 of all bytes that no weight covers, in the order of the file: header, directory, padding, tensors that are no weights.
    public var rest: Digest

    public init(weights: [WeightProof], rest: Digest) {
      self.weights = weights.sorted { $0.offset < $1.offset }
      self.rest = rest
    }

    /// The stretches of a file of `length` bytes that no weight covers.
    public func gaps(ofFile length: Int) -> [Range<Int>] {
      var gaps: [Range<Int>] = []
      var end = 0
      for weight in weights {
        if weight.offset > end { gaps.append(end..<weight.offset) }
        end = weight.bytes.upperBound
      }
      return end < length ? gaps + [end..<length] : gaps
    }
  }

  /// Where the files came from.
  public enum Origin: Sendable, Equatable {
    /// A release of the catalog, by its id.
    case release(String)
    /// A repository of Hugging Face's hub, `ORG/NAME`, at a commit.
    case repository(String, commit: String)
    /// Links to single files, by their hosts.
    case hosts([String])
    /// A folder or file on the machine that made the receipt; only its own name, not where it lay.
    case checkpoint(String)

    /// - Parameter path: wherever the source lies; empty for the folder one is in.
    public static func checkpoint(at path: FilePath) -> Origin { .checkpoint(Directory.name(of: path)) }
  }

  /// The program and its version, `drover 1.0`.
  public var tool: String
  /// To the second.
  public var created: Date
  /// `download`, `reshard` or `pull`.
  public var operation: String
  public var origin: Origin
  /// The files that a pull made these of, as if it had downloaded them: their paths are those of a download, and they don't lie here.
  public var sources: [File]
  /// What the operation was told, by the long names of the command line: `["mp": "1", "format": "safetensors"]`.
  public var options: [String: String]
  public var files: [File]
  /// nil when it wasn't computed.
  public var fingerprint: CheckpointFingerprint?

  public init(
    tool: String, created: Date = Receipt.now, operation: String, origin: Origin, sources: [File] = [], options: [String: String] = [:], files: [File],
    fingerprint: CheckpointFingerprint? = nil
  ) {
    self.tool = tool
    self.created = Date(timeIntervalSince1970: created.timeIntervalSince1970.rounded(.down))
    self.operation = operation
    self.origin = origin
    self.sources = sources
    self.options = options
    self.files = files
    self.fingerprint = fingerprint
  }

  /// The time, or what the environment variable SOURCE_DATE_EPOCH says instead, in seconds since 1970: so the same input makes the same bytes
  /// (reproducible-builds.org/specs/source-date-epoch).
  public static var now: Date {
    if let text = getenv("SOURCE_DATE_EPOCH"), let seconds = Int(String(cString: text)), (0..<253_402_300_800).contains(seconds) {
      return Date(timeIntervalSince1970: Double(seconds))
    }
    return Date.now
  }
}
