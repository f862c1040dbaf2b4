import Glibc
import Platform
import SystemPackage

/// Whose certificates are trusted, of servers and of proxies that speak TLS: the given file's, else those that the variables of curl(1) name, else the
/// system's.
struct Authorities: Sendable {
  /// A PEM file.
  let file: FilePath?
  /// A folder of PEM files, named as `openssl rehash` names them.
  let folder: FilePath?

  /// - Throws: `.authorities` where there is a name of something that can't be read.
  init(_ given: FilePath?) throws(TransferError) {
    func variable(_ name: String) -> FilePath? { getenv(name).map { FilePath(platformString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
    func readable(_ path: FilePath?, from name: String? = nil) throws(TransferError) -> FilePath? {
      guard let path else { return nil }
      guard path.allows(R_OK) else { throw .authorities(path, variable: name) }
      return path
    }
    if given != nil {
      (file, folder) = (try readable(given), nil)
    } else if let bundle = variable("CURL_CA_BUNDLE") {
      (file, folder) = (try readable(bundle, from: "CURL_CA_BUNDLE"), nil)
    } else {
      (file, folder) = (try readable(variable("SSL_CERT_FILE"), from: "SSL_CERT_FILE"), try readable(variable("SSL_CERT_DIR"), from: "SSL_CERT_DIR"))
    }
  }
}
