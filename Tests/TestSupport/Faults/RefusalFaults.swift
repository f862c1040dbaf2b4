import Foundation

/// Servers that refuse, or are busy.
let refusalFaults: [Fault] = [
  Fault("403 at once", .failure("refused")) { _, _ in FaultServer.status(403, body: "<Error>AccessDenied</Error>") },
  Fault("401 at once", .failure("refused")) { _, _ in FaultServer.status(401) },
  Fault("403 after some files", .failure("refused")) { request, _ in request.count >= 3 ? FaultServer.status(403) : nil },
  Fault("403 after some bytes", .failure("denied"), words: ["f/a.pth", "the link opens others"]) { request, content in
    guard request.path == "f/a.pth" else { return nil }
    if request.turn == 0 { return nil }
    return request.turn == 1 ? part(request, content) { $0 / 2 }.map { [.send($0), .wait(0.1), .reset] } : FaultServer.status(403)
  },
  Fault("404 for one file", .failure("missing")) { request, _ in request.path == "f/b.pth" ? FaultServer.status(404) : nil },
  Fault("429 with seconds to wait", .success) { request, _ in isBody(request) && request.turn < 2 ? FaultServer.status(429, "Retry-After: 1\r\n") : nil },
  Fault("429 without", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(429) : nil },
  Fault("503 with a date to wait for", .success) { request, _ in
    isBody(request) && request.turn < 2
      ? FaultServer.status(503, "Date: Mon, 23 Nov 2026 10:00:00 GMT\r\nRetry-After: Mon, 23 Nov 2026 10:00:01 GMT\r\n") : nil
  },
  Fault("503 without", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(503) : nil },
  Fault("503 that asks for an hour", .failure("unavailable")) { request, _ in isBody(request) ? FaultServer.status(503, "Retry-After: 3600\r\n") : nil },
  Fault("500 for ever", .failure("unavailable")) { request, _ in request.path == "f/a.pth" ? FaultServer.status(500) : nil },
  Fault("500 for a while", .success) { request, _ in request.path == "f/a.pth" && request.turn < 5 ? FaultServer.status(500) : nil },
  Fault("busy, and asking for no patience", .success) { request, _ in isBody(request) && request.turn < 4 ? FaultServer.status(503, "Retry-After: 0\r\n") : nil },
  Fault("403 for params.json", .failure("denied"), words: ["f/params.json", "403"]) { request, _ in
    request.path == "f/params.json" ? FaultServer.status(403, body: "<Error><Code>AccessDenied</Code></Error>") : nil
  },
  Fault("403 for one shard", .failure("denied"), words: ["f/b.pth", "is for other files"]) { request, _ in request.path == "f/b.pth" ? FaultServer.status(403) : nil },
  Fault("403 once", .success) { request, _ in isBody(request) && request.turn == 2 ? FaultServer.status(403) : nil },
  Fault("403 to the first request", .success) { request, _ in request.count == 0 ? FaultServer.status(403) : nil },
  Fault("403 for whatever was opened before", .failure("refused"), words: ["opens nothing now"]) { request, _ in request.turn > 0 || request.count > 3 ? FaultServer.status(403) : nil },
  Fault("403 in a blocked country", .failure("refused"), words: ["country"]) { _, _ in
    FaultServer.status(403, "Content-Type: text/html\r\n", body: "<HTML><BODY>The Amazon CloudFront distribution is configured to block access from your country.</BODY></HTML>")
  },
  Fault("403 of a filter", .failure("refused"), words: ["filters", "127.0.0.1"]) { _, _ in FaultServer.html(403) },
  Fault("403 when the time is over", .failure("refused"), words: ["time is over"]) { _, _ in
    FaultServer.status(403, body: "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
  },
  Fault("403 with another time", .failure("refused"), words: ["clock", "ahead of"]) { _, _ in FaultServer.status(403, "Date: Mon, 23 Nov 2020 10:00:00 GMT\r\n") },
]
