import Foundation
import Glibc
import Synchronization

/// A socket that listens on loopback, and gives each connection to a thread of its own.
final class Listener: Sendable {
  let port: UInt16
  private let descriptor: Int32
  private let isClosed = Mutex(false)

  struct NotListening: Error, CustomStringConvertible {
    let description: String
  }

  init() throws {
    descriptor = loopbackSocket()
    guard let port = bindToLoopback(descriptor, 0), listen(descriptor, 64) == 0 else { throw NotListening(description: "can't listen: errno \(errno)") }
    self.port = port
  }

  /// - Parameter serve: closes the connection that it is given.
  func start(_ serve: @escaping @Sendable (_ connection: Int32) -> Void) {
    Thread.detachNewThread { [self] in
      while true {
        let connection = accept(descriptor, nil, nil)
        if connection >= 0 {
          Thread.detachNewThread { serve(connection) }
          continue
        }
        if errno == EINTR || errno == ECONNABORTED { continue }
        // Closed by the thread that accepts: a number that was closed by another one may be another server's by now.
        return isClosed.withLock { isClosed in
          close(descriptor)
          isClosed = true
        }
      }
    }
  }

  func stop() {
    isClosed.withLock { if !$0 { shutdown(descriptor, Int32(SHUT_RDWR)) } }
  }
}

/// A port on loopback that nobody listens on, of those that the kernel gives to nobody unasked (ip(7), `ip_local_port_range`): neither a connection nor another test's
/// server takes it meanwhile.
public func freePort() throws -> UInt16 {
  for _ in 0..<100 {
    let descriptor = loopbackSocket()
    defer { close(descriptor) }
    if let port = bindToLoopback(descriptor, .random(in: 10_000..<32_768)) { return port }
  }
  throw Listener.NotListening(description: "no free port: errno \(errno)")
}

func canConnect(to port: UInt16) -> Bool { connectToLoopback(port).map { close($0) } != nil }

/// A connection to a port on loopback; nil when nobody listens.
func connectToLoopback(_ port: UInt16) -> Int32? {
  let descriptor = loopbackSocket()
  var address = loopback(port)
  let isConnected = withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
  }
  if isConnected { return descriptor }
  close(descriptor)
  return nil
}

/// Sends something to a port on loopback, and takes what comes until the other side closes; empty when nobody listens.
func reply(of port: UInt16, to question: String) -> String {
  guard let connection = connectToLoopback(port) else { return "" }
  defer { close(connection) }
  guard send(connection, question, question.utf8.count, Int32(MSG_NOSIGNAL)) == question.utf8.count else { return "" }
  var (answer, chunk) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
  while case let count = recv(connection, &chunk, chunk.count, 0), count > 0 { answer += chunk[..<count] }
  return String(decoding: answer, as: UTF8.self)
}

private func loopbackSocket() -> Int32 { socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) }

private func loopback(_ port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = inet_addr("127.0.0.1")
  return address
}

/// - Parameter port: 0 takes one that the kernel chooses.
/// - Returns: the port; nil where it is taken.
private func bindToLoopback(_ descriptor: Int32, _ port: UInt16) -> UInt16? {
  var address = loopback(port)
  var size = socklen_t(MemoryLayout<sockaddr_in>.size)
  let isBound = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0 }
  }
  return isBound ? UInt16(bigEndian: address.sin_port) : nil
}
