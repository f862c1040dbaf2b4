import Foundation
import Glibc
import Synchronization

/// An HTTP proxy on loopback: passes requests on, tunnels, or refuses.
public final class TestProxy: Sendable {
  public enum Manner: Sendable {
    case passes
    /// Wants `user` and `password`, as Basic has them; 407 without.
    case asks(user: String, password: String)
    /// Answers everything with this status.
    case refuses(status: Int)
  }

  public var port: UInt16 { listener.port }
  private let listener: Listener
  private let manner: Manner
  private let heads = Mutex([String]())

  public init(_ manner: Manner) throws {
    self.manner = manner
    listener = try Listener()
    listener.start { [weak self] connection in
      self?.serve(connection)
      close(connection)
    }
  }

  public func stop() { listener.stop() }

  /// The first line of each request that began a connection.
  public var requests: [String] { heads.withLock { $0 } }

  private func serve(_ client: Int32) {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.firstRange(of: Array("\r\n\r\n".utf8)) == nil {
      let count = recv(client, &chunk, chunk.count, 0)
      guard count > 0 else { return }
      bytes += chunk[..<count]
    }
    let head = String(decoding: bytes, as: UTF8.self)
    let words = (head.split(separator: "\r\n").first ?? "").split(separator: " ")
    guard words.count == 3 else { return }
    heads.withLock { $0.append("\(words[0]) \(words[1])") }
    switch manner {
    case .refuses(let status): return refuse(client, status)
    case .asks(let user, let password):
      guard head.contains("Proxy-Authorization: Basic \(Data("\(user):\(password)".utf8).base64EncodedString())\r\n") else { return refuse(client, 407) }
    case .passes: break
    }
    let isTunnel = words[0] == "CONNECT"
    let authority = isTunnel ? words[1] : words[1].dropFirst("http://".count).prefix { $0 != "/" }
    guard let port = authority.split(separator: ":").last.flatMap({ UInt16($0) }), let server = connectToLoopback(port) else { return refuse(client, 502) }
    defer { close(server) }
    if isTunnel { Self.send(client, Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8)) } else { Self.send(server, bytes) }
    // Servers take a proxy's form of later requests too: RFC 9112, section 3.2.2.
    var ends = [pollfd(fd: client, events: Int16(POLLIN), revents: 0), pollfd(fd: server, events: Int16(POLLIN), revents: 0)]
    while poll(&ends, 2, 60_000) > 0 {
      for (from, to) in [(0, 1), (1, 0)] where ends[from].revents != 0 {
        let count = recv(ends[from].fd, &chunk, chunk.count, 0)
        guard count > 0, Self.send(ends[to].fd, Array(chunk[..<count])) else { return }
      }
    }
  }

  private func refuse(_ client: Int32, _ status: Int) {
    Self.send(client, Array("HTTP/1.1 \(status) No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8))
  }

  @discardableResult private static func send(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }
}
