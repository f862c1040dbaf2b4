import ArgumentParser
import Terminal

/// The exit codes that scripts rely on (`sysexits.h` where it has one).
enum DroverExit: Int32 {
  /// Failed for a reason not below (I/O, internal).
  case failure = 1
  /// The command was used wrongly.
  case usage = 64
  /// Data is bad: checksum differs, file corrupt, unsafe, or of an unsupported kind.
  case badData = 65
  /// An input isn't there.
  case noInput = 66
  /// The network or server would not, after all retries.
  case unavailable = 69
  /// Output can't be made: exists already, no space, no permission.
  case cannotCreate = 73
  /// The link was refused or has expired.
  case linkRefused = 77
  case interrupted = 130
}

/// An error that knows the exit code it ends the program with. Its description is the message: what, where, what to do next.
protocol ExitCoded: Error, CustomStringConvertible {
  var exit: DroverExit { get }
}

/// A mistake that only the command line can see, such as options that exclude each other.
struct UsageError: ExitCoded {
  let description: String
  var exit: DroverExit { .usage }

  init(_ description: String) { self.description = description }
}

extension Interrupted: ExitCoded {
  var exit: DroverExit { .interrupted }
}

/// Ends the program with `code` and no message: the report already said what is wrong.
func exit(_ code: DroverExit) -> ExitCode { ExitCode(code.rawValue) }
