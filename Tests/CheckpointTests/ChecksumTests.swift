import CKernels
import TestSupport
import Testing

/// CRC-32 as zip files have it, with and without instructions for it, is that of Python's zlib.
@Suite(.needs(.python)) struct ChecksumTests {
  /// Strings of zeros and others, one behind the other: what lies behind the first is as long as a file may be.
  @Test func isZlibs() throws {
    struct Pair: Codable {
      let first: [UInt8]
      let second: [UInt8]
      var zeros: Int
    }
    var random = Splitmix(seed: 32)
    let pairs = (0..<300).map { number in
      let counts = (Int.random(in: 0...300, using: &random), number < 250 ? Int.random(in: 0...5000, using: &random) : 0)
      func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
      return Pair(first: bytes(counts.0), second: bytes(counts.1), zeros: number < 250 ? 0 : Int.random(in: 0...3_000_000, using: &random))
    }
    let expected = try ask(
      """
      import zlib
      answer = [[zlib.crc32(bytes(p["first"])), zlib.crc32(bytes(p["second"]) + bytes(p["zeros"])), zlib.crc32(bytes(p["first"]) + bytes(p["second"]) + bytes(p["zeros"]))] for p in given]
      """, pairs, as: [[UInt32]].self)
    for (pair, crcs) in zip(pairs, expected) {
      let rest = pair.second + [UInt8](repeating: 0, count: pair.zeros)
      for crc in [drover_crc32, drover_crc32_plain] { #expect([crc(0, pair.first, pair.first.count), crc(0, rest, rest.count)] == crcs[..<2]) }
      for combine in [drover_crc32_combine, drover_crc32_combine_plain] { #expect(combine(crcs[0], crcs[1], UInt64(rest.count)) == crcs[2], "\(pair.first.count) and \(rest.count) bytes") }
    }
  }

  /// Over more bytes than anybody has: the two ways agree.
  @Test func agreesOverAnyLength() {
    var random = Splitmix(seed: 33)
    for bits in 0..<64 {
      let (a, b, count) = (UInt32.random(in: 0...UInt32.max, using: &random), UInt32.random(in: 0...UInt32.max, using: &random), UInt64.random(in: 0...UInt64.max, using: &random) >> UInt64(bits))
      #expect(drover_crc32_combine(a, b, count) == drover_crc32_combine_plain(a, b, count), "\(count)")
    }
  }
}
