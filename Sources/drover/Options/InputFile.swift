import FoundationEssentials
import Platform
import SystemPackage

/// The whole of a file or pipe that was named on the command line; `-` is standard input.
func readInput(_ path: FilePath) throws(CommandError) -> Data {
  do { return Data(try InputFile.read(path, atMost: 1 << 28)) } catch {
    let isMissing = error == .noSuchFileOrDirectory || error == .notDirectory
    throw CommandError(isMissing ? .noInput : .failure, "\(path): can't be read: \(error)")
  }
}
