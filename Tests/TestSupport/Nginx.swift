import Foundation
import Glibc

/// nginx as a real server on loopback, one process on a port of its own.
public final class Nginx {
  public let port: UInt16
  private let folder: String
  private let configuration: String
  private var process: Child?

  public struct Failed: Error, CustomStringConvertible {
    public let description: String
    public init(description: String) { self.description = description }
  }

  /// Starts to serve `root`.
  /// - Parameters:
  ///   - tls: paths of a certificate chain and its key, in PEM.
  ///   - directives: more lines for the server's block, such as `limit_rate 1m;`.
  ///   - addsIPv6: whether it listens on ::1 too.
  public init(root: String, tls: (certificate: String, key: String)? = nil, directives: String = "", addsIPv6: Bool = false) throws {
    port = try freePort()
    folder = FileManager.default.temporaryDirectory.appending(path: "nginx-\(UUID().uuidString)").path(percentEncoded: false)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    configuration = folder + "/nginx.conf"
    let security = tls.map { "ssl_certificate \($0.certificate); ssl_certificate_key \($0.key);" } ?? ""
    // Without a master process a signal hits the one that serves.
    let text = """
      master_process off; daemon off; pid \(folder)/pid; error_log \(folder)/error.log;
      events { worker_connections 256; }
      http {
        access_log \(folder)/access.log; sendfile on;
        client_body_temp_path \(folder)/b; proxy_temp_path \(folder)/p; fastcgi_temp_path \(folder)/f; uwsgi_temp_path \(folder)/u; scgi_temp_path \(folder)/s;
        server { listen 127.0.0.1:\(port)\(tls == nil ? "" : " ssl http2"); \(addsIPv6 ? "listen [::1]:\(port);" : "") server_name localhost; root \(root); \(security) \(directives) }
      }
      """
    try text.write(toFile: configuration, atomically: true, encoding: .utf8)
    try start()
  }

  /// Ends it for good. An object that is not used any more may go earlier than one thinks, so say it in a `defer`.
  public func stop() {
    kill()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Starts it again after `kill`, on the same port.
  public func start() throws {
    let process = try Child(Peer.nginx.path, ["-c", configuration, "-p", folder, "-e", folder + "/error.log"])
    self.process = process
    for _ in 0..<500 {
      if canConnect(to: port) { return }
      guard process.isRunning else { break }
      usleep(10_000)
    }
    throw Failed(description: "nginx doesn't listen: " + ((try? String(contentsOfFile: folder + "/error.log", encoding: .utf8)) ?? ""))
  }

  /// Ends it at once, in the middle of whatever it sends.
  public func kill() {
    process?.signal(SIGKILL)
    process?.wait()
  }

  /// Lines of the access log so far.
  public var accessLog: [Substring] { ((try? String(contentsOfFile: folder + "/access.log", encoding: .utf8)) ?? "").split(separator: "\n") }
}

/// A socket that listens on loopback.
public func listenOnLoopback() throws -> (descriptor: Int32, port: UInt16) {
  let (descriptor, port) = try bindToLoopback()
  guard listen(descriptor, 64) == 0 else { throw Nginx.Failed(description: "can't listen: errno \(errno)") }
  return (descriptor, port)
}

/// A port on loopback that nobody listens on.
public func freePort() throws -> UInt16 {
  let (descriptor, port) = try bindToLoopback()
  close(descriptor)
  return port
}

private func bindToLoopback() throws -> (descriptor: Int32, port: UInt16) {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = inet_addr("127.0.0.1")
  var size = socklen_t(MemoryLayout<sockaddr_in>.size)
  let isBound = withUnsafeMutablePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0 }
  }
  guard isBound else { throw Nginx.Failed(description: "no free port: errno \(errno)") }
  return (descriptor, UInt16(bigEndian: address.sin_port))
}

/// A connection to a port on loopback; nil when nobody listens.
func connectToLoopback(_ port: UInt16) -> Int32? {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = inet_addr("127.0.0.1")
  let isConnected = withUnsafePointer(to: &address) { pointer in
    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
  }
  if isConnected { return descriptor }
  close(descriptor)
  return nil
}

private func canConnect(to port: UInt16) -> Bool { connectToLoopback(port).map { close($0) } != nil }
