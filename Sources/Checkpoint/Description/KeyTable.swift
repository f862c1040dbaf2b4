import Platform
import SystemPackage

/// What drover makes of a key of a model's description. `null` says nothing, and is all right for every key.
enum KeyRule: Sendable {
  /// A reader reads it: what it says is computed, or held against the shapes.
  case read
  /// Nothing that is computed from a prompt depends on it.
  case harmless
  /// With one of these values it says what drover computes anyway; with another it doesn't.
  case only([JSONValue])
}

/// Which keys of one kind of description drover understands. Every other key is one that it doesn't honour.
struct KeyTable: Sendable {
  let rules: [String: KeyRule]
  /// What keys begin with that are harmless whatever comes after it.
  var harmlessPrefixes: [String] = []

  /// The keys of `object` that aren't understood, by name.
  /// - Parameter prefix: of an object within the description, its own key and a dot.
  func unhonoured(_ object: [String: JSONValue], prefix: String = "", in file: FilePath) -> [UnhonouredKey] {
    object.sorted { $0.key < $1.key }.compactMap { key, value in
      if value == .null || harmlessPrefixes.contains(where: key.hasPrefix) { return nil }
      switch rules[key] {
      case .read, .harmless: return nil
      case .only(let allowed):
        return allowed.contains(where: value.isSame)
          ? nil : UnhonouredKey(prefix + key, value, in: file, because: "only \(allowed.map(\.brief).joined(separator: " or ")) is supported")
      case nil: return UnhonouredKey(prefix + key, value, in: file)
      }
    }
  }
}
