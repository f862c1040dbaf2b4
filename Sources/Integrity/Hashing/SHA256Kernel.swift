import CKernels
import Platform

#if canImport(Glibc)
  import Glibc
#endif

/// How several SHA-256 streams are hashed side by side.
public enum SHA256Kernel: String, Sendable, CaseIterable {
  /// OpenSSL, one stream after the other: the reference for the others.
  case plain
  /// Eight streams at once.
  case avx2
  /// Sixteen.
  case avx512
  /// The processor's own instructions for SHA-256, two streams at once.
  case sha

  /// Whether this processor has it.
  public var isAvailable: Bool {
    switch self {
    case .plain: true
    case .avx2: drover_sha256_has(DROVER_SHA256_AVX2) != 0
    case .avx512: drover_sha256_has(DROVER_SHA256_AVX512) != 0
    case .sha: drover_sha256_has_pair() != 0
    }
  }

  /// For a few streams: what the environment variable `DROVER_SHA256_KERNEL` names, else the last of the list that this processor has. Where the
  /// variable names what isn't there, `checkEnvironment` says so; a program that lets it be set should ask at its start.
  public static let best = (try? forced()) ?? allCases.last { $0.isAvailable } ?? .plain

  /// For `streams` streams.
  static func best(for streams: Int) -> SHA256Kernel { streams >= fewestInLanes ? .avx512 : best }

  /// Most streams that one call profits from.
  static let mostStreams = max(best.lanes, fewestInLanes <= SHA256Kernel.avx512.lanes ? SHA256Kernel.avx512.lanes : 1)

  /// From how many streams on sixteen lanes are faster than pairs. That differs from processor to processor (Zen 5 has lanes twice as wide as Zen 4
  /// and the same unit for pairs), so both are tried once, for some 0.1 ms.
  private static let fewestInLanes: Int = {
    guard best == .sha, SHA256Kernel.avx512.isAvailable, (try? forced()) == nil else { return .max }
    let bytes = [UInt8](repeating: 0, count: 4096)
    let lanes = Self.avx512.lanes
    func seconds(_ kernel: SHA256Kernel, streams: Int) -> Double {
      var digests = [UInt8](repeating: 0, count: 32 * streams)
      return bytes.withUnsafeBytes { bytes in
        digests.withUnsafeMutableBufferPointer { digests in
          guard let out = digests.baseAddress else { return .infinity }
          return (0..<5).map { _ in
            let start = steadySeconds()
            kernel.hash([UnsafeRawBufferPointer](repeating: bytes, count: streams)[...], to: out)
            return steadySeconds() - start
          }.min() ?? .infinity
        }
      }
    }
    // Lanes take as long for one stream as for sixteen.
    let fewest = 2 * seconds(.avx512, streams: lanes) / seconds(.sha, streams: 2)
    return fewest < Double(lanes) ? Int(fewest.rounded(.up)) : .max
  }()

  /// - Throws: when `DROVER_SHA256_KERNEL` names something that there isn't, or that this processor hasn't got.
  public static func checkEnvironment() throws(SHA256KernelError) { _ = try forced() }

  private static func forced() throws(SHA256KernelError) -> SHA256Kernel? {
    guard let value = getenv("DROVER_SHA256_KERNEL"), value.pointee != 0 else { return nil }
    let name = String(cString: value)
    guard let kernel = SHA256Kernel(rawValue: name), kernel.isAvailable else { throw SHA256KernelError(name: name) }
    return kernel
  }

  /// Streams side by side.
  public var lanes: Int {
    switch self {
    case .plain: 1
    case .sha: 2
    case .avx2: 8
    case .avx512: 16
    }
  }

  /// Writes the SHA-256 of whole messages of one length, 32 bytes each, to `digests`.
  /// - Parameter messages: at most `lanes`; any number for `sha`.
  func hash(_ messages: ArraySlice<UnsafeRawBufferPointer>, to digests: UnsafeMutablePointer<UInt8>) {
    guard let length = messages.first?.count else { return }
    if self == .plain || length == 0 {
      for (index, message) in messages.enumerated() {
        for (byte, value) in SHA256.hash(message).bytes.enumerated() { digests[32 * index + byte] = value }
      }
      return
    }
    let data = messages.map { $0.baseAddress?.assumingMemoryBound(to: UInt8.self) }
    switch self {
    case .sha: drover_sha256_messages_paired(data, length, Int32(data.count), digests)
    case .avx2: drover_sha256_messages(DROVER_SHA256_AVX2, data, length, Int32(data.count), digests)
    case .avx512, .plain: drover_sha256_messages(DROVER_SHA256_AVX512, data, length, Int32(data.count), digests)
    }
  }
}

/// `DROVER_SHA256_KERNEL` can't be obeyed.
public struct SHA256KernelError: Error, CustomStringConvertible, Equatable {
  public let name: String

  public var description: String {
    let known = SHA256Kernel.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
    return "this processor has no SHA-256 kernel called \(name) (DROVER_SHA256_KERNEL); it has \(known)"
  }
}
