import ArgumentParser
import Catalog
import Platform
import SystemPackage
import Terminal

struct CatalogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "catalog",
    abstract: "Lists every release that can be downloaded by name, or shows one in full.",
    discussion: """
      Names are taken in upper or lower case, as Meta's scripts have them. A bare size such as 7B means Llama 2.

      EXAMPLES
        drover catalog
        drover catalog 70B-chat
        drover catalog 70B-chat --licence --output models
        drover catalog --json | jq -r '.[].id'
      """)

  @Argument(help: "A release: its id or one of its aliases.")
  var model: String?

  @Option(help: ArgumentHelp("Read releases from this file in place of the built-in ones.", valueName: "file"))
  var manifest: PathArgument?

  @Flag(name: [.customLong("licence"), .customLong("license")], help: "Print the licence, the policy and the card that came with the download of the release.")
  var licence = false

  @Option(name: .shortAndLong, help: ArgumentHelp("With --licence: the folder that it was downloaded into.", valueName: "dir"), completion: .directory)
  var output = PathArgument(".")

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var global: GlobalOptions

  func validate() throws {
    if licence, model == nil { throw ValidationError("Name the release whose licence you want to read.") }
    if licence, json { throw ValidationError("--licence prints text, and --json a document; choose one.") }
  }

  func run() throws {
    let catalog = try manifest.map { file throws(CatalogError) in try Catalog(manifest: file.path) } ?? Catalog.builtIn()
    let match = try model.map { name throws(CatalogError) in try catalog.release(named: name) }
    if let match, licence { return try printLegalFiles(of: match.release) }
    if json { return try outputJSON(match.map { [$0.release] } ?? catalog.releases) }
    Console.output(match.map { details($0) } ?? overview(catalog))
  }

  /// A larger file is no licence.
  private static let mostLegalBytes = 4 << 20

  private func printLegalFiles(of release: Release) throws {
    let files = release.legalFiles(in: output.path)
    guard !files.isEmpty else {
      let elsewhere = release.documents.license.map { "; \(release.license ?? "the licence") is at \($0)" } ?? ""
      throw CommandError(.noInput, "no licence of \(release.id) came into \(output.path), or it wasn't downloaded there (--output names the folder)\(elsewhere)")
    }
    for (index, file) in files.enumerated() {
      let bytes: [UInt8]
      do { bytes = try SmallFile.read(file, atMost: Self.mostLegalBytes) } catch { throw CommandError(.failure, "\(file) can't be read: \(error)") }
      let text = String(decoding: bytes, as: UTF8.self)
      Console.outputLine(Style.standardOutput("\(index == 0 ? "" : "\n")==> \(file) <==", .bold))
      Console.output(said: text.hasSuffix("\n") ? text : text + "\n")
    }
  }

  private func overview(_ catalog: Catalog) -> TerminalText {
    var table = Table(["RELEASE", "FAMILY", "PARAMS", "MP", "CHAT", "ALSO"], alignments: [.left, .left, .right, .right])
    for release in catalog.releases {
      table.add(
        "\(release.id)", "\(release.family)", "\(release.parameters.map(Self.short) ?? "")", "\(release.modelParallel)", "\(release.chatFormat.map { $0.hasPrefix("llamaguard") ? "guard" : $0 } ?? "")",
        "\(release.aliases.first ?? "")")
    }
    return table.render(.standardOutput, within: Console.outputColumns)
  }

  private func details(_ match: Catalog.Match) -> TerminalText {
    let release = match.release
    let bold = Style.standardOutput
    var lines = [bold("\(release.id)", .bold)]
    func add(_ label: TerminalText, _ value: String?) {
      if let value { lines.append("  \(bold(label.padded(to: 12), .dim))\(value)") }
    }
    add("family", release.family)
    add("aliases", release.aliases.isEmpty ? nil : release.aliases.joined(separator: ", "))
    add("parameters", release.parameters.map { "\(Self.short($0)) (\(Format.count($0)))" })
    add("shards", "\(release.modelParallel)")
    if let shape = release.shape {
      add(
        "shape",
        "dim \(shape.dim), \(shape.layers) layers, \(shape.heads) heads, \(shape.kvHeads) KV heads, hidden \(shape.hiddenDim), vocabulary \(shape.vocabularySize)")
    }
    add("tokenizer", release.tokenizer)
    add("chat format", release.chatFormat)
    add("links from", release.hosts.isEmpty ? nil : release.hosts.joined(separator: ", or "))
    add("licence", release.license)
    add("", release.documents.license)
    add("model card", release.documents.modelCard)
    add("use policy", release.documents.usePolicy)
    if !match.alternatives.isEmpty {
      add("not", match.alternatives.map { "\($0.id) (\($0.family))" }.joined(separator: ", ") + ", which share the name")
    }
    var files = Table(["  FILE", "REMOTE"])
    for file in release.files { files.add("  \(file.path)", "\(file.remote)\(file.isOptional ? "  (optional)" : "")") }
    return lines.joined(separator: "\n") + "\n\n" + files.render(bold, within: Console.outputColumns)
  }

  /// `6.74B`.
  private static func short(_ parameters: Int) -> String {
    let billions = Double(parameters) / 1e9
    return Format.fixed(billions, billions < 99.95 ? 2 : 0) + "B"
  }
}
