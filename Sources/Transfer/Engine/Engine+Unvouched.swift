/// Answers for a file that no checksum is known of: nobody notices in the end what isn't noticed here.
///
/// Parts of several answers are only put together where a strong validator, the same one in each, says that they are of one content. Where there is
/// none the file comes in one answer. That answer has to say where it ends, and to say it once.
extension Engine {
  func withoutAnyonesWord(_ judgement: Judgement, _ connection: Connection) -> Judgement {
    let (file, head) = (connection.file, connection.head)
    switch judgement {
    case .part, .whole:
      if head.isContradictory { return .wrong("an answer that says twice how long it is, and not the same") }
    default: break
    }
    switch judgement {
    case .part(let total?, let end):
      if let promised = head.contentLength, !head.isChunked, let range = head.contentRange, promised != range.count {
        return .wrong("an answer of \(promised) bytes that says it is a part of \(range.count)")
      }
      let isAll = connection.asked?.lowerBound == 0 && end == total && file.arrived.isEmpty && file.connections.count == 1
      if isAll || belongs(head, to: file) { return judgement }
      if !file.isMet, file.validators.isStrong, head.validators.isStrong { return .changed }
      return fetchAlone(file, head, total)
    case .whole:
      guard head.isDelimited else { return .wrong("an answer that doesn't say where it ends, and no checklist to tell whether that is all") }
      if file.arrived.isEmpty || belongs(head, to: file) { return judgement }
      startAfresh(file, "an answer broke off, and nothing says that another one is of the same file", isChange: false)
      return .dropped
    default: return judgement
    }
  }

  /// Whether an answer's bytes may stand beside those that are here.
  private func belongs(_ head: ResponseHead, to file: FileTask) -> Bool {
    file.isMet || !file.arrived.isEmpty ? file.validators.vouch(for: head.validators) : head.validators.isStrong
  }

  private func fetchAlone(_ file: FileTask, _ head: ResponseHead, _ total: Int) -> Judgement {
    file.takesRanges = false
    let why = "no checklist vouches for it, and the server gives no strong ETag that would tell whether parts of it belong together"
    guard file.arrived.isEmpty, file.connections.count == 1 else {
      startAfresh(file, why, isChange: false)
      return .dropped
    }
    if file.beginning != nil { forgetBeginning(of: file) }
    learn(file, head, total)
    if file.partial != nil { tell("\(file.request.path): \(why), so it comes in one answer") }
    return .dropped
  }
}
