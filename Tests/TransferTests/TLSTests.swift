import Foundation
import TestSupport
import Testing
import Transfer

/// Certificates made on the spot by openssl, served by nginx.
@Suite(.serialized) struct TLSTests {
  enum Certificate: String, CaseIterable {
    case good, wrongName, expired
  }

  /// Makes an authority and a certificate for localhost (or not) that it signs.
  static func make(_ kind: Certificate, in folder: String) throws -> (certificate: String, key: String) {
    let name = kind == .wrongName ? "elsewhere.example" : "localhost"
    let days = kind == .expired ? "-not_before 20200101000000Z -not_after 20200102000000Z" : "-days 2"
    let script = """
      set -e
      [ -f ca.pem ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=drover-test -addext basicConstraints=critical,CA:TRUE
      openssl req -newkey rsa:2048 -nodes -keyout \(kind).key -out \(kind).csr -subj /CN=\(name)
      printf 'subjectAltName=DNS:\(name)\\n' > \(kind).ext
      if [ \(kind) = expired ]; then
        : > index.txt; echo 01 > serial
        printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\nserial=serial\\nnew_certs_dir=.\\ndefault_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' > ca.cnf
        openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in \(kind).csr -out \(kind).pem -startdate 20200101000000Z -enddate 20200102000000Z -extfile \(kind).ext -notext
      else
        openssl x509 -req -in \(kind).csr -CA ca.pem -CAkey ca.key -CAcreateserial -out \(kind).pem \(days) -extfile \(kind).ext
      fi
      """
    let outcome = try run("/bin/bash", ["-c", script], in: folder)
    guard outcome.status == 0 else { throw Nginx.Failed(description: outcome.errors) }
    return ("\(folder)/\(kind).pem", "\(folder)/\(kind).key")
  }

