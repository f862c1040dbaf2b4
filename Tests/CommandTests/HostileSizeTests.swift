import Foundation
import TestSupport
import Testing

/// Parsers take time in proportion to their input, and no more than eight times its memory.
@Suite struct HostileSizeTests {
  private struct Row: Decodable {
    let kind: String
    /// Of 1, 4 and 16 MB.
    let seconds: [Double]
    let megabytes: [Int]
    let status: [Int]
    let says: String
  }

  @Test("Time of every parser is linear in its input, and memory at most 8 times as much and 64 MB")
  func timeAndMemory() throws {
    let rows = try withTemporaryFolder { folder in
      let outcome = try run("/usr/bin/python3", ["-c", HostileSizes.script, droverPath, Peer.packageRoot + "/Sources/CDemoModel/model", folder])
      try #require(outcome.status == 0, "\(outcome.errors)")
      return try JSONDecoder().decode([Row].self, from: Data(outcome.output.utf8))
    }
    #expect(rows.count > 120)
    for row in rows {
      for (size, megabytes) in zip([1, 4, 16], row.megabytes) {
        #expect(megabytes <= 8 * size + 64, "\(row.kind): \(megabytes) MB for \(size) MB")
      }
      // Four times the input takes four times as long; what is quadratic takes sixteen times. Starting the program takes some hundredths of a second.
      #expect(row.seconds[2] <= 9 * max(row.seconds[1], 0.2), "\(row.kind): \(row.seconds) s for 1, 4 and 16 MB")
      #expect(row.status.allSatisfy { [0, 64, 65, 66].contains($0) }, "\(row.kind): exits \(row.status), \(row.says)")
    }
  }
}
