import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// A file that a receipt knows is hashed in pieces; the digests are those of coreutils.
@Suite struct PieceTests {
  private static let piece = ChainStates.interval

  /// A folder with one file of `length` bytes, and what its receipt says of it.
  private struct Stage {
    let folder: String
    var file: Receipt.File
    var path: String { folder + "/weights" }

    init(_ folder: String, _ algorithm: HashAlgorithm, length: Int) throws {
      self.folder = folder
      // The same bytes in every run, none like another.
      try #require(try run("/bin/sh", ["-c", "openssl enc -aes-128-ctr -pass pass:1 -nosalt -in /dev/zero 2> /dev/null | head -c \(length) > weights"], in: folder).status == 0)
      let states = try #require(try FileHasher().hash([.init(path: FilePath(folder + "/weights"), algorithms: [algorithm])])[0].get().digests[algorithm]?.states)
      let digest = try #require(Digest(hex: try Self.sum(algorithm, folder)))
      let chain = ChainedDigest(digest, states: states)
      file = .init(path: "weights", bytes: length, md5: algorithm == .md5 ? chain : nil, sha256: algorithm == .sha256 ? chain : nil)
    }

    static func sum(_ algorithm: HashAlgorithm, _ folder: String) throws -> Substring {
      try run("/usr/bin/\(algorithm)sum", ["weights"], in: folder).output.prefix { $0 != " " }
    }

    func write(_ file: Receipt.File? = nil) throws {
      try Receipt(tool: "t", operation: "download", origin: .release("r"), files: [file ?? self.file]).write(into: FilePath(folder))
    }

