import Foundation
import Glibc
import Synchronization

/// A server that does what a test tells it to, down to the packet.
public final class FaultServer: Sendable {
  public struct Request: Sendable {
    /// Without the leading slash and the query.
    public var path: String
    /// What follows the question mark.
    public var query: String
    /// What the `Range` field asks for; nil without one.
    public var range: Range<Int>?
    /// How many requests for the same path came before.
    public var turn: Int
    /// How many requests came before in all.
    public var count: Int
    /// How many others are being answered.
    public var underWay: Int

    public init(path: String, query: String = "", range: Range<Int>?, turn: Int, count: Int, underWay: Int = 0) {
      (self.path, self.query, self.range, self.turn, self.count, self.underWay) = (path, query, range, turn, count, underWay)
    }
  }

  public enum Step: Sendable {
    case send([UInt8])
    case wait(Double)
    /// Waits while it is so, a minute at most.
    case hold(@Sendable () -> Bool)
    /// Closes as TCP does it in an orderly way.
    case close
    /// Closes with a reset: what was sent may be lost too.
    case reset
  }

  public var port: UInt16 { listener.port }
  private let listener: Listener
  private let turns = Mutex((paths: [String: Int](), count: 0, bytes: 0, sending: 0, open: 0, mostOpen: 0))
  private let respond: @Sendable (Request) -> [Step]

  public init(_ respond: @escaping @Sendable (Request) -> [Step]) throws {
    self.respond = respond
    listener = try Listener()
    listener.start { [weak self] connection in
      self?.serve(connection)
      close(connection)
    }
  }

  public func stop() { listener.stop() }

  /// Requests so far.
  public var requests: Int { turns.withLock { $0.count } }
  /// Bytes of bodies and heads sent so far; they are counted a moment after the other side has them, which is waited for.
  public var bytesSent: Int {
    _ = waitUntil { turns.withLock { $0.sending == 0 } }
    return turns.withLock { $0.bytes }
  }
  /// Most requests that were being answered at one time.
  public var mostAtOnce: Int { turns.withLock { $0.mostOpen } }

  private func serve(_ connection: Int32) {
    var buffer: [UInt8] = []
    while let head = Self.readHead(connection, &buffer) {
      let lines = head.split(separator: "\r\n")
      let target = lines.first?.split(separator: " ").dropFirst().first ?? "/"
      let path = String(target.dropFirst().prefix { $0 != "?" })
      let (turn, count, underWay) = turns.withLock { turns in
        defer {
          turns.paths[path, default: 0] += 1
          turns.count += 1
          turns.open += 1
          turns.mostOpen = max(turns.mostOpen, turns.open)
        }
        return (turns.paths[path] ?? 0, turns.count, turns.open)
      }
      let range = lines.first { $0.lowercased().hasPrefix("range: bytes=") }.flatMap { line -> Range<Int>? in
        let ends = line.dropFirst("range: bytes=".count).split(separator: "-").compactMap { Int($0) }
        return ends.count == 2 ? ends[0]..<ends[1] + 1 : nil
      }
      let steps = respond(Request(path: path, query: String(target.drop { $0 != "?" }.dropFirst()), range: range, turn: turn, count: count, underWay: underWay))
      // It is answered before its last step: who has taken the last byte may ask again at once.
      var isOpen = true
      func answered() {
        if isOpen { turns.withLock { $0.open -= 1 } }
        isOpen = false
      }
      defer { answered() }
      for (number, step) in steps.enumerated() {
        if number == steps.count - 1 { answered() }
        switch step {
        case .send(let bytes):
          turns.withLock { $0.sending += 1 }
          let isSent = Self.send(connection, bytes)
          turns.withLock { turns in
            turns.sending -= 1
            if isSent { turns.bytes += bytes.count }
          }
          guard isSent else { return }
        case .wait(let seconds): usleep(UInt32(seconds * 1e6))
        case .hold(let isSo): _ = waitUntil { !isSo() }
        case .close: return
        case .reset:
          var now = linger(l_onoff: 1, l_linger: 0)
          setsockopt(connection, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
          return
        }
      }
    }
  }

  private static func readHead(_ connection: Int32, _ buffer: inout [UInt8]) -> String? {
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
        buffer.removeSubrange(..<end.upperBound)
        return head
      }
      let count = recv(connection, &chunk, chunk.count, 0)
      guard count > 0 else { return nil }
      buffer += chunk[..<count]
    }
  }

  private static func send(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}

extension FaultServer {
  /// What a good server answers.
  public static func good(_ request: Request, _ content: [UInt8]?, etag: String? = "\"one\"", type: String = "application/octet-stream") -> [Step] {
    guard let content else { return status(404) }
    let tag = etag.map { "ETag: \($0)\r\n" } ?? ""
    guard let range = request.range else {
      return [.send(Array("HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\n\(tag)Content-Length: \(content.count)\r\n\r\n".utf8) + content)]
    }
    guard range.lowerBound < content.count else {
      return [.send(Array("HTTP/1.1 416 No\r\nContent-Range: bytes */\(content.count)\r\nContent-Length: 0\r\n\r\n".utf8))]
    }
    let part = content[range.clamped(to: 0..<content.count)]
    return [.send(partHead(part.startIndex, part.count, of: content.count, tag: tag, type: type) + part)]
  }

  public static func partHead(_ start: Int, _ count: Int, of total: Int, promised: Int? = nil, tag: String = "", type: String = "application/octet-stream") -> [UInt8] {
    Array("HTTP/1.1 206 Partial\r\nContent-Type: \(type)\r\n\(tag)Content-Range: bytes \(start)-\(start + count - 1)/\(total)\r\nContent-Length: \(promised ?? count)\r\n\r\n".utf8)
  }

  public static func status(_ code: Int, _ fields: String = "", body: String = "") -> [Step] {
    [.send(Array("HTTP/1.1 \(code) X\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8))]
  }

  public static func html(_ code: Int = 200) -> [Step] { status(code, "Content-Type: text/html; charset=utf-8\r\n", body: "<!DOCTYPE html><html><body>Please log in</body></html>") }
}
