import CArguments
import Glibc

/// The command line and the environment, as bytes, where the kernel put them.
///
/// Not Swift's `CommandLine`: that reads `/proc/self/cmdline`, and where `/proc` isn't mounted every command would be one without arguments.
enum Arguments {
  /// The words after the program's name, as `ArgumentBytes` writes them; nil where it isn't known which they were.
  static let words: [String]? = carguments_words().map { strings(in: $0).dropFirst().map { ArgumentBytes.text(of: Array($0)) } }

  /// The memory of the words, the program's name first.
  static var memory: [UnsafeMutableRawBufferPointer] { carguments_words().map(strings) ?? [] }

  /// The memory of the environment's entries, as it was when the program started.
  static var environment: [UnsafeMutableRawBufferPointer] { carguments_environment().map(strings) ?? [] }

  private static func strings(in list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> [UnsafeMutableRawBufferPointer] {
    var strings: [UnsafeMutableRawBufferPointer] = []
    while let start = list[strings.count] { strings.append(UnsafeMutableRawBufferPointer(start: start, count: strlen(start))) }
    return strings
  }
}
