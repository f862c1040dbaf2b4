import Foundation
import Testing
import Tokenization

/// A vocabulary whose tokens were chosen so that they all fall into one place of a hash table loads as fast as any other.
@Suite struct CraftedVocabularyTests {
  private static let count = 4096

  /// Tokens of six bytes that a hash without a key, the one that the table had at first, puts into eight of its 16,384 places.
  private static func crafted() -> [UInt64] {
    var tokens: [UInt64] = []
    var candidate: UInt64 = 0
    while tokens.count < count {
      candidate += 1
      let word = (0x9E37_79B9_7F4A_7C15 &* 6) ^ (candidate &+ 0xE703_7ED1_A0B4_28DB)
      let product = word.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
      if (product.high ^ product.low) & 16383 < 8 { tokens.append(candidate) }
    }
    return tokens
  }

  /// A rank file with a token for each byte and `tokens`, six bytes each, most significant first.
  private static func ranks(_ tokens: [UInt64]) -> [UInt8] {
    let lines = tokens.enumerated().map { number, token in
      "\(Data((0..<6).map { UInt8(truncatingIfNeeded: token >> (40 - 8 * $0)) }).base64EncodedString()) \(256 + number)\n"
    }
    return Array(HostileFileTests.ranks(lines.joined()).utf8)
  }

  /// The least CPU time of three, in nanoseconds.
  private static func time(_ file: [UInt8]) throws -> Int {
    try (0..<3).map { _ in
      var (start, end) = (timespec(), timespec())
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start)
      let vocabulary = try Vocabulary.tiktoken(file, file: "f")
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
      #expect(vocabulary.count == 256 + count + 256)
      return (end.tv_sec - start.tv_sec) * 1_000_000_000 + end.tv_nsec - start.tv_nsec
    }.min() ?? 0
  }

  @Test func loadsLikeAnyOther() throws {
    let ordinary = try Self.time(Self.ranks((0..<Self.count).map { UInt64($0) * 0x9E37_79B9 + 1 << 40 }))
    let crafted = try Self.time(Self.ranks(Self.crafted()))
    #expect(crafted < 4 * ordinary, "\(crafted) ns, where others of its size take \(ordinary)")
  }
}
