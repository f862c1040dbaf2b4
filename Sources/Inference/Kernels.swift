import CKernels
import Checkpoint

#if canImport(Glibc)
  import Glibc
#endif

/// The inner loops for one instruction set.
public struct Kernels: @unchecked Sendable {
  // Unchecked: the table is constant and its functions keep no state.
  let table: drover_kernels

  /// The kernels called `name`: `avx512`, `avx2`, `neon` or `plain`.
  /// - Returns: nil where this processor can't run them.
  public init?(named name: String) {
    guard let table = drover_kernels_named(name) else { return nil }
    self.table = table.pointee
  }

  private init(table: drover_kernels) { self.table = table }

  /// The plain loops.
  static let reference = Kernels(table: drover_kernels_plain)

  public var name: String { String(cString: table.name) }

  /// All that this processor runs, the fastest first. The last is the plain reference.
  public static let available: [Kernels] = ["avx512", "avx2", "neon", "plain"].compactMap(Kernels.init(named:))

  /// The fastest, or what the environment variable `DROVER_KERNEL` names.
  /// - Throws: `InferenceError.unknownKernel` when this processor can't run what it names.
  public static func preferred() throws(InferenceError) -> Kernels {
    if let value = getenv("DROVER_KERNEL"), value.pointee != 0 {
      let name = String(cString: value)
      guard let kernels = Kernels(named: name) else {
        throw .unknownKernel(name: name, known: available.map(\.name))
      }
      return kernels
    }
    return Kernels(table: drover_kernels_best().pointee)
  }
}

extension Kernels {
  /// The log of the sum of the exponentials of `logits`.
  func logSumExp(_ logits: UnsafeMutableBufferPointer<Float>) -> Float {
    guard let base = logits.baseAddress, let most = logits.max() else { return -.infinity }
    return most + log(table.sum_exp(base, logits.count, most))
  }
}
