import Foundation

/// The whole and its beginning are of this content, ranges that begin later of another: what is pieced together is neither.
private func twoContents(_ request: FaultServer.Request, _ content: [UInt8]?, etag: String?) -> [FaultServer.Step]? {
  guard request.path == "f/a.pth", let content else { return nil }
  return request.range.map { $0.lowerBound == 0 } ?? true ? FaultServer.good(request, content, etag: etag) : FaultServer.good(request, content.map { ~$0 }, etag: etag)
}

/// What servers say, and don't say, of whether a file is still the same.
let validatorFaults: [Fault] = [
  Fault("mirrors with tags of their own", .success, unvouched: .ends(.failure("unavailable"))) { request, content in
    let date = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
    return request.path == "f/a.pth" ? FaultServer.good(request, content, etag: "\"\(request.turn)\"\r\n\(date)") : nil
  },
  Fault("another ETag between ranges", .success) { request, content in
    request.path == "f/a.pth" ? FaultServer.good(request, content, etag: request.turn < 3 ? "\"old\"" : "\"new\"") : nil
  },
  Fault("another ETag each time", .failure("unavailable")) { request, content in
    request.path == "f/a.pth" ? FaultServer.good(request, content, etag: "\"\(request.turn)\"") : nil
  },
  Fault("another length between ranges", .success) { request, content in
    request.path == "f/a.pth" && request.turn == 0 ? FaultServer.good(request, content.map { Array($0.dropLast(1000)) }, etag: nil) : nil
  },
  // One strong tag for two contents: only a checksum tells.
  Fault("another content of the same length", .failure("mismatch"), unvouched: .notAsked) { request, content in
    isBody(request) ? FaultServer.good(request, content.map { $0.map { ~$0 } }) : nil
  },
  Fault("parts without a validator", .failure("mismatch"), unvouched: .ends(.success)) { request, content in twoContents(request, content, etag: nil) },
  Fault("parts with a weak validator", .failure("mismatch"), unvouched: .ends(.success)) { request, content in twoContents(request, content, etag: "W/\"one\"") },
  Fault("parts with a date only", .failure("mismatch"), unvouched: .ends(.success)) { request, content in
    twoContents(request, content, etag: nil)?.map { step in
      guard case .send(let bytes) = step, let end = bytes.firstRange(of: Array("\r\n".utf8)) else { return step }
      return .send(bytes[..<end.upperBound] + Array("Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n".utf8) + bytes[end.upperBound...])
    }
  },
  Fault("a validator in the first answer only", .failure("mismatch"), unvouched: .ends(.success)) { request, content in
    twoContents(request, content, etag: request.turn == 0 ? "\"one\"" : nil)
  },
  Fault("no validator, and broken off again and again", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    if request.range != nil { return FaultServer.good(request, content, etag: nil) }
    let head = Array("HTTP/1.1 200 OK\r\nContent-Length: \(content.count)\r\n\r\n".utf8)
    // Another content each time, but for the one that is whole.
    return request.turn < 4 ? [.send(head + content.prefix(request.turn * 500_000).map { $0 ^ UInt8(request.turn) }), .wait(0.05), .reset] : [.send(head + content)]
  },
  Fault("a mirror with a shorter length", .success) { request, content in
    isBody(request) && request.turn % 3 == 1 && request.turn < 8 ? FaultServer.good(request, content.map { Array($0.dropLast(1000)) }) : nil
  },
]
