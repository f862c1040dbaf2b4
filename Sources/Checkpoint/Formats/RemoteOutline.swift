import Integrity
import SystemPackage

extension CheckpointOutline {
  /// Reads the headers of a checkpoint's folder that is elsewhere.
  ///
  /// - Parameters:
  ///   - folder: what messages call it.
  ///   - names: files in it, as a folder of this machine would have them.
  ///   - open: opens one of them.
  /// - Throws: what `open` or its sources throw, or `CheckpointError`.
  public static func read(folder: FilePath, names: [String], open: @escaping (String) throws -> any RangeSource) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      CheckpointOutline(try Checkpoint.open(CheckpointFolder(path: folder, names: names.sorted(), open: opener(open))))
    }
  }

  /// Reads the headers of one file that is elsewhere: a `.pth`, a safetensors file or a GGUF, told apart by their content.
  ///
  /// - Parameters:
  ///   - name: what messages call it.
  ///   - sibling: opens a file beside it by name; nil when it isn't there. Asked for what describes the weights.
  /// - Throws: what `sibling` or the sources throw, or `CheckpointError`.
  public static func read(
    file source: any RangeSource, name: FilePath, sibling: @escaping (String) throws -> (any RangeSource)?
  ) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      let file = try RemoteHeaders(source, path: name)
      if try Checkpoint.Format.ofFile(file) == .gguf { return CheckpointOutline(try GGUFReader.open(file)) }
      let lone = try LoneFile(file)
      guard let description = lone.description else { return try lone.outline() }
      let beside: (any RangeSource)?
      do { beside = try sibling(description) } catch {
        throw CheckpointError(.io, in: name, "\(description) beside it can't be fetched: \(error)", cause: error)
      }
      guard let beside else { return try lone.outline() }
      let path = FilePath(description)
      let descriptionFile = try RemoteHeaders(beside, path: path)
      let folder = CheckpointFolder(path: "", names: [description, name.string]) { $0 == path ? descriptionFile : file }
      return CheckpointOutline(
        description == "config.json"
          ? try HuggingFaceReader.open(folder, [name]) : try Checkpoint.meta(folder, [[name]], lone.format))
    }
  }

  /// Runs `body`, and throws what a source threw in place of what a reader made of it.
  private static func reading(_ body: () throws(CheckpointError) -> CheckpointOutline) throws -> CheckpointOutline {
    do { return try body() } catch { throw error.cause ?? error }
  }

  private static func opener(_ open: @escaping (String) throws -> any RangeSource) -> (FilePath) throws(CheckpointError) -> any ByteSource {
    { path throws(CheckpointError) in
      let source: any RangeSource
      do { source = try open(path.lastComponent?.string ?? "") } catch {
        throw CheckpointError(.io, in: path, "can't be fetched: \(error)", cause: error)
      }
      return try RemoteHeaders(source, path: path)
    }
  }
}
