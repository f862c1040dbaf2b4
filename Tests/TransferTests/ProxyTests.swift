import Foundation
import TestSupport
import Testing

/// Proxies come from the environment, as curl takes them; what goes wrong with one is said of it, and not of the link's host.
@Suite(.serialized) struct ProxyTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// `{}` is the proxy's host and port.
    let variables: [String: String]
    var manner = TestProxy.Manner.passes
    var isHTTPS = false
    /// Nobody listens where the proxy should be.
    var isDown = false
    var status: Int32 = 0
    /// What the message has to have; `{}` as above.
    var words: [String] = []
    /// How the requests that came to the proxy begin; empty when none may.
    var requests: [String] = []
  }

  private static let password = "pAsSwOrD"
  private static let asking = TestProxy.Manner.asks(user: "me", password: password)

  static let cases = [
    Case(testDescription: "none", variables: [:]),
    Case(testDescription: "http_proxy", variables: ["http_proxy": "http://{}"], requests: ["GET http://127.0.0.1"]),
    Case(testDescription: "http_proxy without a scheme", variables: ["http_proxy": "{}"], requests: ["GET http://127.0.0.1"]),
    Case(testDescription: "https_proxy is for https", variables: ["https_proxy": "http://{}"]),
    Case(testDescription: "https_proxy", variables: ["https_proxy": "http://{}"], isHTTPS: true, requests: ["CONNECT localhost"]),
    Case(testDescription: "HTTPS_PROXY", variables: ["HTTPS_PROXY": "http://{}"], isHTTPS: true, requests: ["CONNECT localhost"]),
    Case(testDescription: "ALL_PROXY", variables: ["ALL_PROXY": "http://{}"], requests: ["GET http://127.0.0.1"]),
    Case(testDescription: "NO_PROXY", variables: ["http_proxy": "http://{}", "NO_PROXY": "example.org,127.0.0.1"]),
    Case(testDescription: "no_proxy", variables: ["http_proxy": "http://{}", "no_proxy": "*"]),
    Case(testDescription: "NO_PROXY for others", variables: ["http_proxy": "http://{}", "NO_PROXY": "example.org"], requests: ["GET http://127.0.0.1"]),
    Case(
      testDescription: "a password", variables: ["http_proxy": "http://me:\(password)@{}"], manner: asking, requests: ["GET http://127.0.0.1"]),
    Case(testDescription: "a password, https", variables: ["https_proxy": "http://me:\(password)@{}"], manner: asking, isHTTPS: true, requests: ["CONNECT localhost"]),
    Case(
      testDescription: "no password", variables: ["http_proxy": "http://{}"], manner: asking, status: 69, words: ["proxy http://{} ", "407"],
      requests: ["GET http://127.0.0.1"]),
    Case(
      testDescription: "no password, https", variables: ["https_proxy": "http://{}"], manner: asking, isHTTPS: true, status: 69,
      words: ["proxy http://{} ", "407", "https_proxy"], requests: ["CONNECT localhost"]),
    Case(
      testDescription: "another password", variables: ["https_proxy": "http://me:x\(password)@{}"], manner: asking, isHTTPS: true, status: 69,
      words: ["proxy http://{} ", "407"], requests: ["CONNECT localhost"]),
    Case(
      testDescription: "forbidden", variables: ["https_proxy": "http://{}"], manner: .refuses(status: 403), isHTTPS: true, status: 69,
      words: ["proxy http://{} ", "403", "NO_PROXY"], requests: ["CONNECT localhost"]),
    Case(
      testDescription: "401 of a proxy", variables: ["http_proxy": "http://{}"], manner: .refuses(status: 401), status: 69,
      words: ["proxy http://{} ", "401", "http_proxy=http://USER"], requests: ["GET http://127.0.0.1"]),
    Case(
      testDescription: "401 of a proxy, https", variables: ["https_proxy": "http://{}"], manner: .refuses(status: 401), isHTTPS: true, status: 69,
      words: ["proxy http://{} ", "401", "https_proxy=http://USER"], requests: ["CONNECT localhost"]),
    Case(
      testDescription: "broken", variables: ["https_proxy": "http://{}"], manner: .refuses(status: 502), isHTTPS: true, status: 69,
      words: ["after one retry"], requests: ["CONNECT localhost"]),
    Case(testDescription: "down", variables: ["http_proxy": "http://me:\(password)@{}"], isDown: true, status: 69, words: ["connect to the proxy http://{}"]),
    Case(testDescription: "down, https", variables: ["ALL_PROXY": "{}"], isHTTPS: true, isDown: true, status: 69, words: ["connect to the proxy http://{}"]),
    Case(testDescription: "down, and not asked", variables: ["ALL_PROXY": "{}", "NO_PROXY": "localhost"], isHTTPS: true, isDown: true),
  ]

  @Test(.needs(.nginx), arguments: cases) func fromTheEnvironment(_ row: Case) throws {
    try withTemporaryFolder { folder in
      let content = Wares.shared.contents["f/b.pth"] ?? []
      try FileManager.default.createDirectory(atPath: folder + "/www/f", withIntermediateDirectories: true)
      try Data(content).write(to: URL(filePath: folder + "/www/f/b.pth"))
      try #"{"id":"m","files":[{"path":"f/b.pth"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let nginx = try Nginx(root: folder + "/www", tls: row.isHTTPS ? try TLSTests.make(.good, in: folder) : nil)
      defer { nginx.stop() }
      let proxy = try TestProxy(row.manner)
      let host = "127.0.0.1:\(row.isDown ? try freePort() : proxy.port)"
      defer { proxy.stop() }
      var environment = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"].reduce(into: [:]) { $0[$1] = "" }
      environment.merge(row.variables.mapValues { $0.replacing("{}", with: host) }) { $1 }
      environment["DROVER_URL"] = FaultTests.linkText(nginx.port, host: row.isHTTPS ? "localhost" : "127.0.0.1", scheme: row.isHTTPS ? "https" : "http")
      let outcome = try run(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--retries", "1", "--verbose"]
          + (row.isHTTPS ? ["--cacert", folder + "/ca.pem"] : []), environment: environment)
      #expect(outcome.status == row.status, "\(outcome.errors)")
      for words in row.words { #expect(outcome.errors.contains(words.replacing("{}", with: host)), "\(outcome.errors)") }
      for secret in [FaultTests.secret, Self.password, "Policy="] { #expect(!(outcome.errors + outcome.output).contains(secret)) }
      #expect(proxy.requests.isEmpty == row.requests.isEmpty)
      for request in row.requests { #expect(proxy.requests.allSatisfy { $0.hasPrefix(request) }, "\(proxy.requests)") }
      let arrived = FileManager.default.contents(atPath: folder + "/out/f/b.pth")
      #expect(row.status == 0 ? arrived == Data(content) : arrived == nil)
    }
  }

  /// A proxy that speaks TLS itself, with an authority of its own: nginx, which passes a request on to the host that it names.
  @Test(.needs(.nginx), arguments: [(true, false, Int32(0)), (true, true, 0), (false, false, 69)]) func aProxyBehindTLS(isTrusted: Bool, isNamedByVariable: Bool, status: Int32) throws {
    try withTemporaryFolder { folder in
      let content = Wares.shared.contents["f/b.pth"] ?? []
      try FileManager.default.createDirectory(atPath: folder + "/www/f", withIntermediateDirectories: true)
      try Data(content).write(to: URL(filePath: folder + "/www/f/b.pth"))
      try #"{"id":"m","files":[{"path":"f/b.pth"}]}"#.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
      let nginx = try Nginx(root: folder + "/www")
      defer { nginx.stop() }
      let proxy = try Nginx(root: folder + "/www", tls: try TLSTests.make(.good, in: folder), directives: "location / { proxy_pass http://$http_host; }")
      defer { proxy.stop() }
      var environment = ["HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"].reduce(into: TLSTests.noVariables) { $0[$1] = "" }
      environment["http_proxy"] = "https://localhost:\(proxy.port)"
      environment["DROVER_URL"] = FaultTests.linkText(nginx.port)
      if isNamedByVariable { environment["SSL_CERT_FILE"] = folder + "/ca.pem" }
      let outcome = try run(
        droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--retries", "1"]
          + (isTrusted && !isNamedByVariable ? ["--cacert", folder + "/ca.pem"] : []), environment: environment)
      #expect(outcome.status == status, "\(outcome.errors)")
      #expect(proxy.accessLog.isEmpty == (status != 0))
      if status != 0 { #expect(outcome.errors.contains("the certificate of the proxy https://localhost:\(proxy.port) can't be trusted"), "\(outcome.errors)") }
      #expect(FileManager.default.contents(atPath: folder + "/out/f/b.pth") == (status == 0 ? Data(content) : nil))
    }
  }
}
