import Foundation

/// Connections that end, stall or carry what isn't HTTP.
let connectionFaults: [Fault] = [
  Fault("reset before the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.reset] : nil },
  Fault("closed before the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.close] : nil },
  Fault("reset in the head", .success) { request, _ in isBody(request) && request.turn < 4 ? [.send(Array("HTTP/1.1 206 Par".utf8)), .reset] : nil },
  Fault("reset in the body", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(0.02), .reset] } : nil
  },
  Fault("reset at the last byte", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 - 1 }.map { [.send($0), .wait(0.02), .reset] } : nil
  },
  Fault("body shorter than promised", .success) { request, content in
    isBody(request) && request.turn < 5 ? part(request, content) { $0 * 2 / 3 }.map { [.send($0), .close] } : nil
  },
  Fault("body longer than promised", .success) { request, content in
    isBody(request) ? part(request, content) { $0 }.map { [.send($0 + [UInt8](repeating: 7, count: 5000)), .close] } : nil
  },
  Fault("no ranges, and broken off again and again", .success) { request, content in
    guard request.path == "f/a.pth", let content else { return nil }
    let head = Array("HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: \(content.count)\r\n\r\n".utf8)
    return request.turn < 3 ? [.send(head + content.prefix((request.turn + 1) * 700_000)), .wait(0.05), .reset] : [.send(head + content)]
  },
  Fault("garbage in place of HTTP", .failure("unavailable")) { request, _ in request.path == "f/a.pth" ? [.send(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)), .close] : nil },
  Fault("stall", .success, stallSeconds: 2) { request, content in
    isBody(request) && request.turn < 3 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(3)] } : nil
  },
  Fault("stall before the head", .success, stallSeconds: 2) { request, _ in isBody(request) && request.turn < 2 ? [.wait(3)] : nil },
  Fault("stall for ever", .failure("unavailable"), retries: 2, stallSeconds: 2) { request, _ in request.path == "f/b.pth" ? [.wait(3)] : nil },
  Fault("few bytes at a time", .success) { request, content in
    guard request.path == "f/params.json", let content, let range = request.range?.clamped(to: 0..<content.count) else { return nil }
    return [.send(FaultServer.partHead(range.lowerBound, range.count, of: content.count))] + content[range].flatMap { [.send([$0]), .wait(0.1)] }
  },
  Fault("a trickle on one connection", .success, stallSeconds: 2) { request, content in
    guard isBody(request), request.turn == 2 else { return nil }
    return part(request, content) { $0 }.map { answer in
      let start = answer.count - (request.range?.clamped(to: 0..<(content?.count ?? 0)).count ?? 0)
      return [.send(Array(answer[..<start]))] + answer[start...].flatMap { [.send([$0]), .wait(0.2)] }
    }
  },
  Fault("a head of many megabytes", .failure("unavailable")) { request, _ in
    request.path == "f/b.pth" ? [.send(Array("HTTP/1.1 200 OK\r\n".utf8) + Array("X-A: \(String(repeating: "a", count: 200_000))\r\n".utf8)), .close] : nil
  },
  // As proxies behave that keep an answer until they have looked through all of it.
  Fault("every answer later than a connection is waited for", .success, stallSeconds: 1) { request, content in
    isBody(request) ? [.wait(1.5)] + FaultServer.good(request, content) : nil
  },
  Fault("HTTP/0.9", .success) { request, _ in isBody(request) && request.turn < 4 ? [.send(Array("here you are".utf8)), .close] : nil },
  Fault("bytes left over on a connection that is kept", .success) { request, content in
    FaultServer.good(request, content) + [.send([UInt8](repeating: 7, count: 300))]
  },
  Fault("a line left over on a connection that is kept", .success) { request, content in
    FaultServer.good(request, content) + [.wait(0.01), .send(Array("\r\nnot HTTP\r\n\r\n".utf8))]
  },
]
