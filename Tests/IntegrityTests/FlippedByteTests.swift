import Foundation
import Integrity
import SystemPackage
import TestSupport
import Testing

/// Whatever drover writes: flip a byte of any file of any format, and `verify` names that file, no other, and the place.
@Suite struct FlippedByteTests {
  @Test(arguments: [["--mp", "1", "--format", "pth"], ["--mp", "2", "--format", "safetensors"], ["--mp", "1", "--format", "hf"]])
  func isFound(options: [String]) throws {
    try withTemporaryFolder { folder in
      let out = folder + "/out"
      let outcome = try run(droverPath, ["reshard", Peer.packageRoot + "/Sources/CDemoModel/model", out, "--quiet"] + options)
      try #require(outcome.status == 0, "\(outcome.errors)")
      let receipt = try Receipt(contentsOf: FilePath(out + "/" + Receipt.fileName))
      #expect(receipt.files.contains { $0.content?.weights.isEmpty == false })
      var random = SplitMix64(state: 3)
      for file in receipt.files {
        let path = out + "/" + file.path.string
        let edges = (file.content?.weights ?? []).flatMap { [$0.bytes.lowerBound - 1, $0.bytes.lowerBound, $0.bytes.upperBound - 1] }
        for offset in [0, file.bytes - 1] + edges.shuffled(using: &random).prefix(12) + (0..<6).map({ _ in Int.random(in: 0..<file.bytes, using: &random) }) {
          var bytes = try Data(contentsOf: URL(filePath: path))
          bytes[offset] ^= 4
          try bytes.write(to: URL(filePath: path))
          let findings = Verification(of: [FilePath(out)]).run().findings
          #expect(findings.filter { $0.status != .ok }.map(\.path) == [FilePath(path)], "\(path) \(offset)")
          if file.content != nil {
            let damaged = findings.first { $0.path == FilePath(path) }?.damaged ?? []
            #expect(damaged.contains { $0.offset <= offset && offset < $0.offset + $0.bytes }, "\(path) \(offset): \(damaged)")
          }
          bytes[offset] ^= 4
          try bytes.write(to: URL(filePath: path))
        }
      }
      #expect(Verification(of: [FilePath(out)]).run().findings.allSatisfy { $0.status == .ok })
    }
  }
}
