import Glibc
import Integrity
import Platform
import SystemPackage

/// A downloaded file that has its final name, and beside which a journal still lies.
///
/// While other files of a release are missing, the journal of one that is whole stays: its hash with the chain's states, and what its follower made of
/// it. So the run that completes the release, and writes its receipt, reads no finished file again.
public enum FinishedFile {
  /// To read a smaller file again takes no time, so no journal of it stays.
  public static let leastBytes = ChainStates.interval

  /// Removes the journal, once a receipt says what it said.
  /// - Parameter path: the file's final name.
  public static func forgetJournal(of path: FilePath) {
    let file = PartialFile(path: path, name: path.string, remote: "")
    // With a partial file beside it, it is of another version that is on its way.
    if !file.partPath.allows(F_OK) { file.removeJournal() }
  }
}
