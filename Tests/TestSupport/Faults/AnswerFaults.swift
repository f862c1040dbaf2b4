import Foundation

/// Answers whose heads are odd: ranges, lengths, validators, encodings.
let answerFaults: [Fault] = [
  Fault("200 to every range", .success) { request, content in
    FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content)
  },
  Fault("200 to a range in mid-file", .success) { request, content in
    isBody(request) ? FaultServer.good(.init(path: request.path, range: nil, turn: request.turn, count: request.count), content) : nil
  },
  Fault("200 without a length", .success, unvouched: .ends(.failure("unavailable"))) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + content), .close]
  },
  Fault("200 without a length, cut short once", .success, unvouched: .ends(.failure("unavailable"))) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".utf8) + (request.turn == 0 ? content.prefix(1_234_567) : content[...])), .close]
  },
  Fault("chunked, without a length", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    let chunk = Array(String(content.count, radix: 16).utf8) + [13, 10] + content + Array("\r\n0\r\n\r\n".utf8)
    return [.send(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8) + chunk)]
  },
  Fault("206 with another range", .success) { request, content in
    guard isBody(request), let content, let range = request.range, range.lowerBound >= 100 else { return nil }
    let wrong = FaultServer.Request(path: request.path, range: range.lowerBound - 100..<range.upperBound - 100, turn: 0, count: 0)
    return FaultServer.good(wrong, content)
  },
  Fault("206 shorter than the range", .success) { request, content in
    guard isBody(request), let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    let short = FaultServer.Request(path: request.path, range: range.lowerBound..<min(range.upperBound, range.lowerBound + 400_000), turn: 0, count: 0)
    return FaultServer.good(short, content)
  },
  Fault("206 without Content-Range", .success) { request, content in
    isBody(request) && request.range != nil
      ? [.send(Array("HTTP/1.1 206 Partial\r\nContent-Length: 4\r\n\r\nabcd".utf8))] : nil
  },
  Fault("416 to a part that is there", .success) { request, content in
    guard isBody(request), request.range != nil, let content else { return nil }
    return FaultServer.status(416, "Content-Range: bytes */\(content.count)\r\n")
  },
  Fault("gzip unasked, whole", .success) { request, content in
    guard request.path == "f/a.pth", let content, let packed = gzip(content) else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n".utf8) + packed)]
  },
  Fault("gzip unasked, in parts", .success) { request, content in
    guard request.path == "f/a.pth", let content, let packed = gzip(content) else { return nil }
    let fields = "ETag: \"one\"\r\nContent-Encoding: gzip\r\n"
    guard let range = request.range?.clamped(to: 0..<packed.count), !range.isEmpty else {
      return [.send(Array("HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(packed.count)\r\n\r\n".utf8) + packed)]
    }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: packed.count, tag: fields) + packed[range])]
  },
  Fault("a length that no disk has", .failure("noRoom")) { request, content in
    guard request.path == "f/a.pth", let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: 1 << 60) + content[range])]
  },
  Fault("a length that no number has", .success) { request, _ in
    isBody(request) && request.turn < 3 ? [.send(Array("HTTP/1.1 206 P\r\nContent-Range: bytes 0-99999999999999999999/99999999999999999999999\r\nContent-Length: 3\r\n\r\nabc".utf8))] : nil
  },
  Fault("chunks beyond the Content-Length", .success, unvouched: .ends(.failure("unavailable")), words: ["not the same"]) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return chunked(content, "Content-Length: \(content.count - 1000)\r\n")
  },
  Fault("chunks that end before the Content-Length", .failure("mismatch"), unvouched: .ends(.failure("unavailable"))) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return chunked(content.dropLast(1000), "Content-Length: \(content.count)\r\n")
  },
  Fault("two lengths", .success, unvouched: .ends(.failure("unavailable"))) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    return [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(content.count - 1)\r\nContent-Length: \(content.count)\r\nConnection: close\r\n\r\n".utf8) + content), .close]
  },
  Fault("206 of several parts", .success) { request, content in
    guard isBody(request), let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    let body = Array("--x\r\nContent-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(content.count)\r\n\r\n".utf8) + content[range] + Array("\r\n--x--\r\n".utf8)
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count, promised: body.count, tag: "ETag: \"one\"\r\n", type: "multipart/byteranges; boundary=x") + body)]
  },
  Fault("206 with more bytes than its range", .success) { request, content in
    guard isBody(request), request.turn < 4, let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    let head = FaultServer.partHead(range.lowerBound, range.count, of: content.count, promised: range.count + 1000, tag: "ETag: \"one\"\r\n")
    return [.send(head + content[range] + [UInt8](repeating: 9, count: 1000))]
  },
  // What S3 keeps of an upload that was signed chunk by chunk.
  Fault("Content-Encoding: aws-chunked", .success) { request, content in FaultServer.good(request, content, etag: "\"one\"\r\nContent-Encoding: aws-chunked") },
  Fault("Content-Encoding: binary", .success) { request, content in FaultServer.good(request, content, etag: "\"one\"\r\nContent-Encoding: binary") },
  Fault("Content-Encoding: nobody's", .failure("unavailable"), retries: 2, words: ["encoding"]) { request, content in
    request.path == "f/a.pth" ? FaultServer.good(request, content, etag: "\"one\"\r\nContent-Encoding: x-nobodys") : nil
  },
  Fault("an empty answer", .failure("notTheFile"), words: ["with nothing"]) { request, _ in request.path == "f/a.pth" ? FaultServer.status(200) : nil },
  Fault("an empty file", .failure("notTheFile"), words: ["with nothing"]) { request, _ in
    request.path == "f/params.json" ? FaultServer.status(416, "Content-Range: bytes */0\r\n") : nil
  },
  Fault("a line of text in place of weights", .failure("notTheFile"), words: ["f/a.pth", "plain text"]) { request, _ in
    request.path == "f/a.pth" ? FaultServer.status(200, "Content-Type: text/plain\r\n", body: "Access denied") : nil
  },
  Fault("a line of text that says it is binary, in parts", .failure("notTheFile"), words: ["plain text"]) { request, _ in
    request.path == "f/b.pth" ? FaultServer.good(request, Array("Zugriff verweigert: f\u{FC}r Sie gibt es hier nichts\n".utf8)) : nil
  },
  Fault("JSON in place of weights", .failure("notTheFile")) { request, _ in
    request.path == "f/a.pth" ? FaultServer.status(200, "Content-Type: application/json\r\n", body: #"{"message": "Access denied"}"#) : nil
  },
  Fault("a line of text in place of JSON", .failure("notTheFile"), words: ["isn't JSON"]) { request, _ in
    request.path == "f/params.json" ? FaultServer.status(200, body: "Access denied") : nil
  },
  Fault("a line of text in place of weights, for a while", .success) { request, _ in isBody(request) && request.turn < 3 ? FaultServer.status(200, body: "try again") : nil },
]
