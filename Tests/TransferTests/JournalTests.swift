import Foundation
import Integrity
import Platform
import TestSupport
import Testing

import Transfer

@Suite struct JournalTests {
  /// - Parameter megabytes: that are hashed.
  private func hash(_ algorithm: HashAlgorithm, _ byte: UInt8, megabytes: Int) -> FileHash {
    var hash = FileHash(algorithm)
    let bytes = [UInt8](repeating: byte, count: 1 << 20)
    for _ in 0..<megabytes { bytes.withUnsafeBytes { hash.take($0) } }
    return hash
  }

  private func sample(_ algorithm: HashAlgorithm = .md5) -> Journal {
    Journal(
      remote: "llama-2-7b/consolidated.00.pth", length: 200 << 20, validators: Validators(tag: .init("W/\"x\""), modified: 1_700_000_000), expected: nil,
      safe: RangeSet([0..<(70 << 20), (100 << 20)..<(110 << 20)]), hash: hash(algorithm, 5, megabytes: 65), followerState: [1, 2, 3],
      identity: .init(inode: 1, size: 200 << 20, modified: 5), isClosed: false)
  }

  @Test(arguments: HashAlgorithm.allCases) func comesBackAsItWas(algorithm: HashAlgorithm) throws {
    let journal = sample(algorithm)
    #expect(Journal(decoding: try journal.encoded()) == journal)
  }

  /// A changed journal isn't believed, whatever changed.
  @Test func damageIsNoticed() throws {
    let bytes = try sample().encoded()
    var random = Splitmix(seed: 11)
    for _ in 0..<3000 {
      let changed = mutated(bytes, &random)
      if changed != bytes { #expect(Journal(decoding: changed) == nil) }
    }
  }

  /// A body whose checksum is right can still be nonsense: written by hand, or by another program.
  @Test func nonsenseWithARightChecksumIsRefused() throws {
    let bytes = try sample().encoded()
    let body = bytes[(try #require(bytes.firstIndex(of: 0x0A)) + 1)...]
    var random = Splitmix(seed: 12)
    var accepted = 0
    for _ in 0..<3000 {
      let changed = mutated(Array(body), &random)
      let sum = SHA256.hash(changed).hex
      guard let journal = Journal(decoding: Array("drover journal 3 sha256=\(sum)\n".utf8) + changed) else { continue }
      accepted += 1
      #expect(journal.hash.position <= journal.safe.prefixEnd)
      #expect(journal.safe.ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= journal.length })
    }
    #expect(accepted > 0)
  }

  /// Some servers put the address, signature and all, into what they say of a file.
  @Test func nothingThatAServerSaysIsWrittenDown() throws {
    let secret = "sEcReTsIgNaTuRe"
    var journal = sample()
    for echo in ["\"https://x/a?sig=\(secret)\"", secret, "W/\"\(secret)\""] {
      var head = ResponseHead()
      for line in ["HTTP/1.1 200 OK", "ETag: \(echo)", "Last-Modified: \(echo)"] { head.take(line + "\r\n") }
      journal.validators = head.validators
      #expect(head.validators.tag != nil && head.validators.modified == nil)
      let bytes = try journal.encoded()
      #expect(Data(bytes).range(of: Data(secret.utf8)) == nil)
      #expect(Journal(decoding: bytes) == journal)
    }
    // The same content, whoever marks its tag as weak; and another one.
    func validators(_ tag: String) -> Validators { Validators(tag: .init(tag)) }
    #expect(!validators("\"a\"").contradict(validators("W/\"a\"")) && validators("\"a\"").contradict(validators("\"b\"")))
  }

  @Test func headsOfAnswersNeverCrash() {
    let head = ["HTTP/1.1 206 Partial", "Content-Range: bytes 0-99/1000", "Content-Length: 100", "ETag: W/\"x\"", "Retry-After: Mon, 23 Nov 2026 10:00:01 GMT", "Date: Mon, 23 Nov 2026 10:00:00 GMT"]
    var parsed = ResponseHead()
    for line in head { parsed.take(line + "\r\n") }
    #expect(parsed.contentRange == 0...99 && parsed.totalLength == 1000 && parsed.retryAfter == 1 && parsed.status == 206)
    var random = Splitmix(seed: 13)
    for _ in 0..<3000 {
      var parsed = ResponseHead()
      for line in head { parsed.take(String(decoding: mutated(Array(line.utf8), &random), as: UTF8.self)) }
      if let range = parsed.contentRange { #expect(range.lowerBound >= 0 && range.upperBound < parsed.totalLength ?? .max) }
      _ = Judgement(parsed, asked: 0..<100, length: 1000, validators: Validators(), allowsHTML: false)
    }
  }

  @Test(arguments: HashAlgorithm.allCases) func aHashGoesOnFromAnyValueThatItPassed(algorithm: HashAlgorithm) throws {
    let whole = hash(algorithm, 9, megabytes: 50)
    #expect(whole.passed.count == 3)
    let bytes = [UInt8](repeating: 9, count: 1 << 20)
    for pieces in 0...3 {
      var later = try #require(FileHash(whole.passed, pieces: pieces))
      #expect(later.position == pieces * ChainStates.interval)
      for _ in pieces * 16..<50 { bytes.withUnsafeBytes { later.take($0) } }
      #expect(later == whole && later.digest == whole.digest)
    }
    // A file that ends with a piece has its digest in place of the value.
    #expect(hash(algorithm, 9, megabytes: 48).digest.states.count == 2)
  }
}
