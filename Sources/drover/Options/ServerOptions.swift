import ArgumentParser
import Catalog
import Transfer

/// The options of commands that ask servers for releases.
struct ServerOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Releases from this file in place of the catalog.", valueName: "file"))
  var manifest: PathArgument?

  @Option(help: ArgumentHelp("Certificate authorities to trust (PEM), in place of the system's.", valueName: "file"))
  var cacert: PathArgument?

  @Option(parsing: .unconditional, help: ArgumentHelp("Retries in a row, without a byte between them, before a file is given up.", valueName: "n"))
  var retries = 10

  func validate() throws {
    if retries < 0 { throw ValidationError("--retries takes 0 or more.") }
  }

  func catalog() throws(CatalogError) -> Catalog {
    if let manifest { return try Catalog(manifest: manifest.path) }
    return try Catalog.builtIn()
  }
}
