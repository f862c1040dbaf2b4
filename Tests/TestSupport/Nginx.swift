import Foundation
import Glibc

/// nginx as a real server on loopback, one process on a port of its own.
public final class Nginx {
  public let port: UInt16
  /// Where it says how many requests it is answering.
  private let statusPort: UInt16
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
    (port, statusPort) = (try freePort(), try freePort())
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
        server { listen 127.0.0.1:\(statusPort); access_log off; stub_status; }
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

  /// Lines of the access log, when no request is being answered any more: a request's line is written a moment after its last byte, or after nginx has learned that
  /// its client is gone.
  public var accessLog: [Substring] {
    _ = waitUntil { requestsUnderWay == 0 }
    return ((try? String(contentsOfFile: folder + "/access.log", encoding: .utf8)) ?? "").split(separator: "\n")
  }

  /// As ngx_http_stub_status_module counts them: requests whose heads are being read, and those being answered, of which the question is one. 0 when it doesn't run.
  private var requestsUnderWay: Int {
    let answer = reply(of: statusPort, to: "GET / HTTP/1.0\r\n\r\n").split { $0.isWhitespace }
    func count(_ name: String) -> Int { answer.firstIndex { $0 == name }.flatMap { Int(answer[$0 + 1]) } ?? 0 }
    return count("Reading:") + max(0, count("Writing:") - 1)
  }
}
