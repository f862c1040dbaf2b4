import ArgumentParser
import Catalog
import Terminal
import Transfer

/// The options of commands that ask servers for releases.
struct ServerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Releases from this file in place of the catalog.", valueName: "file"))
  var manifest: PathArgument?

  @Option(help: ArgumentHelp("Certificate authorities to trust (PEM), in place of the system's.", valueName: "file"))
  var cacert: PathArgument?

  @Flag(help: "Take a signed link without TLS (http://) to another machine: everyone on the way can read and use it.")
  var allowHttp = false

  @Option(parsing: .unconditional, help: ArgumentHelp("Retries without a new byte between them before a file is given up. Otherwise time decides, or ten retries where nothing of a file came.", valueName: "n"))
  var retries: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("How long a file that has delivered is tried again without a new byte, such as 90s, 30m or 2h. Otherwise a download takes half an hour, and a look at headers ten retries.", valueName: "time"))
  var retryTime: TimeSpan?

  func validate() throws {
    if let retries, retries < 0 { throw ValidationError("--retries takes 0 or more.") }
  }

  /// Whether any was given.
  var isGiven: Bool { manifest != nil || cacert != nil || allowHttp || retries != nil || retryTime != nil }

  var retry: RetryPolicy { RetryPolicy(limit: retries, time: retryTime?.seconds) }

  func catalog() throws(CatalogError) -> Catalog {
    if let manifest { return try Catalog(manifest: manifest.path) }
    return try Catalog.builtIn()
  }
}

/// A span of time on the command line.
struct TimeSpan: ExpressibleByArgument {
  let seconds: Double

  init?(argument: String) {
    guard let seconds = Format.parseDuration(argument) else { return nil }
    self.seconds = seconds
  }
}
