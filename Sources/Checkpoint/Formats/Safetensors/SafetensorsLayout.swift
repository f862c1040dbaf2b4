import Integrity
import Platform

/// Lays out safetensors files.
enum SafetensorsLayout {
  /// The header is padded with spaces, as the format allows, so that the data starts on a page.
  private static let alignment = 4096

  private enum Item {
    case tensor(OutputTensor)
    case extra(ExtraTensor)

    var width: Int {
      switch self {
      case .tensor(let tensor): tensor.dtype.blockBytes
      case .extra(let extra): extra.dtype.width
      }
    }
  }

  /// - Parameter extras: what goes along as it is.
  static func file(_ name: String, _ tensors: [OutputTensor], extras: [ExtraTensor] = []) -> OutputFile {
    // Wider dtypes first, as the reference writer has it: then each tensor starts at a multiple of its element's size, whatever lies before it.
    let all = tensors.map(Item.tensor) + extras.map(Item.extra)
    let items = Set(all.map(\.width)).sorted(by: >).flatMap { width in all.filter { $0.width == width } }
    var entries = ["\"__metadata__\":{\"format\":\"pt\"}"]
    var offset = 0
    func add(_ name: String, _ dtype: String, _ shape: [Int], _ count: Int) {
      entries.append("\(JSONText.quoted(name)):{\"dtype\":\"\(dtype)\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],\"data_offsets\":[\(offset),\(offset + count)]}")
      offset += count
    }
    for item in items {
      switch item {
      case .tensor(let tensor): add(tensor.name, SafetensorsDType.name(tensor.dtype), tensor.shape, tensor.byteCount)
      case .extra(let extra): add(extra.name, extra.dtype.rawValue, extra.shape, extra.bytes.count)
      }
    }
    var header = Array("{\(entries.joined(separator: ","))}".utf8)
    header += [UInt8](repeating: UInt8(ascii: " "), count: (alignment - (8 + header.count) % alignment) % alignment)
    var file = OutputFile(name: name)
    file.append(UInt64(header.count).littleEndianBytes + header)
    for item in items {
      switch item {
      case .tensor(let tensor): for region in tensor.regions { file.append(region) }
      case .extra(let extra): file.append(extra.bytes)
      }
    }
    return file
  }
}
