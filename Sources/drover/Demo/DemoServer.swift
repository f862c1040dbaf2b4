import CDemoModel
import FlyingFox
import FlyingSocks
import FoundationEssentials
import Glibc

/// A store of signed downloads on loopback. It serves the demo checkpoint in ranges to whoever has a valid link; like the real
/// one it refuses `HEAD`, and stops honouring a link that has served its share.
actor DemoServer {
  /// The folder under the link's `*`.
  static let folder = "drover-demo"

  /// The checkpoint's files, from the binary, in the order of a folder listing.
  static let files: [(name: String, bytes: Data)] = (0..<demo_model_file_count).map { index in
    let file = demo_model_file_at(index)
    return (String(cString: file.name), Data(UnsafeBufferPointer(start: file.bytes, count: file.count)))
  }

  private let server: HTTPServer
  private let signer = DemoSigner()
  private var running: Task<Void, any Error>?
  /// Bytes of content that each limited link may still be given, by its signature.
  private var allowance: [String: Int] = [:]

  init() throws { server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: 0), logger: .disabled) }

  /// Listens on a free port of 127.0.0.1.
  func start() async throws {
    await server.appendRoute("*") { [weak self] request in
      await self?.respond(to: request) ?? HTTPResponse(statusCode: .serviceUnavailable)
    }
    running = Task { [server] in try await server.run() }
    try await server.waitUntilListening()
  }

  func stop() async {
    await server.stop()
    running?.cancel()
  }

  /// A link to everything here that ends in a day, or after `bytes` of content.
  func signLink(endingAfter bytes: Int? = nil) async -> String {
    var port: UInt16 = 0
    if case .ip4(_, let bound) = await server.listeningAddress { port = bound }
    let link = signer.link(base: "http://127.0.0.1:\(port)", expires: Int(time(nil)) + 24 * 3600, serial: allowance.count)
    allowance[DemoSigner.signature(in: link)] = bytes ?? .max
    return link
  }

  private func respond(to request: HTTPRequest) -> HTTPResponse {
    func query(_ name: String) -> String { request.query.first { $0.name == name }?.value ?? "" }
    let signature = query("Signature")
    guard request.method == .GET, signer.accepts(policy: query("Policy"), signature: signature, now: Int(time(nil))),
      allowance[signature, default: 0] > 0
    else { return HTTPResponse(statusCode: .forbidden) }
    let name = request.path.split(separator: "/").last.map(String.init) ?? ""
    guard request.path == "/\(Self.folder)/\(name)", let file = Self.files.first(where: { $0.name == name }) else {
      return HTTPResponse(statusCode: .notFound)
    }
    guard let range = Self.range(request.headers[.range], count: file.bytes.count) else {
      allowance[signature]? -= file.bytes.count
      return HTTPResponse(statusCode: .ok, headers: HTTPHeaders([.acceptRanges: "bytes"]), body: file.bytes)
    }
    guard !range.isEmpty else {
      return HTTPResponse(statusCode: .rangeNotSatisfiable, headers: HTTPHeaders([.contentRange: "bytes */\(file.bytes.count)"]))
    }
    // The link's last answer is a short one: the file then stops in its middle, as when a real link ends.
    let given = range.prefix(allowance[signature, default: 0])
    allowance[signature]? -= given.count
    return HTTPResponse(
      statusCode: .partialContent,
      headers: HTTPHeaders([.acceptRanges: "bytes", .contentRange: "bytes \(given.lowerBound)-\(given.upperBound - 1)/\(file.bytes.count)"]),
      body: file.bytes[given])
  }

  /// The bytes that a `Range` header asks for: nil for all, empty for none that exist.
  private static func range(_ header: String?, count: Int) -> Range<Int>? {
    guard let header, header.hasPrefix("bytes=") else { return nil }
    let ends = header.dropFirst(6).split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard ends.count == 2, let first = Int(ends[0]) else { return nil }
    let last = Int(ends[1]) ?? count - 1
    return first < count && first <= last ? first..<min(last, count - 1) + 1 : 0..<0
  }
}
