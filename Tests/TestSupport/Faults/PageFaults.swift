import Foundation

/// Pages and redirects in place of files.
let pageFaults: [Fault] = [
  Fault("redirect in a circle", .failure("unavailable")) { _, _ in FaultServer.status(302, "Location: /again\r\n") },
  Fault("redirect to a file of the machine", .failure("unavailable")) { _, _ in FaultServer.status(302, "Location: file:///etc/passwd\r\n") },
  Fault("redirect to a login page", .failure("html")) { request, _ in
    request.path == "login" ? FaultServer.html() : FaultServer.status(302, "Location: /login\r\n")
  },
  Fault("redirect to where the file is", .success) { request, _ in
    request.path.hasPrefix("f/") && request.path != "f/again" ? FaultServer.status(302, "Location: /cdn/\(request.path)\r\n") : nil
  },
  Fault("HTML with status 200", .failure("html")) { _, _ in FaultServer.html() },
  Fault("HTML that says it is binary", .failure("html")) { request, _ in
    request.path == "f/a.pth" ? FaultServer.status(200, "Content-Type: application/octet-stream\r\n", body: "\n  <!doctype HTML>\n<html>sign in</html>") : nil
  },
  Fault("HTML a byte at a time", .failure("html")) { request, _ in
    guard request.path == "f/params.json" else { return nil }
    let page = Array("<html><body>log in</body></html>".utf8)
    return [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(page.count)\r\n\r\n".utf8))] + page.flatMap { [.send([$0]), .wait(0.005)] }
  },
  Fault("HTML with status 403", .failure("refused")) { _, _ in FaultServer.html(403) },
  Fault("HTML for one file, for a while", .success) { request, _ in isBody(request) && request.turn < 3 ? FaultServer.html() : nil },
  // Port 1 is nobody's.
  Fault("redirect to a dead host", .failure("unavailable"), retries: 1, words: ["127.0.0.1:1:"]) { request, _ in
    request.path == "f/a.pth" ? FaultServer.status(302, "Location: http://127.0.0.1:1/f/a.pth?Signature=of-the-target\r\n") : nil
  },
  Fault("redirect of one file in a circle", .failure("unavailable"), words: ["circle"]) { request, _ in
    request.path == "f/b.pth" || request.path == "again" ? FaultServer.status(302, "Location: /again\r\n") : nil
  },
]
