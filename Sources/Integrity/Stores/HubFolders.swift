import SystemPackage

#if canImport(Glibc)
  import Glibc
#endif

/// Where huggingface_hub keeps what it has fetched and what `hf auth login` has left, by the variables that it goes by (its `constants.py`).
public struct HubFolders: Sendable {
  /// The cache, `hub` in HF_HOME unless HF_HUB_CACHE names it; nil where nobody has a home.
  public let cache: FilePath?
  public let token: FilePath?

  /// - Parameter variables: the environment's. One that is empty counts as unset.
  public init(_ variables: [String: String]) {
    func variable(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    func expanded(_ text: String) -> FilePath { FilePath(Self.expand(text, variable)) }
    let caches = variable("XDG_CACHE_HOME") ?? Self.home(variable).map { $0 + "/.cache" }
    let home = (variable("HF_HOME") ?? caches.map { $0 + "/huggingface" }).map(expanded)
    cache = (variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE")).map(expanded) ?? home?.appending("hub")
    token = variable("HF_TOKEN_PATH").map(expanded) ?? home?.appending("token")
  }

  /// The home of whoever runs this: HOME, else what the system's list of people says.
  static func home(_ variable: (String) -> String?) -> String? {
    if let home = variable("HOME") { return home }
    guard let entry = getpwuid(getuid()), let folder = entry.pointee.pw_dir else { return nil }
    return String(cString: folder)
  }

  /// `~` at the beginning, then `$NAME` and `${NAME}`, as Python's `expanduser` and `expandvars` have them: what isn't set stays as it stands.
  static func expand(_ text: String, _ variable: (String) -> String?) -> String {
    var text = text
    if text == "~" || text.hasPrefix("~/"), let home = home(variable) { text = home + text.dropFirst() }
    var result = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[rest.index(after: dollar)...]
      let isBraced = rest.first == "{"
      let name = isBraced ? rest.dropFirst().prefix { $0 != "}" } : rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
      let end = isBraced && name.endIndex < rest.endIndex ? rest.index(after: name.endIndex) : name.endIndex
      guard !name.isEmpty, !isBraced || name.endIndex < rest.endIndex, let value = variable(String(name)) else {
        result += "$"
        continue
      }
      result += value
      rest = rest[end...]
    }
    return result + rest
  }
}
