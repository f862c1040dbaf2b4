import ArgumentParser
import Catalog
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
        drover catalog --json | jq -r '.[].id'
      """)

  @Argument(help: "A release: its id or one of its aliases.")
  var model: String?

  @Option(help: ArgumentHelp("Read releases from this file in place of the built-in ones.", valueName: "file"))
  var manifest: PathArgument?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var global: GlobalOptions

  func run() throws {
    let catalog = try manifest.map { file throws(CatalogError) in try Catalog(manifest: file.path) } ?? Catalog.builtIn()
    let match = try model.map { name throws(CatalogError) in try catalog.release(named: name) }
    if json { return try outputJSON(match.map { [$0.release] } ?? catalog.releases) }
    Console.output(match.map { details($0) } ?? overview(catalog))
  }

  private func overview(_ catalog: Catalog) -> TerminalText {
    var table = Table(["RELEASE", "FAMILY", "PARAMETERS", "SHARDS", "CHAT", "ALSO"], alignments: [.left, .left, .right, .right])
    for release in catalog.releases {
      table.add(
        "\(release.id)", "\(release.family)", "\(release.parameters.map(Self.short) ?? "")", "\(release.modelParallel)", "\(release.chatFormat ?? "")",
        "\(release.aliases.first ?? "")")
    }
    return table.render(.standardOutput)
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
    add("license", release.license)
    if !match.alternatives.isEmpty {
      add("not", match.alternatives.map { "\($0.id) (\($0.family))" }.joined(separator: ", ") + ", which share the name")
    }
    var files = Table(["  FILE", "REMOTE"])
    for file in release.files { files.add("  \(file.path)", "\(file.remote)\(file.isOptional ? "  (optional)" : "")") }
    return lines.joined(separator: "\n") + "\n\n" + files.render(bold)
  }

  /// `6.74B`.
  private static func short(_ parameters: Int) -> String {
    let billions = Double(parameters) / 1e9
    return Format.fixed(billions, billions < 99.95 ? 2 : 0) + "B"
  }
}
