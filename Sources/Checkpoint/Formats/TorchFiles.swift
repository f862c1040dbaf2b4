import SystemPackage

/// Files that torch wrote, under whatever names: torchtune's `meta_model_0.pt`, `consolidated.pth`, gpt-fast's `model.pth`, litgpt's `lit_model.pth`,
/// Lightning's `*.ckpt`, transformers' `pytorch_model.bin`.
extension CheckpointFolder {
  private static let endings: Set<String> = ["pth", "pt", "bin", "ckpt", "th"]
  /// Of a folder with more of them nobody can say which is the model.
  private static let mostFiles = 64

  /// The files of torch's that hold the weights of one model.
  ///
  /// - Returns: nil where there is none with one of these endings.
  /// - Throws: where several could be meant, and where none holds weights.
  func torchFiles() throws(CheckpointError) -> [FilePath]? {
    let found = names.filter { ($0.extension.map(Self.endings.contains) ?? false) && !$0.string.hasPrefix("fp8_scales_") }.sorted { $0.string < $1.string }
    guard !found.isEmpty else { return nil }
    // Elsewhere each look at a file costs a request, and a name has to do.
    let whole = "pytorch_model.bin"
    if has(whole) { return [path.appending(whole)] }
    guard found.count <= Self.mostFiles else { throw CheckpointError(.refused, in: path, "has \(found.count) files that torch may have written; name the one that is meant") }
    var models: [[FilePath]] = []
    var failure: CheckpointError?
    for name in found {
      let paths = try counted(name) ?? [path.appending(name)]
      // Of those that belong together the first stands for all.
      guard paths.first == path.appending(name) else { continue }
      do throws(CheckpointError) {
        if try holdsWeights(paths[0]) { models.append(paths) }
      } catch {
        failure = failure ?? error
      }
    }
    if let only = models.first {
      guard models.count == 1 else {
        let some = models.prefix(3).compactMap { $0[0].lastComponent?.string }.joined(separator: ", ")
        throw CheckpointError(.refused, in: path, "has \(models.count) files with the weights of a model, such as \(some); name the one that is meant")
      }
      return only
    }
    if let failure { throw failure }
    let some = found.prefix(3).map(\.string).joined(separator: ", ")
    throw CheckpointError(.missing, in: path, "holds no checkpoint: no tensor in \(some) is called as a Llama's")
  }

  private func holdsWeights(_ path: FilePath) throws(CheckpointError) -> Bool {
    NamingScheme.of(try WeightsFile.read(open(path), index: 0).names) != nil
  }

  /// The files that `name` is one of, when it is called `…-00001-of-00003.bin`, in order.
  /// - Returns: nil for another name.
  /// - Throws: when one of them is missing.
  func counted(_ name: FilePath.Component?) throws(CheckpointError) -> [FilePath]? {
    guard let name, let match = name.string.wholeMatch(of: /(.*-)([0-9]{1,6})-of-([0-9]{1,6})(\.[a-z]+)/), let count = Int(match.3), count > 0 else { return nil }
    var paths: [FilePath] = []
    for number in 1...count {
      let digits = String(number)
      let padded = String(repeating: "0", count: max(0, match.2.count - digits.count)) + digits
      let other = "\(match.1)\(padded)-of-\(match.3)\(match.4)"
      guard has(other) else { throw CheckpointError(.corrupt, in: path.appending(other), "isn't there, but \(name) is: a file is missing") }
      paths.append(path.appending(other))
    }
    return paths
  }
}
