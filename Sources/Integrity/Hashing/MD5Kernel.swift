import CKernels
import Platform

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

  /// What the environment variable `DROVER_MD5_KERNEL` names, else the widest that this processor has. Where the variable names what isn't there,
  /// `checkEnvironment` says so; a program that lets it be set should ask at its start.
  public static let best = (try? forced()) ?? allCases.last { $0.isAvailable } ?? .plain

  /// For one stream alone, where only the latency of one step after the other counts. AVX-512 has each of MD5's functions in one instruction, but
  /// some processors take two cycles for an addition of vectors (Zen 5) and others one, so it and plain code are tried once, for some 0.1 ms.
  static let alone: MD5Kernel = {
    if let forced = try? forced() { return forced }
    let bytes = [UInt8](repeating: 0, count: 4096)
    func seconds(_ kernel: MD5Kernel) -> Double {
      bytes.withUnsafeBytes { bytes in
        (0..<5).map { _ in
          var hash = MD5()
          let start = steadySeconds()
          hash.update(bytes, kernel: kernel)
          return steadySeconds() - start
        }.min() ?? .infinity
      }
    }
    return MD5Kernel.avx512.isAvailable && seconds(.avx512) < seconds(.plain) ? .avx512 : .plain
  }()

  /// - Throws: when `DROVER_MD5_KERNEL` names something that there isn't, or that this processor hasn't got.
  public static func checkEnvironment() throws(MD5KernelError) { _ = try forced() }

  private static func forced() throws(MD5KernelError) -> MD5Kernel? {
    guard let value = getenv("DROVER_MD5_KERNEL"), value.pointee != 0 else { return nil }
    let name = String(cString: value)
    guard let kernel = MD5Kernel(rawValue: name), kernel.isAvailable else { throw MD5KernelError(name: name) }
    return kernel
  }

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

/// `DROVER_MD5_KERNEL` can't be obeyed.
public struct MD5KernelError: Error, CustomStringConvertible, Equatable {
  public let name: String

  public var description: String {
    let known = MD5Kernel.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")
    return "this processor has no MD5 kernel called \(name) (DROVER_MD5_KERNEL); it has \(known)"
  }
}
