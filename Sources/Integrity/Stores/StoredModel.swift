import Platform
import SystemPackage

/// A model that lies in a store of another program, by its name there or by what stands for it.
public enum StoredModel {
  /// Where its files are, and what a person should know, in sentences.
  public typealias Place = (path: FilePath, notes: [String])

  /// What `path` stands for: a repository's folder in the hub's cache for its snapshot, a manifest of ollama's for the weights that it names; anything else for itself.
  /// - Throws: also for a snapshot with links that lead out of the repository's own blobs.
  public static func place(of path: FilePath) throws(VerificationError) -> Place {
    if let repository = CachedRepository(at: path.named) {
      let commits = repository.commits
      guard let commit = repository.commit(of: "main") ?? (commits.count == 1 ? commits[0] : nil) else { throw .several(path, names: commits.map { repository.snapshot($0).string }) }
      return (try snapshot(repository, commit), [])
    }
    if let store = OllamaStore(ofManifest: path) { return try store.weights(of: .init(name: path.lastComponent?.string ?? "", manifest: path)) }
    if let store = OllamaStore(at: path) { throw .several(path, names: store.models.map { "ollama:" + $0.name }) }
    let names = ((try? Directory.names(in: path)) ?? []).filter { $0.string.hasPrefix("models--") }
    let repositories = names.compactMap { CachedRepository(at: path.appending($0))?.name }
    if !repositories.isEmpty { throw .several(path, names: repositories.map { "hf:" + $0 }) }
    if let real = path.realPath, let commit = real.lastComponent?.string, CachedRepository.isCommit(commit), real.removingLastComponent().lastComponent?.string == "snapshots",
      let repository = CachedRepository(at: real.removingLastComponent().removingLastComponent())
    {
      _ = try snapshot(repository, commit)
    }
    return (path, [])
  }

  /// A repository of the hub, in its cache on this machine.
  /// - Parameter shown: what messages call it.
  public static func ofHub(_ repository: String, at revision: String, as shown: String, in cache: FilePath?) throws(VerificationError) -> Place {
    let cached = cache.map { CachedRepository(repository, in: $0) }
    guard let cached, let commit = cached.commit(of: revision) else {
      throw .notInStore(shown, why: "it isn't in the hub's cache on this machine\(cache.map { " (\($0))" } ?? ""); `drover download \(shown) --hf-cache` puts it there")
    }
    return (try snapshot(cached, commit), [])
  }

  /// A model of ollama's.
  /// - Parameter folders: where its store may be.
  public static func ofOllama(_ name: String, in folders: [FilePath]) throws(VerificationError) -> Place {
    let stores = folders.compactMap { OllamaStore(at: $0) }
    for store in stores { if let model = store.model(named: name) { return try store.weights(of: model) } }
    let known = stores.flatMap(\.models).map(\.name)
    let places = folders.map(\.string).joined(separator: " or ")
    throw .notInStore("ollama:" + name, why: known.isEmpty ? "there is no model of ollama's in \(places); OLLAMA_MODELS names the folder" : "ollama has no such model in \(places); it has \(known.prefix(8).joined(separator: ", "))\(known.count > 8 ? ", …" : "")")
  }

  private static func snapshot(_ repository: CachedRepository, _ commit: String) throws(VerificationError) -> FilePath {
    for entry in try repository.entries(of: commit) { if case .elsewhere(let target) = entry.content { throw .leavesStore(entry.path, target: target) } }
    return repository.snapshot(commit)
  }
}
