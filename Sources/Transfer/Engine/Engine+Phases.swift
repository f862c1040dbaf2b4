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
      checklistsAreHere(readChecklists(lists))
    case .survey:
      guard fatal == nil, refusal == nil else { return }
      moveFirstUnasked()
      // Most of thousands of files weren't even asked for.
      if firstUnasked < files.count { return }
      let open = files.filter { !$0.stage.isOver && !$0.isDenied }
      // A file that the server fails to give holds up the others for a moment only.
      let isHeldUp = open.contains(where: \.isMet)
      guard open.allSatisfy({ isHeldUp && $0.length == nil && $0.failures + $0.refusals >= 2 || $0.stage != .preparing && $0.stage != .clearing && $0.length != nil && ($0.isMet || !$0.mustBeMet) || $0.isMet && !$0.takesRanges }) else { return }
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

  /// What the checklists vouch for. A list that couldn't be had, or that lacks weights of its folder, takes what it should vouch for with it, and nothing else.
  private func readChecklists(_ lists: [FileTask]) -> [String: Digest] {
    var digests: [String: Digest] = [:]
    /// The lists of folders that can't be fetched.
    var bad: [String: String] = [:]
    for list in lists {
      let folder = Self.folder(of: list.request.path)
      guard list.stage != .skipped else { continue }
      guard list.stage != .failed else {
        bad[folder] = list.request.path
        continue
      }
      do throws(TransferError) {
        let parent = list.request.path.lastIndex(of: "/").map { list.request.path[...$0] } ?? ""
        for entry in try Self.entries(of: list, at: list.partial?.path ?? "") where entry.digest.algorithm == .md5 { digests[parent + entry.path.string] = entry.digest }
      } catch {
        failures.append(error)
        download.observe(.failed(file: list.index, error))
        bad[folder] = list.request.path
      }
    }
    let listed = Dictionary(lists.map { (Self.folder(of: $0.request.path), $0.request.path) }) { first, _ in first }
    for file in files where file.stage == .waiting && file.request.path.hasSuffix(".pth") && digests[file.request.path] == nil {
      let folder = Self.folder(of: file.request.path)
      guard bad[folder] == nil, let list = listed[folder] else { continue }
      fail(file, .checklist(path: list, why: "it has no line for \(file.request.path)"))
      bad[folder] = list
    }
    for file in files where file.stage == .waiting && !file.request.isOptional {
      if let list = bad[Self.folder(of: file.request.path)] { withhold(file, for: list) }
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
      if case .hash(let digest)? = file.request.digest { file.expected = digest } else { file.expected = digests[file.request.path] }
      begin(file)
    }
  }

  private func survey(_ open: [FileTask]) throws(TransferError) {
    let free: Int?
    do { free = try DiskRoom.free(in: request.folder) } catch { throw .disk(path: request.folder.string, errno: error.rawValue) }
    var needed = 0
    var missing = 0
    for file in open {
      let length = file.length ?? 0
      let (sum, tooLarge) = needed.addingReportingOverflow(max(0, length - file.part.bytesOnDisk))
      if tooLarge { throw .noRoom(needed: .max, free: free ?? .max, folder: request.folder) }
      needed = sum
      missing += length - file.arrived.total
    }
    if let free, needed > free { throw .noRoom(needed: needed, free: free, folder: request.folder) }
    let present = files.reduce(0) { $0 + ($1.stage.isOver ? $1.length ?? 0 : $1.arrived.total) }
    let survey = TransferSurvey(files: open.count, bytes: missing, bytesPresent: present, free: free, expiry: link.expiry)
    if let confirm = download.confirm, !open.isEmpty, !confirm(survey) { throw .declined }
  }
}
