import CPCRE2

/// A regular expression out of somebody's file, run by PCRE2 under limits.
///
/// The files write for Oniguruma (Hugging Face's `tokenizers`); `PatternSource` rewrites what means something else to PCRE2.
public final class Pattern: @unchecked Sendable, Equatable {
  // Compiled code is only read once it is made, so threads may share it: pcre2api(3), “Multithreading”.
  private let code: OpaquePointer
  private let limits: OpaquePointer
  /// As the file writes it.
  public let source: String
  private let file: String

  /// Steps that one match may take. The longest that an honest pattern needs grows with the piece it matches; a pattern that backtracks without end
  /// meets the limit within a second.
  private static let mostSteps: UInt32 = 10_000_000
  private static let mostDepth: UInt32 = 100_000
  private static let mostKilobytes: UInt32 = 64 << 10

  /// - Parameter file: the name that errors carry.
  init(_ source: String, file: String) throws(VocabularyError) {
    self.source = source
    self.file = file
    func unsupported(_ why: String) -> VocabularyError {
      VocabularyError(.unsupported, in: file, "the pattern “\(source)” can't be run: \(why)")
    }
    let rewritten = try PatternSource.rewrite(source, unsupported)
    var number: Int32 = 0
    var offset = 0
    let options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C
    let compiled = Array(rewritten.utf8).withUnsafeBufferPointer { text in
      pcre2_compile_8(text.baseAddress, text.count, options, &number, &offset, nil)
    }
    guard let compiled else {
      var message = [UInt8](repeating: 0, count: 256)
      _ = pcre2_get_error_message_8(number, &message, message.count)
      throw unsupported(String(decoding: message.prefix { $0 != 0 }, as: UTF8.self))
    }
    guard let context = pcre2_match_context_create_8(nil) else {
      pcre2_code_free_8(compiled)
      throw unsupported("there is no memory for it")
    }
    pcre2_set_match_limit_8(context, Self.mostSteps)
    pcre2_set_depth_limit_8(context, Self.mostDepth)
    pcre2_set_heap_limit_8(context, Self.mostKilobytes)
    (code, limits) = (compiled, context)
  }

  public static func == (a: Pattern, b: Pattern) -> Bool { a.source == b.source }

  deinit {
    pcre2_match_context_free_8(limits)
    pcre2_code_free_8(code)
  }

  /// The matches in `text` from left to right, without overlaps; an empty one isn't taken where the last one ended.
  /// - Parameter text: well-formed UTF-8.
  func matches(in text: UnsafeBufferPointer<UInt8>) throws(VocabularyError) -> [Range<Int>] {
    guard let data = pcre2_match_data_create_from_pattern_8(code, nil) else { throw failure(PCRE2_ERROR_NOMEMORY) }
    defer { pcre2_match_data_free_8(data) }
    guard let places = pcre2_get_ovector_pointer_8(data) else { throw failure(PCRE2_ERROR_NOMEMORY) }
    var result: [Range<Int>] = []
    var at = 0
    var end: Int?
    while at <= text.count {
      let status = pcre2_match_8(code, text.baseAddress, text.count, at, PCRE2_NO_UTF_CHECK, data, limits)
      if status == PCRE2_ERROR_NOMATCH { break }
      guard status >= 0 else { throw failure(status) }
      guard places[0] <= places[1] else { throw failure(PCRE2_ERROR_INTERNAL) }
      let match = places[0]..<places[1]
      if match.isEmpty, match.lowerBound == end {
        guard match.lowerBound < text.count else { break }
        at = match.lowerBound + max(1, UTF8Scan.expectedLength(text[match.lowerBound]))
        // The same empty match is found again from here on unless it is passed.
        end = nil
        continue
      }
      result.append(match)
      (at, end) = (match.upperBound, match.upperBound)
    }
    return result
  }

  private func failure(_ status: Int32) -> VocabularyError {
    switch status {
    case PCRE2_ERROR_MATCHLIMIT, PCRE2_ERROR_DEPTHLIMIT, PCRE2_ERROR_HEAPLIMIT:
      VocabularyError(.unsupported, in: file, "the pattern “\(source)” takes too many steps on this text")
    default: VocabularyError(.unsupported, in: file, "the pattern “\(source)” can't be run on this text (PCRE2's error \(status))")
    }
  }
}
