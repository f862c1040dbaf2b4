import ArgumentParser
import Arrival
import Catalog
import Checkpoint
import Inference
import Integrity
import SystemPackage
import Terminal
import Tokenization
import Transfer

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

/// What only the command line can see, such as options that exclude each other or a file of the user's that can't be read.
struct CommandError: ExitCoded {
  let exit: DroverExit
  let description: String

  init(_ exit: DroverExit, _ description: String) { (self.exit, self.description) = (exit, description) }
}

extension ExitCode {
  /// Ends the program without a message, where the report has already said what is wrong.
  init(_ exit: DroverExit) { self.init(exit.rawValue) }
}

// MARK: The libraries' errors

extension Interrupted: ExitCoded {
  var exit: DroverExit { .interrupted }
}

extension CatalogError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .unknown: .usage
    case .unreadable: .noInput
    case .malformed: .badData
    }
  }
}

extension WrongLinkError: ExitCoded {
  var exit: DroverExit { .linkRefused }
}

extension ArrivalError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .sharedPath: .usage
    case .noSuchFile: .noInput
    case .unsafePath, .otherVersion, .otherContent, .damagedInCache, .unvouched, .noWeights, .changed: .badData
    case .link, .otherPull: .cannotCreate
    case .unsafeName: .usage
    case .receiptsInterrupted, .repairInterrupted: .interrupted
    }
  }
}

extension LinkError: ExitCoded {
  var exit: DroverExit { .usage }
}

extension TransferError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .link(let error): error.exit
    case .refused: .linkRefused
    case .denied, .missing, .unavailable, .unreadable, .changed: .unavailable
    case .html, .notTheFile, .mismatch, .otherBlob, .checklist, .unsafePath, .damagedCopy: .badData
    case .disk, .noRoom, .busyFolder: .cannotCreate
    case .authorities: .noInput
    case .declined, .interrupted: .interrupted
    case .library: .failure
    }
  }
}

extension HubError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .malformedName, .endpoint, .withoutTLS, .ambiguous, .noCache: .usage
    case .offline, .notInCache, .noRepository, .noRevision, .noFile, .missingFile, .disabled: .noInput
    case .gated, .badToken, .forbidden, .refusedFile: .linkRefused
    case .answer: .badData
    case .unavailable: .unavailable
    }
  }
}

extension VerificationError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .missing, .noChecklist, .notInStore: .noInput
    case .unreadable: .failure
    case .noList, .several: .usage
    case .leavesStore, .manifest, .unusable: .badData
    case .checklist(let error):
      switch error.reason {
      case .unreadable(.fileTooLarge): .badData
      case .unreadable: .failure
      case .standIn, .utf16, .otherAlgorithm, .empty, .malformed, .malformedFromTheStart, .leavesFolder, .listsItself: .badData
      }
    case .receipt(let error): error.exit
    }
  }
}

extension ReceiptError: ExitCoded {
  var exit: DroverExit {
    switch reason {
    case .unreadable(.noSuchFileOrDirectory): .noInput
    case .unreadable, .secret: .failure
    case .unwritable: .cannotCreate
    case .malformed, .ofAnotherKind: .badData
    }
  }
}

extension MD5KernelError: ExitCoded {
  var exit: DroverExit { .usage }
}

extension SHA256KernelError: ExitCoded {
  var exit: DroverExit { .usage }
}

extension CheckpointError: ExitCoded {
  var exit: DroverExit {
    switch reason {
    case .missing: .noInput
    case .corrupt, .unsafe, .unsupported: .badData
    case .refused: .usage
    case .output: .cannotCreate
    case .io: .failure
    case .cancelled: .interrupted
    }
  }
}

extension VocabularyError: ExitCoded {
  var exit: DroverExit {
    switch reason {
    case .missing: .noInput
    case .unreadable: .failure
    case .corrupt, .unsupported: .badData
    }
  }
}

extension InferenceError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .missingTensor, .wrongShape, .unreadableTensor, .badParameters, .unknownToken, .notFinite: .badData
    case .missingTokenizer: .noInput
    case .unknownKernel, .batchTooLarge, .cacheTooLarge, .promptTooLong, .emptyPrompt: .usage
    }
  }
}

extension PromptFileError: ExitCoded {
  var exit: DroverExit { .badData }
}

extension ChatError: ExitCoded {
  var exit: DroverExit {
    switch self {
    case .missingToken: .usage
    case .empty, .unexpectedRole, .reservedTag, .malformed, .template, .withoutMessages: .badData
    case .tokenizer(let error): error.exit
    }
  }
}

extension GuardError: ExitCoded {
  var exit: DroverExit { .usage }
}
