import Arrival
import Checkpoint
import Integrity

/// The JSON document of `drover inspect`; its keys are a promise.
struct InspectReport: Encodable {
  struct Tensor: Encodable {
    let name: String
    /// Of the whole tensor. Of another architecture's, which nobody joins here, of a shard's piece, and null where only the name was understood.
    let shape: [Int]?
    let dtype: String?
    let split: String
    let parts: Int
  }

  let format: String
  let modelParallel: Int
  let dtype: String?
  let parameters: Int
  let params: Params
  let tensors: [Tensor]
  /// Licences, policies and cards beside the weights.
  let legal: [String]
  /// What the licence is called.
  let license: String?
  let notes: [String]
  /// Only of what is on a server.
  let fetchedBytes: Int?
  let requests: Int?

  /// What is known of the model, or what its own file says of it.
  enum Params: Encodable {
    case known(CheckpointOutline.Params)
    case stated(HeaderListing.Description)

    func encode(to encoder: any Encoder) throws {
      switch self {
      case .known(let params): try params.encode(to: encoder)
      case .stated(let description): try description.encode(to: encoder)
      }
    }
  }

  init(_ contents: Inspection, _ remote: RemoteCheckpoint?) {
    switch contents {
    case .llama(let outline):
      format = outline.format.rawValue
      modelParallel = outline.modelParallel
      dtype = outline.dominantDType.rawValue
      parameters = outline.parameterCount
      params = .known(outline.params)
      tensors = outline.tensors.map {
        Tensor(name: $0.name.text, shape: $0.shape, dtype: $0.dtype.rawValue, split: $0.split.label, parts: $0.parts)
      }
      (legal, license) = (outline.legal, outline.licence)
      notes = outline.notes
    case .other(let listing):
      format = listing.format
      modelParallel = listing.modelParallel
      dtype = listing.dominantDType
      parameters = listing.elementCount
      params = .stated(listing.description)
      tensors = listing.tensors.map { Tensor(name: $0.name, shape: $0.shape, dtype: $0.dtype, split: "unknown", parts: $0.parts) }
      (legal, license) = (listing.legal, listing.licence)
      notes = listing.notes
    }
    fetchedBytes = remote?.fetchedBytes
    requests = remote?.requests
  }
}

extension LogicalTensor.Split {
  fileprivate var label: String {
    switch self {
    case .whole: "whole"
    case .axis(let axis): "axis \(axis)"
    }
  }
}
