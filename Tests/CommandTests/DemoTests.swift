import Foundation
import TestSupport
import Testing

@Suite struct DemoTests {
  @Test("The demonstration ends well, says what PyTorch says, and leaves what it promised")
  func demo() throws {
    try withTemporaryFolder { folder in
      let outcome = try drover("demo", "--keep", folder + "/kept")
      try #require(outcome.status == 0, "\(outcome.errors)")
      // What PyTorch goes on with in float32, greedily: Sources/CDemoModel/model/README.md.
      let text = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      #expect(text.contains("Once upon a time there was a little girl who was to be a little girl, and she was very fond of playing."))
      #expect(text.contains("The wolf said to the king's son, \"I am able to be able to fly to the princess.\""))
      #expect(text.contains("over 2 links"))
      for secret in ["Signature=", "Policy="] { #expect(!(outcome.output + outcome.errors).contains(secret)) }
      for made in ["drover-demo", "drover-demo-mp1-safetensors", "drover-demo-mp4-pth", "drover-demo-mp2-safetensors"] {
        let check = try run("/usr/bin/md5sum", ["--check", "--strict", "--quiet", "checklist.chk"], in: folder + "/kept/" + made)
        #expect(check.status == 0, "\(made): \(check.errors)\(check.output)")
      }
      let files = try FileManager.default.contentsOfDirectory(atPath: folder + "/kept/drover-demo")
      #expect(!files.contains { $0.hasSuffix(".part") }, "\(files)")
    }
  }

  @Test func refusesAFolderThatIsThere() throws {
    try withTemporaryFolder { folder in
      let outcome = try drover("demo", "--keep", folder)
      #expect(outcome.status == 73)
      #expect(outcome.errors.contains(folder))
    }
  }
}
