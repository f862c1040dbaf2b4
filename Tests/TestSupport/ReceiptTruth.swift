import Foundation
import Integrity
import SystemPackage
import Testing

/// Sizes and digests in `receipt` are what `stat`, `md5sum` and `sha256sum` say of all files in `folder`, and it tells nothing that it shouldn't.
public func expectTruth(_ receipt: Receipt, in folder: String) throws {
  let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { !["checklist.chk", "drover-receipt.json"].contains($0) }.sorted()
  #expect(receipt.files.map(\.path.string).filter { $0 != "checklist.chk" }.sorted() == names)
  func sums(_ tool: String) throws -> [String] {
    try run("/usr/bin/env", [tool] + receipt.files.map(\.path.string), in: folder).output.split(separator: "\n").map { String($0.prefix { $0 != " " }) }
  }
  for (file, (md5, sha256)) in zip(receipt.files, zip(try sums("md5sum"), try sums("sha256sum"))) {
    #expect(file.md5?.digest.hex ?? md5 == md5 && file.sha256?.digest.hex ?? sha256 == sha256, "\(file.path)")
  }
  for file in receipt.files {
    let size = try FileManager.default.attributesOfItem(atPath: folder + "/" + file.path.string)[.size] as? Int
    #expect(size == file.bytes, "\(file.path)")
  }
  let text = try String(contentsOfFile: folder + "/drover-receipt.json", encoding: .utf8)
  #expect(!text.contains("://") && !text.contains("\"/") && !text.contains(FileManager.default.temporaryDirectory.path(percentEncoded: false)))
  #expect(abs(receipt.created.timeIntervalSinceNow) < 600 && receipt.tool.hasPrefix("drover "))
}

/// `drover verify` holds `folder` against its receipt, all of it; and sees one flipped bit.
public func expectVerified(_ folder: String) throws {
  let verified = try drover("verify", folder)
  #expect(verified.status == 0 && !verified.output.contains("unlisted"), "\(verified.output)")
  let receipt = folder + "/drover-receipt.json"
  #expect(try drover("verify", receipt).status == 0)
  let victim = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".pth") || $0.hasSuffix(".safetensors") })
  let url = URL(filePath: folder + "/" + victim)
  let whole = try Data(contentsOf: url)
  var bytes = whole
  bytes[bytes.count / 2] ^= 1
  try bytes.write(to: url)
  let outcome = try drover("verify", receipt, "--json", "--progress", "none")
  #expect(outcome.status == 65 && outcome.output.contains("\"mismatch\""))
  try whole.write(to: url)
}
