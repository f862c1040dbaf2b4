import FoundationEssentials
import SystemPackage

/// What a user's file holds can't be used.
struct BadInput: ExitCoded {
  let description: String
  var exit: DroverExit { .badData }

  init(_ description: String) { self.description = description }
}

/// A file that was named on the command line and isn't there.
struct MissingInput: ExitCoded {
  let description: String
  var exit: DroverExit { .noInput }
}

/// The whole of a small file that was named on the command line.
func readInput(_ path: String) throws -> Data {
  do {
    return try Data(contentsOf: URL(filePath: path))
  } catch {
    throw MissingInput(description: "\(path): can't be read; is the name right?")
  }
}
