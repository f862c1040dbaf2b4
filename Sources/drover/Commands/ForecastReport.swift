import Arrival
import Checkpoint
import Inference
import Platform
import Terminal
import Transfer

/// What `drover download --dry-run` says; the keys of its JSON are a promise.
struct ForecastReport: Encodable {
  private let forecast: Forecast
  private let memory: [ModelMemory]
  private let folder: String
  private let revision: String?

  /// Tokens of the text whose keys and values are counted: what `drover complete` takes where nobody says otherwise.
  private static let context = InferenceOptions.usualLength

  init(_ forecast: Forecast, _ memory: [ModelMemory], into folder: String, revision: String?) {
    (self.forecast, self.memory, self.folder, self.revision) = (forecast, memory, folder, revision)
  }

  private enum Key: CodingKey {
    case dryRun, files, path, bytes, here, status, error, bytesHere, bytesToFetch, disk, needed, free, memory, model, weights, cache, context, link, host, expires, requests, revision
  }

  /// Every key is written, null where there is nothing to say.
  func encode(to encoder: any Encoder) throws {
    var document = encoder.container(keyedBy: Key.self)
    try document.encode(true, forKey: .dryRun)
    var files = document.nestedUnkeyedContainer(forKey: .files)
    for file in forecast.files {
      var entry = files.nestedContainer(keyedBy: Key.self)
      try entry.encode(file.path, forKey: .path)
      try entry.encode(file.bytes, forKey: .bytes)
      try entry.encode(file.here, forKey: .here)
      try entry.encode(file.status.rawValue, forKey: .status)
      try entry.encode(file.failure.map { ProcessSecrets.redact($0.description) }, forKey: .error)
    }
    try document.encode(forecast.bytes, forKey: .bytes)
    try document.encode(forecast.here, forKey: .bytesHere)
    try document.encode(forecast.toFetch.bytes, forKey: .bytesToFetch)
    var disk = document.nestedContainer(keyedBy: Key.self, forKey: .disk)
    try disk.encode(forecast.needed, forKey: .needed)
    try disk.encode(forecast.free, forKey: .free)
    var models = document.nestedUnkeyedContainer(forKey: .memory)
    for model in memory {
      var entry = models.nestedContainer(keyedBy: Key.self)
      try entry.encode(model.name, forKey: .model)
      try entry.encode(model.weights, forKey: .weights)
      try entry.encode(model.shape.map { LanguageModel.cacheBytes($0, tokens: Self.context) }, forKey: .cache)
      try entry.encode(Self.context, forKey: .context)
    }
    var opened = document.nestedContainer(keyedBy: Key.self, forKey: .link)
    try opened.encode(forecast.link.host, forKey: .host)
    try opened.encode(forecast.link.expiry, forKey: .expires)
    try document.encode(forecast.requests, forKey: .requests)
    try document.encode(revision, forKey: .revision)
    try document.encode(forecast.failure.map { ProcessSecrets.redact($0.description) }, forKey: .error)
  }

  func show() {
    var table = Table(["file", "bytes", ""], alignments: [.left, .right, .left])
    for file in forecast.files { table.add(TerminalText(file.path), TerminalText(file.bytes.map(Format.bytes) ?? "?"), TerminalText(Self.words(file))) }
    Console.output(table.render(Style.standardOutput))
    let (count, bytes) = forecast.toFetch
    line("files", "\(forecast.files.count), \(Format.bytes(forecast.bytes)): \(count) to fetch, \(Format.bytes(bytes)); \(Format.bytes(forecast.here)) here")
    line("disk", "\(Format.bytes(forecast.needed)) more in \(folder), where \(forecast.free.map { "\(Format.bytes($0)) are free" } ?? "nothing says how much is free")")
    for model in memory { line("memory", Self.words(model)) }
    let refused = forecast.files.count { $0.status == .failed || $0.status == .unknown }
    let ending = forecast.link.expiry.map { ", and ends in \(Format.duration(Double(max(0, $0 - secondsSinceEpoch()))))" } ?? ""
    line("link", refused == 0 ? "\(forecast.link.host) opens all of it\(ending)" : refused == forecast.files.count ? "\(forecast.link.host) opens nothing of it" : "\(forecast.link.host) opens all but \(refused)\(ending)")
  }

  private func line(_ name: TerminalText, _ value: String) { Console.outputLine("\(Style.standardOutput(name.padded(to: 10), .dim))\(value)") }

  private static func words(_ file: Forecast.File) -> String {
    switch file.status {
    case .present: "here"
    case .stored: "in the hub's cache"
    case .partial: "\(Format.bytes(file.here)) here"
    case .absent: ""
    case .skipped: "not on the server, and not needed"
    case .failed: "can't be had"
    case .unknown: "not asked for"
    }
  }

  private static func words(_ model: ModelMemory) -> String {
    guard let weights = model.weights else { return "\(model.name): how much it takes to run isn't known" }
    let cache = model.shape.map { LanguageModel.cacheBytes($0, tokens: context) }
    return "\(model.name) takes \(Format.bytes(weights)) for its weights to run, and \(cache.map { "\(Format.bytes($0)) for each text of \(context) tokens" } ?? "some more for its texts")"
  }
}
