import Checkpoint
import SystemPackage
import Terminal

/// Says of each folder of these files what its model's description says and drover doesn't honour: such a model can be whole and still not run.
func noteUnhonouredKeys(of files: [FilePath]) {
  var seen: Set<FilePath> = []
  for file in files {
    let folder = file.removingLastComponent()
    guard seen.insert(folder).inserted else { continue }
    for key in UnhonouredKey.keys(in: folder) { Console.note("note: \(key.note)") }
  }
}
