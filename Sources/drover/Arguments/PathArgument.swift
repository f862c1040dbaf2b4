import ArgumentParser
import SystemPackage

/// A path on the command line, byte for byte. The shell completes it with files.
struct PathArgument: ExpressibleByArgument, CustomStringConvertible {
  let path: FilePath

  init(_ path: FilePath) { self.path = path }

  /// nil for an empty one, which names nothing.
  init?(argument: String) {
    let bytes = ArgumentBytes.bytes(of: argument).map { CInterop.PlatformChar(bitPattern: $0) } + [0]
    guard bytes.count > 1, let path = bytes.withUnsafeBufferPointer({ $0.baseAddress.map { FilePath(platformString: $0) } }) else { return nil }
    self.path = path
  }

  /// For messages: what isn't text in it is replaced.
  var description: String { path.string }

  static var defaultCompletionKind: CompletionKind { .file() }
}

/// Text on the command line that may have line breaks: a prompt, or a link as a mail broke it.
struct TextArgument: ExpressibleByArgument, CustomStringConvertible {
  let text: String

  init?(argument: String) {
    guard let text = String(validating: ArgumentBytes.bytes(of: argument), as: UTF8.self) else { return nil }
    self.text = text
  }

  var description: String { text }
}

/// Refuses a command with an argument that is neither a path nor text: a name, a number or a choice has no control characters in it, and is UTF-8.
func refuseRawArguments(in value: Any) throws(CommandError) {
  if value is PathArgument || value is ModelArgument || value is TextArgument { return }
  if let text = value as? String, ArgumentBytes.hasRaw(text) {
    // A link is never quoted, nor a part of one.
    if ProcessSecrets.resemblesLink(text) { throw CommandError(.usage, "a link has line breaks in it, or bytes that aren't plain text: give it on one line, in single quotes") }
    throw CommandError(.usage, "\"\(ArgumentBytes.shown(text))\" has bytes in it that aren't plain text; only paths, prompts and messages may")
  }
  for child in Mirror(reflecting: value).children { try refuseRawArguments(in: child.value) }
}