    func flip(_ offsets: Int...) throws {
      let handle = try FileHandle(forUpdating: URL(filePath: path))
      for offset in offsets {
        try handle.seek(toOffset: UInt64(offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: [byte ^ 0x10])
      }
      try handle.close()
    }

    func find() throws -> (finding: Verification.Finding, wrong: Verification.WrongReceipts) {
      let result = Verification(of: [FilePath(folder)]).run()
      return (try #require(result.findings.first), result.wrongReceipts)
    }

    /// Which pieces are said to be damaged; nil where they aren't whole pieces.
    func damaged() throws -> [Int]? {
      let (finding, _) = try find()
      #expect((finding.status == .ok) == (finding.damaged == nil))
      return (finding.damaged ?? []).allSatisfy { $0.offset % piece == 0 && $0.tensor == nil && $0.bytes <= piece } ? (finding.damaged ?? []).map { $0.offset / piece } : nil
    }

    /// The receipt with other bytes in the states of some places.
    func withWrongStates(_ indices: Int...) -> Receipt.File {
      func spoil(_ chain: ChainedDigest?) -> ChainedDigest? {
        chain.map { chain in
          var bytes = chain.states.bytes
          for index in indices { bytes[index * chain.digest.algorithm.digestBytes + 3] ^= 1 }
          return ChainStates(chain.digest.algorithm, bytes: bytes).map { ChainedDigest(chain.digest, states: $0) } ?? chain
        }
      }
      return .init(path: file.path, bytes: file.bytes, md5: spoil(file.md5), sha256: spoil(file.sha256))
    }
  }

  /// Lengths around the edges of pieces, with a checklist and without.
  @Test(arguments: HashAlgorithm.allCases, [0, 1, piece - 1, piece, piece + 1, 2 * piece - 1, 2 * piece, 2 * piece + 1, 2 * piece + 64])
  func agreesWithCoreutils(algorithm: HashAlgorithm, length: Int) throws {
    try withTemporaryFolder { folder in
      let stage = try Stage(folder, algorithm, length: length)
      try stage.write()
      for isListed in [false, true] {
        if isListed { try "\(try Stage.sum(algorithm, folder))  weights\n".write(toFile: folder + "/list.chk", atomically: true, encoding: .utf8) }
        let (finding, wrong) = try stage.find()
        #expect(finding.status == .ok && finding.damaged == nil && wrong.isEmpty)
        #expect(try finding.expected?.hex == String(Stage.sum(algorithm, folder)))
        #expect((finding.actual == nil) == (length > Self.piece))
      }
      guard length > 0 else { return }
      // The last byte of each piece, and of the file.
      for offset in Set([min(length, Self.piece) - 1, length - 1]) {
        try stage.flip(offset)
        #expect(try stage.find().finding.status == .mismatch)
        if length > Self.piece { #expect(try stage.damaged() == [offset / Self.piece]) }
        try stage.flip(offset)
      }
    }
  }

  /// The file, the receipt, both: what is damaged is named, and nothing else.
  @Test(arguments: HashAlgorithm.allCases) func tellsWhatIsDamaged(algorithm: HashAlgorithm) throws {
    try withTemporaryFolder { folder in
      let piece = Self.piece
      let stage = try Stage(folder, algorithm, length: 5 * piece + 77)
      try stage.write()
      for pieces in [[0], [3], [5], [1, 2], [0, 2, 4], [2, 3, 4, 5], [0, 1, 2, 3, 4, 5]] {
        for index in pieces { try stage.flip(index * piece + 5) }
        #expect(try stage.damaged() == pieces)
        for index in pieces { try stage.flip(index * piece + 5) }
      }
      // The receipt alone: the file is right.
      for wrong in [stage.withWrongStates(0), stage.withWrongStates(4), stage.withWrongStates(1, 3), stage.withWrongStates(1, 2), stage.withWrongStates(0, 1, 2, 3, 4)] {
        try stage.write(wrong)
        let (finding, receipts) = try stage.find()
        #expect(finding.status == .ok && receipts == [FilePath(folder + "/drover-receipt.json"): [FilePath(stage.path)]])
        let outcome = try drover("verify", folder, "--json")
        #expect(outcome.status == 65 && outcome.output.contains("drover-receipt.json"))
      }
      // Both, apart from each other and side by side.
      for (states, pieces) in [([0], [4]), ([4], [0]), ([2], [1]), ([1], [3]), ([3], [1, 2])] as [([Int], [Int])] {
        try stage.write(states.count == 1 ? stage.withWrongStates(states[0]) : nil)
        for index in pieces { try stage.flip(index * piece) }
        #expect(try stage.damaged() == pieces, "states \(states), pieces \(pieces)")
        for index in pieces { try stage.flip(index * piece) }
      }
      // The digest: against a checklist that is right the receipt differs, and both are named.
      var other = stage.file
      let digest = MD5.hash([1])
      if algorithm == .md5 { other.md5?.digest = digest } else { other.sha256?.digest = SHA256.hash([1]) }
      try stage.write(other)
      #expect(try stage.damaged() == [5])
      try "\(try Stage.sum(algorithm, folder))  weights\n".write(toFile: folder + "/list.chk", atomically: true, encoding: .utf8)
      let (finding, _) = try stage.find()
      #expect(finding.status == .mismatch && Set(finding.disputes.compactMap(\.source.lastComponent?.string)) == ["list.chk", "drover-receipt.json"])
      let outcome = try drover("verify", folder)
      #expect(outcome.status == 65 && outcome.output.contains("says \(folder)/list.chk") && outcome.output.contains("says \(folder)/drover-receipt.json"), "\(outcome.output)")
    }
  }

  /// Of a file that is shorter or longer, the pieces that are there whole are looked at.
  @Test func tellsWhatIsMissing() throws {
    try withTemporaryFolder { folder in
      let piece = Self.piece
      let stage = try Stage(folder, .md5, length: 3 * piece + 77)
      try stage.write()
      for (length, offset) in [(4 * piece, 3 * piece), (2 * piece + 5, 2 * piece), (2 * piece, 2 * piece), (10, 0), (0, 0)] {
        truncate(stage.path, off_t(length))
        let (finding, _) = try stage.find()
        #expect(finding.status == .mismatch && finding.damaged?.map(\.offset) == [offset], "\(length): \(String(describing: finding.damaged))")
      }
    }
  }
}
