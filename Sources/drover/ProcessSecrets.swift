import CLinux
import Glibc
import SystemPackage

/// Keeps links out of what other programs can read of this process: `/proc/PID/cmdline`, which is what `ps` shows, and `/proc/PID/environ`.
enum ProcessSecrets {
  /// The link in `DROVER_URL`, as it was when the program started.
  static let environmentLink: String? = environment[link].flatMap { $0.isEmpty ? nil : $0 }

  /// The environment as it was when the program started, tokens included.
  static let environment = Dictionary(
    Arguments.environment.compactMap { entry -> (String, String)? in
      let text = String(decoding: entry, as: UTF8.self)
      return text.firstIndex(of: "=").map { (String(text[..<$0]), String(text[text.index(after: $0)...])) }
    }) { first, _ in first }

  private static let link = "DROVER_URL"
  /// Those that hold a secret: huggingface_hub's tokens too.
  private static let secretNames = [link, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]

  /// Copies what the program needs, and overwrites the originals. The first thing to do.
  static func hide() {
    // Both are read, and so copied, before their originals are overwritten.
    _ = Arguments.words
    _ = environment
    // Whatever the command does with it.
    if secretNames.contains(where: { environment[$0] != nil }) || (Arguments.words ?? []).contains(where: resemblesLink) { lockMemory() }
    var previous = ""
    for argument in Arguments.memory {
      let text = String(decoding: argument, as: UTF8.self)
      let isValue = previous == "--url"
      let start = isValue ? 0 : text.hasPrefix("--url=") ? 6 : resemblesLink(text) ? 0 : nil
      if let start { overwrite(argument, from: start) }
      previous = text
    }
    for entry in Arguments.environment {
      let text = String(decoding: entry, as: UTF8.self)
      if let name = secretNames.first(where: { text.hasPrefix($0 + "=") }) { overwrite(entry, from: name.utf8.count + 1) }
    }
    for name in secretNames { unsetenv(name) }
  }

  /// Keeps this process's memory out of core dumps, and from other processes of the same user: from here on it may hold a link.
  static func lockMemory() { _ = clinux_forbid_dumps() }

  /// `text` without any of the links that were on the command line, whole or cut off: messages quote arguments that can't be placed.
  static func redact(_ text: String) -> String {
    // Messages may quote the value of `--option=value` alone.
    let words = (Arguments.words ?? []).flatMap { [$0] + ($0.hasPrefix("-") ? $0.split(separator: "=", maxSplits: 1).dropFirst().map(String.init) : []) }
    return words.filter(resemblesLink).reduce(text) { text, word in
      // As it was given, as messages show it, and as a path, where the link's two slashes become one.
      let given = String(decoding: ArgumentBytes.bytes(of: word), as: UTF8.self)
      return [word, given, ArgumentBytes.shown(word), FilePath(given).string, FilePath(given).lexicallyNormalized().string].reduce(text) { remove($1, from: $0) }
    }
  }

  /// `text` without the parts of it that begin as `link` does and go on beyond its host.
  private static func remove(_ link: String, from text: String) -> String {
    let scheme = link.firstRange(of: ":/").map { link[$0.upperBound...].drop { $0 == "/" } } ?? link.dropFirst(12)
    let beginning = link.prefix(link.count - scheme.drop { !"/?".contains($0) }.dropFirst(2).count)
    var rest = text[...]
    var kept = ""
    while let start = beginning.isEmpty ? nil : rest.firstRange(of: beginning)?.lowerBound {
      kept += rest[..<start] + "(a link)"
      rest = rest[start...].dropFirst(zip(rest[start...], link).prefix { $0 == $1 }.count)
    }
    return kept + rest
  }

  /// Whether a word is a link, or was one before something was done to it.
  static func resemblesLink(_ text: String) -> Bool {
    let plain = [("%3a", ":"), ("%2f", "/"), ("%3d", "="), ("%3f", "?"), ("%26", "&")].reduce(text.lowercased()) { $0.replacing($1.0, with: $1.1) }
    return ["://", "http:/", "https:/", "policy=", "signature=", "?sig=", "&sig="].contains { plain.contains($0) }
  }

  private static func overwrite(_ bytes: UnsafeMutableRawBufferPointer, from start: Int) {
    for index in start..<max(start, bytes.count) { bytes[index] = UInt8(ascii: "x") }
  }
}
