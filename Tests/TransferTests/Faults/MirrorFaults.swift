import TestSupport
import Testing

/// What the first of two mirrors does, and what must come of it. The second is a good one.
struct MirrorFault: Sendable, CustomTestStringConvertible {
  let name: String
  /// Whether nothing answers at all.
  let isDead: Bool
  /// Whether the file can be had though no digest tells what is right.
  let isNoticedAlone: Bool
  /// What is said of it.
  let words: String
  /// Whether the second mirror has to send less than the whole.
  let isGoneOnFrom: Bool
  let play: @Sendable (FaultServer.Request, [UInt8]) -> [FaultServer.Step]

  var testDescription: String { name }

  init(
    _ name: String, isDead: Bool = false, isNoticedAlone: Bool = true, isGoneOnFrom: Bool = false, words: String, _ play: @escaping @Sendable (FaultServer.Request, [UInt8]) -> [FaultServer.Step] = { _, _ in [] }
  ) {
    (self.name, self.isDead, self.isNoticedAlone, self.isGoneOnFrom, self.words, self.play) = (name, isDead, isNoticedAlone, isGoneOnFrom, words, play)
  }
}

let mirrorFaults: [MirrorFault] = [
  MirrorFault("dead", isDead: true, words: "couldn't connect to the server"),
  MirrorFault("gives HTML", words: "a page of HTML came in its place") { _, _ in FaultServer.html() },
  MirrorFault("gives HTML that says it is binary", words: "a page of HTML came in its place") { _, _ in FaultServer.status(200, "Content-Type: application/octet-stream\r\n", body: "<!doctype html><html>") },
  MirrorFault("gives a line of text", words: "plain text came in its place") { _, _ in FaultServer.status(200, body: "no such model") },
  MirrorFault("has no such file", words: "HTTP status 404") { _, _ in FaultServer.status(404) },
  MirrorFault("refuses the link", words: "HTTP status 403") { _, _ in FaultServer.status(403) },
  MirrorFault("fails", words: "HTTP status 500") { _, _ in FaultServer.status(500) },
  MirrorFault("redirects in a circle", words: "circle") { _, _ in FaultServer.status(302, "Location: /again\r\n") },
  MirrorFault("has another length", isNoticedAlone: false, words: "thrown away") { request, content in FaultServer.good(request, Array(content.prefix(2_000_000))) },
  MirrorFault("has a longer file", isNoticedAlone: false, words: "thrown away") { request, content in FaultServer.good(request, content + [1, 2, 3]) },
  MirrorFault("has another content", isNoticedAlone: false, words: "thrown away") { request, content in FaultServer.good(request, Array(content.dropLast()) + [content.last.map { $0 ^ 1 } ?? 0]) },
  MirrorFault("breaks off in mid-file, again and again", isGoneOnFrom: true, words: "is asked next") { request, content in
    guard request.range?.lowerBound ?? 0 < 1_500_000 else { return [.close] }
    guard case .send(let bytes)? = FaultServer.good(request, content).first else { return [.close] }
    return [.send(Array(bytes.prefix(1_600_000))), .wait(0.3), .close]
  },
]
