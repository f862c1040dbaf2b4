import SystemPackage

/// What a model's description says of its keys and values: enough to tell how much memory they take before any weight is here.
public struct StatedShape: Sendable, Equatable {
  public let layers: Int
  public let kvHeads: Int
  public let headDim: Int

  public init(layers: Int, kvHeads: Int, headDim: Int) { (self.layers, self.kvHeads, self.headDim) = (layers, kvHeads, headDim) }

  /// The names of files that describe models.
  public static let files = [DescriptionFile.config.rawValue, DescriptionFile.params.rawValue]

  /// Reads a `config.json` or `params.json`.
  /// - Returns: nil where it doesn't say enough, or is of another kind of model.
  public init?(_ source: any RangeSource, named name: String) {
    guard let file = try? RemoteHeaders(source, path: FilePath(name)), let stated = try? name == DescriptionFile.config.rawValue ? HuggingFaceConfig.stated(in: file) : MetaParams.stated(in: file),
      let layers = stated.layers, stated.heads > 0, let headDim = stated.headDim ?? stated.dim.map({ $0 / stated.heads }), layers > 0, headDim > 0
    else { return nil }
    let kvHeads = stated.kvHeads ?? stated.heads
    guard kvHeads > 0 else { return nil }
    self.init(layers: layers, kvHeads: kvHeads, headDim: headDim)
  }
}
