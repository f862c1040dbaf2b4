import Glibc
import Integrity
import Platform
import SystemPackage

/// Checklists come first, then the length of every file, and when there is room for all of them and someone agrees, the rest.
extension Engine {
  func advance() {
    switch phase {
    case .checklists:
      let lists = files.filter(\.isChecklist)
      guard fatal == nil, refusal == nil, lists.allSatisfy(\.stage.isOver) else { return }
      do throws(TransferError) { checklistsAreHere(try readChecklists(lists)) } catch { fatal = error }
    case .survey:
      guard fatal == nil, refusal == nil else { return }
      let open = files.filter { !$0.stage.isOver }
      guard open.allSatisfy({ $0.stage != .preparing && $0.stage != .clearing && $0.length != nil && ($0.isMet || !$0.mustBeMet) || $0.isMet && !$0.takesRanges }) else { return }
      do throws(TransferError) { try survey(open) } catch {
        // A length out of a journal may be of a file that has changed since; only the server's counts.
        let unmet = open.filter { !$0.isMet && $0.stage == .fetching }
        if case .noRoom = error, !unmet.isEmpty {
          for file in unmet { file.mustBeMet = true }
          return
        }
        fatal = error
      }
      phase = .bulk
    case .bulk: break
    }
  }

  private func readChecklists(_ lists: [FileTask]) throws(TransferError) -> [String: Digest] {
    var digests: [String: Digest] = [:]
    for list in lists {
      if list.stage == .failed || list.stage == .skipped { continue }
      let entries = try Self.entries(of: list, at: list.part.path)
      let folder = list.request.path.lastIndex(of: "/").map { list.request.path[...$0] } ?? ""
      for entry in entries where entry.digest.algorithm == .md5 { digests[folder + entry.path.string] = entry.digest }
    }
    // A folder's checklist has to vouch for all of its weights.
    let listed = Set(lists.map { Self.folder(of: $0.request.path) })
    for file in files where !file.isChecklist && file.request.path.hasSuffix(".pth") && listed.contains(Self.folder(of: file.request.path)) {
      if digests[file.request.path] == nil {
        throw .checklist(path: Self.folder(of: file.request.path) + "/checklist.chk", why: "it has no line for \(file.request.path)")
      }
    }
    return digests
  }

  static func entries(of list: FileTask, at path: FilePath) throws(TransferError) -> [Checklist.Entry] {
    guard let bytes = try? SmallFile.read(path, atMost: PartialFile.mostChecklistBytes) else { throw .checklist(path: list.request.path, why: "it can't be read") }
    do { return try Checklist(parsing: bytes, path: FilePath(list.request.path)).entries } catch {
      throw .checklist(path: list.request.path, why: reason(error))
    }
  }

  private static func reason(_ error: ChecklistError) -> String {
    let text = error.description
    // The error begins with the path, as ours does.
    return text.hasPrefix(error.path.string) ? String(text.dropFirst(error.path.string.count).drop { ":, ".contains($0) }) : text
  }

  func checklistsAreHere(_ digests: [String: Digest]) {
    phase = .survey
    for file in files where !file.isChecklist && file.stage == .waiting {
      file.expected = digests[file.request.path]
      begin(file)
    }
  }

  private func survey(_ open: [FileTask]) throws(TransferError) {
    var space = statvfs()
    guard request.folder.withPlatformString({ statvfs($0, &space) }) == 0 else { throw .disk(path: request.folder.string, errno: errno) }
    let (free, overflow) = Int(clamping: space.f_bavail).multipliedReportingOverflow(by: Int(clamping: space.f_frsize))
    var needed = 0
    var missing = 0
    for file in open {
      let length = file.length ?? 0
      let (sum, tooLarge) = needed.addingReportingOverflow(max(0, length - file.part.bytesOnDisk))
      if tooLarge { throw .noRoom(needed: .max, free: free, folder: request.folder) }
      needed = sum
      missing += length - file.arrived.total
    }
    if !overflow, needed > free { throw .noRoom(needed: needed, free: free, folder: request.folder) }
    let present = files.reduce(0) { $0 + ($1.stage.isOver ? $1.length ?? 0 : $1.arrived.total) }
    let survey = TransferSurvey(files: open.count, bytes: missing, bytesPresent: present, free: overflow ? .max : free, expiry: link.expiry)
    if let confirm = download.confirm, !open.isEmpty, !confirm(survey) { throw .declined }
  }
}
