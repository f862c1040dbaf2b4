import ArgumentParser
import Integrity
import SystemPackage
import Terminal
import Transfer

/// A model on the command line: a path, or the name that it has in the hub's cache (`hf:ORG/NAME`) or in ollama's store (`ollama:NAME`).
struct ModelArgument: ExpressibleByArgument, CustomStringConvertible {
  private let given: PathArgument

  init?(argument: String) {
    guard let path = PathArgument(argument: argument) else { return nil }
    given = path
  }

  var description: String { given.description }

  /// As it was given.
  var path: FilePath { given.path }

  static let ollama = "ollama:"

  /// Where its files are.
  func find(_ global: GlobalOptions) throws -> FilePath {
    let (path, notes) = try place()
    for note in notes where !global.quiet { Console.note("note: \(note)") }
    return path
  }

  /// What is to be verified of it: of a path that it stands for itself.
  func findForVerifying() throws -> FilePath {
    let text = given.description
    if text.hasPrefix(Self.ollama) {
      let name = String(text.dropFirst(Self.ollama.count))
      for folder in OllamaStore.folders(ProcessSecrets.environment) { if let model = OllamaStore(at: folder)?.model(named: name) { return model.manifest } }
    }
    return text.hasPrefix(HubName.prefix) || text.hasPrefix(Self.ollama) ? try place().path : given.path
  }

  private func place() throws -> StoredModel.Place {
    let text = given.description
    if let name = try HubName(text) {
      return try StoredModel.ofHub(name.repository, at: name.revision, as: name.description, in: HubFolders(ProcessSecrets.environment).cache)
    }
    if text.hasPrefix(Self.ollama) { return try StoredModel.ofOllama(String(text.dropFirst(Self.ollama.count)), in: OllamaStore.folders(ProcessSecrets.environment)) }
    return try StoredModel.place(of: given.path)
  }

  static var defaultCompletionKind: CompletionKind { .file() }
}
