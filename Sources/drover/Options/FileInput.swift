import Integrity
import Transfer

/// Links to one file, as they stand on the command line: it, and mirrors of it.
struct FileInput {
  /// What the file is called here.
  let name: String
  /// In the order in which they are asked.
  let links: [SignedLink]
  let digest: Digest?

  /// - Parameter words: where releases' names or links stand.
  /// - Returns: nil where none of them is a link.
  init?(_ words: [String], sha256: String?, _ server: ServerOptions, _ global: GlobalOptions) throws {
    let given = words.filter(SignedLink.resembles)
    guard !given.isEmpty else {
      if sha256 != nil { throw CommandError(.usage, "--sha256 is of one file, and goes with the link to it: drover download 'LINK' --sha256 HEX") }
      return nil
    }
    guard given.count == words.count else { throw CommandError(.usage, "a link to one file and a release's name stand side by side; a link that opens releases has a * in it and goes into --url or DROVER_URL: drover download 7B --url 'LINK'") }
    ProcessSecrets.lockMemory()
    digest = try sha256.map { hex in
      guard let digest = Digest(hex: hex), digest.algorithm == .sha256 else { throw CommandError(.usage, "--sha256 takes 64 hexadecimal digits, as sha256sum prints them") }
      return digest
    }
    let files = try given.map { text throws(LinkError) in try SignedLink.examineDownload(text, allowsHTTP: server.allowHttp) }
    for (file, _) in files { LinkInput.tell(file.notes, global) }
    // With a digest the content tells, whatever each server calls it.
    if digest == nil, let other = files.first(where: { $0.name != files[0].name }) {
      throw CommandError(.usage, "the links end in different names, \(files[0].name) and \(other.name), and several links are mirrors of one file: download files one after the other, or say with --sha256 that they are the same")
    }
    (name, links) = (files[0].name, files.map(\.file.link))
  }

  /// The links' hosts, each once.
  var hosts: [String] { links.reduce(into: []) { if !$0.contains($1.host) { $0.append($1.host) } } }

  /// Reads another link to the file, when the only one has ended.
  func reader(allowsHTTP: Bool) -> @Sendable (String) throws -> (link: SignedLink, notes: [String]) {
    { [name] text in
      let (file, other) = try SignedLink.examineDownload(text, allowsHTTP: allowsHTTP)
      guard other == name else { throw CommandError(.usage, "that is a link to \(other), and \(name) is being fetched") }
      return (file.link, file.notes)
    }
  }
}
