import Platform
import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// What stores of other programs say of their files, which are called by their content: each name is a list of one line.
struct StoreClaims {
  private(set) var claims: [Verification.Claim] = []
  /// Files that nothing is said of: unfinished downloads, and what lies there without a digest.
  private(set) var others: [FilePath] = []
  private(set) var problems: [VerificationError] = []

  /// - Parameter path: a store's folder, or a snapshot in one, a manifest, a blob or a link to one.
  /// - Returns: nil for anything else.
  init?(at path: FilePath) {
    if let store = StoreClaims(folder: path.named) {
      self = store
      return
    }
    if let store = OllamaStore(ofManifest: path) {
      add([path], of: store)
      return
    }
    guard let real = path.realPath, let name = real.lastComponent?.string else { return nil }
    let above = real.removingLastComponent()
    if above.lastComponent?.string == "snapshots", CachedRepository.isCommit(name), let repository = CachedRepository(at: above.removingLastComponent()) {
      add(repository, commits: [name])
    } else if above.lastComponent?.string == "blobs", let digest = OllamaStore.digest(ofBlobNamed: name) {
      claims = [.init(path: path, source: above, content: .stored(.hash(digest), bytes: nil))]
    } else if above.lastComponent?.string == "blobs", let repository = CachedRepository(at: above.removingLastComponent()), let digest = PublishedDigest(blobName: name) {
      claims = [.init(path: path, source: repository.path, content: .stored(digest, bytes: nil))]
    } else {
      return nil
    }
  }

  /// The whole of a store.
  /// - Returns: nil for a folder that isn't one.
  init?(folder path: FilePath) {
    if let repository = CachedRepository(at: path) {
      add(repository, commits: nil)
    } else if let store = OllamaStore(at: path) {
      add(store.models.map(\.manifest), of: store)
      addBlobs(in: store.blobs) { OllamaStore.digest(ofBlobNamed: $0).map { .hash($0) } } isStray: { _ in true }
    } else {
      return nil
    }
  }

  // MARK: The hub's cache

  /// - Parameter commits: those that are looked at; nil for all, and for what belongs to none.
  private mutating func add(_ repository: CachedRepository, commits: [String]?) {
    var seen: Set<PublishedDigest> = []
    // A file that several snapshots have is called as the one has it that is open to whoever names no revision.
    let main = repository.commit(of: "main")
    for commit in commits ?? ([main].compactMap(\.self) + repository.commits.filter { $0 != main }) {
      let listed = repository.listed(at: commit) ?? [:]
      let entries: [CachedRepository.Entry]
      do throws(VerificationError) { entries = try repository.entries(of: commit) } catch {
        problems.append(error)
        continue
      }
      for entry in entries {
        func claim(_ digest: PublishedDigest) -> Verification.Claim { .init(path: entry.path, source: repository.path, content: .stored(digest, bytes: nil)) }
        let said = listed[entry.name]
        switch entry.content {
        case .blob(let digest):
          // A link to another file's content is right by its name, and wrong by the list.
          let isStray = said.map { $0 != digest } ?? false
          if seen.insert(digest).inserted || isStray { claims.append(claim(digest)) }
          if isStray, let said { claims.append(.init(path: entry.path, source: repository.path.appending("trees").appending(commit + ".json"), content: .stored(said, bytes: nil))) }
        case .file: if let said { claims.append(claim(said)) } else { others.append(entry.path) }
        case .elsewhere(let target): problems.append(.leavesStore(entry.path, target: target))
        }
      }
    }
    guard commits == nil else { return }
    addBlobs(in: repository.blobs, source: repository.path) { PublishedDigest(blobName: $0) } isKnown: { seen.contains($0) } isStray: { (try? repository.strayedTarget(ofBlob: $0)) ?? nil != nil }
  }

  // MARK: Ollama's

  private mutating func add(_ manifests: [FilePath], of store: OllamaStore) {
    for path in manifests {
      do throws(VerificationError) {
        let manifest = try store.manifest(at: path)
        for layer in manifest.layers + manifest.choices { add(layer, of: store, path) }
        for choice in manifest.choices where Directory.exists(store.blob(choice.digest)) {
          for layer in try store.manifest(at: store.blob(choice.digest)).layers { add(layer, of: store, path) }
        }
      } catch { problems.append(error) }
    }
  }

  private mutating func add(_ layer: OllamaStore.Layer, of store: OllamaStore, _ manifest: FilePath) {
    let blob = store.blob(layer.digest)
    if blob.isLink { return stray(blob) }
    claims.append(.init(path: blob, source: manifest, content: .stored(.hash(layer.digest), bytes: layer.bytes)))
  }

  // MARK: Both

  /// Says of a blob that it leads elsewhere, once.
  private mutating func stray(_ blob: FilePath) {
    if !problems.contains(where: { $0.path == blob }) { problems.append(.leavesStore(blob, target: blob.realPath ?? blob)) }
  }

  /// Blobs that nothing leads to.
  /// - Parameters:
  ///   - isKnown: whether something leads to it by a name of its own.
  ///   - isStray: whether a blob that is a link may not be followed.
  private mutating func addBlobs(
    in folder: FilePath, source: FilePath? = nil, _ digest: (String) -> PublishedDigest?, isKnown: (PublishedDigest) -> Bool = { _ in false }, isStray: (FilePath) -> Bool
  ) {
    let names: [String]
    do throws(Errno) { names = try Directory.names(in: folder).map(\.string) } catch {
      if error != .noSuchFileOrDirectory { problems.append(.unreadable(folder, error)) }
      return
    }
    let before = Set(claims.map(\.path))
    for name in names {
      let path = folder.appending(name)
      guard let digest = digest(name) else {
        others.append(path)
        continue
      }
      if isKnown(digest) || before.contains(path) { continue }
      if path.isLink, isStray(path) { stray(path) } else { claims.append(.init(path: path, source: source ?? folder, content: .stored(digest, bytes: nil))) }
    }
  }
}

extension FilePath {
  fileprivate var isLink: Bool {
    var status = Glibc.stat()
    return withPlatformString { lstat($0, &status) } == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  /// The same with a name: `.` and `..` have none, and what they stand for has.
  package var named: FilePath { lastComponent?.kind == .regular ? self : realPath ?? self }

  /// Where it leads, over all links.
  package var realPath: FilePath? {
    guard let real = (isEmpty ? "." : self).withPlatformString({ realpath($0, nil) }) else { return nil }
    defer { free(real) }
    return FilePath(platformString: real)
  }
}
