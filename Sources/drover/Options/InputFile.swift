import FoundationEssentials
import SystemPackage

/// The whole of a small file that was named on the command line.
func readInput(_ path: String) throws -> Data {
  do {
    return try Data(contentsOf: URL(filePath: path))
  } catch {
    throw CommandError(.noInput, "\(path): can't be read; is the name right?")
  }
}
