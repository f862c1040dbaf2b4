import Integrity
import Platform
import SystemPackage

extension CheckpointOutline {
  /// Reads the headers of a checkpoint's folder that is elsewhere.
  ///
  /// - Parameters:
  ///   - folder: what messages call it.
  ///   - names: files in it, as a folder of this machine would have them.
  ///   - open: opens one of them.
  ///   - options: such as what the catalog says of the release.
  /// - Throws: what `open` or its sources throw, or `CheckpointError`.
  public static func read(
    folder: FilePath, names: [String], _ options: Checkpoint.OpenOptions, open: @escaping (String) throws -> any RangeSource
  ) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      CheckpointOutline(try Checkpoint.open(CheckpointFolder(path: folder, names: names.sorted(), open: opener(open)), options))
    }
  }

  /// Reads the headers of one file that is elsewhere: torch's, a safetensors file or a GGUF, told apart by their content.
  ///
  /// - Parameters:
  ///   - name: what messages call it.
  ///   - sibling: opens a file beside it by name; nil when it isn't there. Asked for what describes the weights, and for a GGUF's other parts.
  /// - Throws: what `sibling` or the sources throw, or `CheckpointError`.
  public static func read(
    file source: any RangeSource, name: FilePath, sibling: @escaping (String) throws -> (any RangeSource)?
  ) throws -> CheckpointOutline {
    try reading { () throws(CheckpointError) in
      try outline(of: RemoteHeaders(source, path: name), named: name, Checkpoint.OpenOptions()) { description throws(CheckpointError) in
        let beside: (any RangeSource)?
        do { beside = try sibling(description) } catch {
          throw CheckpointError(.io, in: name, "\(description) beside it can't be fetched: \(error)", cause: error)
        }
        return try beside.map { beside throws(CheckpointError) in try RemoteHeaders(beside, path: FilePath(description)) }
      }
    }
  }

  /// Reads the headers of what is at `path`: a checkpoint's folder, or one file, which is shown as what it is by itself.
  public static func read(at path: FilePath, _ options: Checkpoint.OpenOptions = .init()) throws(CheckpointError) -> CheckpointOutline {
    if let folder = try CheckpointFolder(path) { return CheckpointOutline(try Checkpoint.open(folder, options)).with(Licences(folder: path)) }
    let file = try LocalFile(path)
    do throws(CheckpointError) { return try outline(of: file, named: path, options, sibling: file.sibling).with(Licences(file: path)) } catch {
      // Scales may lie in another file, and only the description says what they are for.
      guard error.reason == .unsupported, let checkpoint = try? Checkpoint.open(at: path, options) else { throw error }
      return CheckpointOutline(checkpoint).with(Licences(file: path))
    }
  }

  private func with(_ licences: Licences) -> CheckpointOutline {
    var outline = self
    if outline.legal.isEmpty { outline.legal = licences.files }
    // The weights' own word goes first.
    outline.licence = outline.licence ?? licences.name
    return outline
  }

  /// - Parameter sibling: opens a file beside it by name; nil when it isn't there.
  private static func outline(
    of file: any ByteSource, named name: FilePath, _ options: Checkpoint.OpenOptions,
    sibling: (String) throws(CheckpointError) -> (any ByteSource)?
  ) throws(CheckpointError) -> CheckpointOutline {
    if try WeightsFile.Kind(file) == .gguf { return CheckpointOutline(try GGUFReader.open(file, options, sibling: sibling)) }
    let lone = try LoneFile(file)
    for description in lone.descriptions {
      guard let beside = try sibling(description.rawValue) else { continue }
      let folder = CheckpointFolder(path: name.folder, names: [description.rawValue, name.lastComponent?.string ?? ""]) { path in
        path.lastComponent?.string == description.rawValue ? beside : file
      }
      return CheckpointOutline(try WeightsFolder.open(folder, [[name]], options))
    }
    return try lone.outline()
  }

  /// Lists what the headers in a folder that is elsewhere hold, where no reader makes a model of it.
  static func listing(
    folder: FilePath, names: [String], because error: CheckpointError, open: @escaping (String) throws -> any RangeSource
  ) throws -> HeaderListing {
    try reading { () throws(CheckpointError) in try HeaderListing(CheckpointFolder(path: folder, names: names.sorted(), open: opener(open)), because: error) }
  }

  /// Runs `body`, and throws what a source threw in place of what a reader made of it.
  private static func reading<T>(_ body: () throws(CheckpointError) -> T) throws -> T {
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

extension FilePath {
  /// The folder that it lies in.
  var folder: FilePath {
    let parent = removingLastComponent()
    return parent.isEmpty ? "." : parent
  }
}