  /// Whoever runs the tests may have set them.
  static let noVariables = ["CURL_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""]

  private func download(_ folder: String, _ port: UInt16, authorities: String?, variables: [String: String] = [:]) throws -> Outcome {
    try """
      {"id":"m","files":[{"path":"f/a.pth"}]}
      """.write(toFile: folder + "/m.json", atomically: true, encoding: .utf8)
    let more = authorities.map { ["--cacert", $0] } ?? []
    return try run(
      droverPath, ["download", "--manifest", folder + "/m.json", "--output", folder + "/out", "--yes", "--retries", "1"] + more,
      environment: ["DROVER_URL": "https://localhost:\(port)/*"].merging(Self.noVariables) { $1 }.merging(variables) { $1 })
  }

  /// What SSLKEYLOGFILE names would open the recorded traffic, and with it the link.
  @Test(.needs(.nginx)) func keysAreNotLogged() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/www/f", withIntermediateDirectories: true)
      try Data(Wares.shared.contents["f/a.pth"] ?? []).write(to: URL(filePath: folder + "/www/f/a.pth"))
      let nginx = try Nginx(root: folder + "/www", tls: try Self.make(.good, in: folder))
      defer { nginx.stop() }
      #expect(try download(folder, nginx.port, authorities: folder + "/ca.pem", variables: ["SSLKEYLOGFILE": folder + "/keys"]).status == 0)
      #expect(!FileManager.default.fileExists(atPath: folder + "/keys"))
    }
  }

  @Test(.needs(.nginx), arguments: [
    (Certificate.good, true, 0, ""), (.good, false, 69, "authority is unknown"), (.wrongName, true, 69, "another name"), (.expired, true, 69, "has expired"),
  ])
  func certificatesAreChecked(kind: Certificate, isTrusted: Bool, status: Int, words: String) throws {
    try withTemporaryFolder { folder in
      let www = folder + "/www"
      try FileManager.default.createDirectory(atPath: www + "/f", withIntermediateDirectories: true)
      let content = Wares.shared.contents["f/a.pth"] ?? []
      try Data(content).write(to: URL(filePath: www + "/f/a.pth"))
      let nginx = try Nginx(root: www, tls: try Self.make(kind, in: folder))
      defer { nginx.stop() }
      let outcome = try download(folder, nginx.port, authorities: isTrusted ? folder + "/ca.pem" : nil)
      #expect(outcome.status == Int32(status), "\(outcome.errors)")
      #expect(words.isEmpty || outcome.errors.contains(words), "\(outcome.errors)")
      let arrived = FileManager.default.contents(atPath: folder + "/out/f/a.pth")
      #expect(status == 0 ? arrived == Data(content) : arrived == nil)
      if status == 0 { #expect(nginx.accessLog.allSatisfy { $0.contains(" HTTP/2.0\"") }, "\(nginx.accessLog)") }
    }
  }

  /// As curl(1) takes them: `{}` is the folder with the authority's file.
  @Test(.needs(.nginx), arguments: [
    (["CURL_CA_BUNDLE": "{}/ca.pem"], nil, 0, ""), (["SSL_CERT_FILE": "{}/ca.pem"], nil, 0, ""), (["SSL_CERT_DIR": "{}/hashed"], nil, 0, ""),
    (["CURL_CA_BUNDLE": "{}/ca.pem", "SSL_CERT_FILE": "{}/other.pem"], nil, 0, ""), (["CURL_CA_BUNDLE": "", "SSL_CERT_FILE": "{}/ca.pem"], nil, 0, ""),
    (["CURL_CA_BUNDLE": "{}/other.pem"], nil, 69, "authority is unknown"), (["CURL_CA_BUNDLE": "{}/other.pem"], "ca.pem", 0, ""),
    (["CURL_CA_BUNDLE": "{}/nothing.pem"], nil, 66, "which CURL_CA_BUNDLE names"), (["SSL_CERT_FILE": "{}/nothing.pem"], nil, 66, "which SSL_CERT_FILE names"),
    (["SSL_CERT_FILE": "{}/ca.pem"], "other.pem", 69, "authority is unknown"),
  ] as [([String: String], String?, Int32, String)])
  func authoritiesOfTheEnvironmentAreTaken(variables: [String: String], given: String?, status: Int32, words: String) throws {
    try withTemporaryFolder { folder in
      let www = folder + "/www"
      try FileManager.default.createDirectory(atPath: www + "/f", withIntermediateDirectories: true)
      try Data(Wares.shared.contents["f/a.pth"] ?? []).write(to: URL(filePath: www + "/f/a.pth"))
      let nginx = try Nginx(root: www, tls: try Self.make(.good, in: folder))
      defer { nginx.stop() }
      let script = """
        openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other -addext basicConstraints=critical,CA:TRUE
        mkdir hashed && cp ca.pem hashed/$(openssl x509 -in ca.pem -noout -hash).0
        """
      #expect(try run("/bin/sh", ["-c", script], in: folder).status == 0)
      let outcome = try download(folder, nginx.port, authorities: given.map { folder + "/" + $0 }, variables: variables.mapValues { $0.replacing("{}", with: folder) })
      #expect(outcome.status == status && (words.isEmpty || outcome.errors.contains(words)), "\(outcome.status) \(outcome.errors)")
    }
  }

  @Test func certificatesThatAreNoneAreNamed() throws {
    try withTemporaryFolder { folder in
      let outcome = try download(folder, try freePort(), authorities: folder + "/nothing.pem")
      #expect(outcome.status == 66 && outcome.errors.contains("nothing.pem"), "\(outcome.errors)")
    }
  }

  /// From https never down to http, wherever a server points.
  @Test(.needs(.nginx)) func aRedirectDownToHTTPIsRefused() throws {
    try withTemporaryFolder { folder in
      try FileManager.default.createDirectory(atPath: folder + "/www", withIntermediateDirectories: true)
      let plain = try Nginx(root: folder + "/www")
      defer { plain.stop() }
      let nginx = try Nginx(root: folder + "/www", tls: try Self.make(.good, in: folder), directives: "return 302 http://127.0.0.1:\(plain.port)/f/a.pth;")
      defer { nginx.stop() }
      let outcome = try download(folder, nginx.port, authorities: folder + "/ca.pem")
      #expect(outcome.status == 69 && outcome.errors.contains("from https down to http"), "\(outcome.errors)")
      #expect(plain.accessLog.isEmpty)
    }
  }
}
