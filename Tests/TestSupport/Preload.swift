import Foundation
import Testing

extension Trait where Self == ConditionTrait {
  /// Skips the test where there is no C compiler, except under CI.
  public static var needsCompiler: Self { .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/cc") || Peer.isCI, "needs a C compiler (cc)") }
}

/// Functions of the C library that answer as those of some other system do.
/// - Parameter source: their definitions, in C.
/// - Returns: the environment in which a program has them instead.
public func preload(_ source: String, in folder: String) throws -> [String: String] {
  let library = folder + "/preload.so"
  let outcome = try run("/usr/bin/cc", ["-shared", "-fPIC", "-D_GNU_SOURCE", "-x", "c", "-o", library, "-"], input: source)
  guard outcome.status == 0 else { throw Nginx.Failed(description: outcome.errors) }
  return ["LD_PRELOAD": library]
}
