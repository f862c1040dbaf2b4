import ArgumentParser
import SystemPackage
import Terminal
import Transfer

/// How a model is fetched, for the commands that fetch all of one.
struct TransferOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The signed link, in single quotes.", valueName: "link"))
  var url: TextArgument?

  @Option(parsing: .unconditional, help: ArgumentHelp("Connections at a time. Otherwise as many as help.", valueName: "n"))
  var connections: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("Most bytes a second, such as 50M.", valueName: "rate"))
  var limitRate: ByteCount?

  @Flag(name: .shortAndLong, help: "Don't ask before starting. Another link is still asked for when this one ends.")
  var yes = false

  @OptionGroup var hub: HubOptions
  @OptionGroup var server: ServerOptions

  func validate() throws {
    if let connections, !(1...64).contains(connections) { throw ValidationError("--connections takes 1 to 64.") }
    if let limitRate, limitRate.bytes < 1 { throw ValidationError("--limit-rate takes at least 1 byte a second.") }
  }

  /// Without files.
  func request(into folder: FilePath) -> TransferRequest {
    TransferRequest(files: [], folder: folder, connections: connections, bytesPerSecond: limitRate?.bytes, authorities: server.cacert?.path, retry: server.retry)
  }

  /// Of `given` what says how files come, and not which.
  static let ways: Set = ["models", "manifest", "connections", "limit-rate"]

  /// The options for the receipt: what shaped the download, without the link and without places on this machine.
  func given(_ models: [String]) -> [String: String] {
    var given: [String: String] = [:]
    given["models"] = models.isEmpty ? nil : models.joined(separator: ",")
    given["manifest"] = server.manifest?.path.lastComponent?.string
    given["include"] = hub.include.isEmpty ? nil : hub.include.joined(separator: ",")
    given["exclude"] = hub.exclude.isEmpty ? nil : hub.exclude.joined(separator: ",")
    given["connections"] = connections.map(String.init)
    given["limit-rate"] = limitRate.map { String($0.bytes) }
    return given
  }
}

/// A number of bytes on the command line.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    guard let bytes = Format.parseBytes(argument) else { return nil }
    self.bytes = bytes
  }
}
