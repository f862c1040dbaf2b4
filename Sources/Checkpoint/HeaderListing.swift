import Catalog
import Integrity
import Platform
import SystemPackage

/// What a folder's files of weights hold by their headers alone, where they make no Llama text model that drover knows: another architecture, or dtypes
/// that it lacks.
public struct HeaderListing: Sendable {
  /// A tensor as the files have it; of one that is cut, a shard's piece.
  public struct Tensor: Sendable, Equatable {
    public var name: String
    /// nil where the header was understood no further than its name.
    public var shape: [Int]?
    public var dtype: String?
    /// Files that have it.
    public var parts: Int
  }

  /// What the file beside the weights says, as it says it.
  public struct Description: Sendable, Encodable {
    let keys: [String: JSONValue]

    public func encode(to encoder: any Encoder) throws { try keys.encode(to: encoder) }
  }

  /// `pth`, `safetensors`, or `pte`: a program for ExecuTorch, which has no list of tensors.
  public let format: String
  /// Files named `consolidated.NN`; 1 without such.
  public let modelParallel: Int
  /// Of `params.json` or `config.json`; empty without either.
  public let description: Description
  /// In order of name.
  public let tensors: [Tensor]
  /// Elements of all tensors whose shapes are known, in all files: copies count.
  public let elementCount: Int
  public var legal: [String]
  /// What the licence is called; nil where nothing says.
  public var licence: String?
  /// What a person should know, in sentences. The first says why this is no Llama text model.
  public let notes: [String]

  /// The dtype of most tensors; nil where none is known.
  public var dominantDType: String? {
    let counts = Dictionary(grouping: tensors.compactMap(\.dtype)) { $0 }.mapValues(\.count)
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
  }

  /// - Parameter error: why no reader takes it.
  /// - Throws: `error`, where there are no headers to show either.
  init(_ folder: CheckpointFolder, because error: CheckpointError) throws(CheckpointError) {
    var tensors: [String: Tensor] = [:]
    var notes = [error.description]
    var elements = 0
    var formats = Set<String>()
    for name in folder.names.sorted(by: { $0.string < $1.string }) {
      let path = folder.path.appending(name)
      switch name.extension {
      case "pte":
        formats.insert("pte")
        notes.append("\(path) is a program for ExecuTorch, with the weights inside it; drover doesn't run such")
      case "pth", "pt", "bin", "safetensors":
        do throws(CheckpointError) {
          let file = try folder.open(path)
          let stored = try WeightsFile.read(file, index: 0)
          formats.insert(try WeightsFile.Kind(file) == .safetensors ? "safetensors" : "pth")
          for (name, tensor) in Self.list(stored) {
            tensors[name, default: tensor].parts += 1
            let count = (tensor.shape ?? []).reduce(tensor.shape == nil ? 0 : 1) { product($0, $1) ?? .max }
            elements = elements.addingReportingOverflow(count).overflow ? .max : elements + count
          }
        } catch {
          // What a server didn't give is no statement on the file.
          if error.cause != nil { throw error }
          notes.append("\(error)")
        }
      default: break
      }
    }
    guard let format = ["pth", "safetensors", "pte"].first(where: formats.contains) else { throw error }
    self.format = format
    modelParallel = try folder.shards(format)?.count ?? 1
    description = Description(keys: Self.statements(folder))
    self.tensors = tensors.values.sorted { $0.name < $1.name }
    elementCount = elements
    let licences = folder.isHere ? Licences(folder: folder.path) : nil
    (legal, licence) = (licences?.files ?? [], licences?.name)
    self.notes = notes
  }

  /// With no part counted yet.
  private static func list(_ stored: StoredTensors) -> [(String, Tensor)] {
    stored.tensors.map { ($0, Tensor(name: $0, shape: $1.shape, dtype: $1.dtype.rawValue, parts: 0)) }
      + stored.others.map { name, reason in
        switch reason {
        case .dtype(let dtype): (name, Tensor(name: name, shape: nil, dtype: dtype, parts: 0))
        case .shape(let shape): (name, Tensor(name: name, shape: shape, dtype: nil, parts: 0))
        case .bit, .made, .value: (name, Tensor(name: name, shape: nil, dtype: nil, parts: 0))
        }
      }
  }

  private static func statements(_ folder: CheckpointFolder) -> [String: JSONValue] {
    for name in ["params.json", "config.json"] where folder.has(name) {
      let path = folder.path.appending(name)
      // A description that can't be read is what the first note is about.
      if let file = try? folder.open(path), let bytes = try? jsonContents(of: file), let keys = try? decodeJSONObject(bytes, in: path) { return keys }
    }
    return [:]
  }
}

/// What can be said of a checkpoint from its headers.
public enum Inspection: Sendable {
  case llama(CheckpointOutline)
  case other(HeaderListing)

  /// Of what is at `path`: a checkpoint's folder, or one file, which is shown as what it is by itself.
  public static func read(at path: FilePath, _ options: Checkpoint.OpenOptions = .init()) throws(CheckpointError) -> Inspection {
    do { return .llama(try CheckpointOutline.read(at: path, options)) } catch {
      guard isOther(error), let folder = try CheckpointFolder(path) else { throw error }
      return .other(try HeaderListing(folder, because: error))
    }
  }

  /// Of a folder that is elsewhere. Parameters are those of `CheckpointOutline.read`.
  public static func read(
    folder: FilePath, names: [String], _ options: Checkpoint.OpenOptions, open: @escaping (String) throws -> any RangeSource
  ) throws -> Inspection {
    do { return .llama(try CheckpointOutline.read(folder: folder, names: names, options, open: open)) } catch let error as CheckpointError {
      guard isOther(error) else { throw error }
      return .other(try CheckpointOutline.listing(folder: folder, names: names, because: error, open: open))
    }
  }

  /// Well formed, but no Llama text model; or without the file that would say what it is.
  private static func isOther(_ error: CheckpointError) -> Bool { error.reason == .unsupported || error.reason == .missing }
}
