import CKernels

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

  /// What the environment variable `DROVER_SHA256_KERNEL` names, else the last of the list that this processor has. Where the variable names what isn't
  /// there, `checkEnvironment` says so; a program that lets it be set should ask at its start.
  public static let best = (try? forced()) ?? allCases.last { $0.isAvailable } ?? .plain

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
}

/// `DROVER_SHA256_KERNEL` can't be obeyed.
public struct SHA256KernelError: Error, CustomStringConvertible, Equatable {
  public let name: String

  public var description: String {
    let known = SHA256Kernel.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
    return "this processor has no SHA-256 kernel called \(name) (DROVER_SHA256_KERNEL); it has \(known)"
  }
}
