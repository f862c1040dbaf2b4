import CKernels

#if canImport(Glibc)
  import Glibc
#endif

/// The instruction sets that hash several MD5 streams side by side.
public enum MD5Kernel: String, Sendable, CaseIterable {
  /// Portable C, one stream after the other: the reference for the others.
  case plain
  /// Four streams at once.
  case sse2, neon
  /// Eight.
  case avx2
  /// Sixteen.
  case avx512

  /// Whether this processor has it.
  public var isAvailable: Bool { drover_md5_has(code) != 0 }

  /// What the environment variable `DROVER_MD5_KERNEL` names, else the widest that this processor has.
  public static let best: MD5Kernel = {
    if let name = getenv("DROVER_MD5_KERNEL"), let forced = MD5Kernel(rawValue: String(cString: name)), forced.isAvailable { return forced }
    return allCases.last { $0.isAvailable } ?? .plain
  }()

  /// Streams side by side in one register.
  public var lanes: Int {
    switch self {
    case .plain: 1
    case .sse2, .neon: 4
    case .avx2: 8
    case .avx512: 16
    }
  }

  var code: drover_md5_kernel {
    switch self {
    case .plain: DROVER_MD5_PLAIN
    case .sse2: DROVER_MD5_SSE2
    case .neon: DROVER_MD5_NEON
    case .avx2: DROVER_MD5_AVX2
    case .avx512: DROVER_MD5_AVX512
    }
  }
}
