import Platform
import SystemPackage

/// What a part of a split GGUF is called by llama.cpp's `llama-gguf-split` and by the `gguf` library: `MODEL-00002-of-00003.gguf`, counted from 1.
struct GGUFPartName: Hashable {
  let model: String
  let number: Int
  let count: Int

  /// - Returns: nil for what is called otherwise.
  init?(_ name: String) {
    guard let match = name.wholeMatch(of: /(.*)-([0-9]{5})-of-([0-9]{5})\.gguf/), let number = Int(match.2), let count = Int(match.3), (1...max(count, 1)).contains(number)
    else { return nil }
    (model, self.number, self.count) = (String(match.1), number, count)
  }

  /// The name of another part.
  func part(_ number: Int) -> String {
    func digits(_ number: Int) -> String { String(String(100_000 + number).suffix(5)) }
    return "\(model)-\(digits(number))-of-\(digits(count)).gguf"
  }

  /// Whether all of `names` are parts of one model.
  static func areOfOne(_ names: [String]) -> Bool {
    let parts = names.map(GGUFPartName.init)
    return parts.allSatisfy { $0 != nil && $0?.model == parts.first??.model && $0?.count == parts.first??.count }
  }
}

/// The files that a GGUF is split into. Each says which of how many it is; what describes the model is in the first.
///
/// Source: `llama_model_loader` and `gguf-split.cpp` of llama.cpp.
enum GGUFSplit {
  /// All of them are open at a time, and most systems let a program have 1,024 files.
  static let mostParts = 512
  private static let number = "split.no", count = "split.count", tensors = "split.tensors.count"

  /// The parts of a model in their order, once they are known to belong together; one that isn't split is its own part.
  ///
  /// - Parameters:
  ///   - header: of any part.
  ///   - sibling: opens a file beside it by name; nil where it isn't there.
  /// - Throws: where a part is missing, or parts contradict their names or each other.
  static func parts(
    of header: GGUFHeader, sibling: (String) throws(CheckpointError) -> (any ByteSource)?
  ) throws(CheckpointError) -> [GGUFHeader] {
    let path = header.file.path
    func corrupt(_ message: String) -> CheckpointError { CheckpointError(.corrupt, in: path, message) }
    let stated = try (number: header.metadata.integer(number, path), count: header.metadata.integer(count, path) ?? 0)
    guard stated.count > 1 else {
      guard stated.number ?? 0 == 0, stated.count >= 0 else { throw corrupt("says \(number) is \(stated.number ?? 0) and \(count) \(stated.count), which no part of a model can be") }
      return [header]
    }
    guard stated.count <= mostParts else { throw corrupt("says that it is one of \(stated.count) parts (\(count)); no model has more than \(mostParts)") }
    guard let index = stated.number, (0..<stated.count).contains(index) else {
      throw corrupt("says that it is one of \(stated.count) parts (\(count)), and \(stated.number.map { "that \(number) is \($0)" } ?? "not which: \(number) is missing")")
    }
    let fileName = path.lastComponent?.string ?? ""
    guard let name = GGUFPartName(fileName), name.number == index + 1, name.count == stated.count else {
      throw corrupt(
        "is part \(index + 1) of \(stated.count) of a model (\(number) \(index), \(count) \(stated.count)), and should be called so, as in "
          + "model-00001-of-00003.gguf: otherwise the other parts can't be found")
    }
    var parts: [GGUFHeader] = []
    for other in 0..<stated.count {
      guard other != index else {
        parts.append(header)
        continue
      }
      let otherName = name.part(other + 1)
      guard let file = try sibling(otherName) else {
        throw CheckpointError(
          .corrupt, in: path.removingLastComponent().appending(otherName), "isn't there, but \(fileName) is, which is part \(index + 1) of \(stated.count): a part is missing")
      }
      let part = try GGUFHeader(file)
      let said = try (number: part.metadata.integer(number, file.path), count: part.metadata.integer(count, file.path) ?? 0)
      guard said.number == other, said.count == stated.count else {
        throw CheckpointError(
          .corrupt, in: file.path,
          "says \(number) is \(said.number.map(String.init) ?? "nothing") and \(count) \(said.count), where its name and \(fileName) make it \(other) and \(stated.count)")
      }
      parts.append(part)
    }
    try checkAgreement(parts)
    return parts
  }

  /// - Throws: where parts are of different models, or not all of one.
  private static func checkAgreement(_ parts: [GGUFHeader]) throws(CheckpointError) {
    let first = parts[0]
    let firstName = first.file.path.lastComponent?.string ?? ""
    for part in parts.dropFirst() {
      // In order, so that of several the same one is told each time.
      for (key, value) in part.metadata.values.sorted(by: { $0.key < $1.key }) where key != number && key != "general.alignment" {
        guard try first.metadata[key]?.isEqual(to: value) ?? false else {
          throw CheckpointError(
            .corrupt, in: part.file.path,
            "says \(key) is \(value.json.brief), and \(firstName) says \(first.metadata[key].map(\.json.brief) ?? "nothing of it"): they are parts of different models")
        }
      }
    }
    let found = parts.reduce(0) { $0 + $1.infos.count }
    if let stated = try first.metadata.integer(tensors, first.file.path), stated != found {
      throw CheckpointError(.corrupt, in: first.file.path, "says that the model has \(stated) tensors (\(tensors)); its \(parts.count) parts have \(found)")
    }
  }
}

extension GGUFMetadata.Value {
  fileprivate func isEqual(to other: Self) throws(CheckpointError) -> Bool {
    switch (self, other) {
    case (.array(let a), .array(let b)): try a.isEqual(to: b)
    case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
    default: json == other.json
    }
  }
}

extension CheckpointFolder {
  /// The GGUF in it, or a part of the only one; nil where there is none.
  func gguf() throws(CheckpointError) -> FilePath? {
    let found = names.map(\.string).filter { $0.hasSuffix(".gguf") }.sorted()
    guard found.count > 1, !GGUFPartName.areOfOne(found) else { return found.first.map { path.appending($0) } }
    let parts = found.compactMap(GGUFPartName.init)
    if parts.count == found.count, Set(parts.map(\.model)).count == 1 {
      throw CheckpointError(.corrupt, in: path, "has parts of one model in different numbers, \(found[0]) and \(found[found.count - 1]): only one of the two sets can be the model")
    }
    throw CheckpointError(.refused, in: path, "has \(found.count) .gguf files; name the one that is meant")
  }

  /// Opens a file in it by name; nil where it isn't there.
  func file(_ name: String) throws(CheckpointError) -> (any ByteSource)? { has(name) ? try open(path.appending(name)) : nil }
}
