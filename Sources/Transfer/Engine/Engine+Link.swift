import CCurl
import Glibc
import Platform

/// Whether a link is dead, or one file refused.
///
/// A link is dead when its time is over, or when it opens no more what it opened before, which one request finds out. Until then a refusal stays with its
/// file: it is tried again a few times while everything else is fetched. Before a link has opened anything, a refusal says nothing yet: other files are
/// asked for first, and only when all that can be asked for was refused is the link dead.
extension Engine {
  /// Takes account of a file that the link has opened.
  func linkOpens(_ file: FileTask) {
    let isFirst = opened.isEmpty
    lastOpened = steadySeconds()
    if opened.last !== file {
      opened.removeAll { $0 === file }
      opened.append(file)
    }
    if isFirst, check == nil { tryHeldAgain() }
  }

  /// - Parameter origin: who refused.
  func refused(_ connection: Connection, from origin: String) {
    let file = connection.file
    let refusal = Refusal(connection.head, excerpt: connection.excerpt)
    let why = refusal.words(link, host: origin, next: "ask for a new link and run the same command: what is here stays")
    let error = TransferError.refused(path: file.request.path, status: connection.head.status, why: why)
    file.refusalWords = refusal.words(host: origin)
    if refusal.isOver(link) {
      file.held = error
      return linkIsDead(error)
    }
    hold(file, error, askedAt: connection.startedAt)
  }

  /// Something else came in a file's place. Whether that is the link's fault, others tell.
  /// - Parameter askedAt: when a file was asked for that was refused; nil where the link isn't in doubt for it once it has opened others.
  func hold(_ file: FileTask, _ error: TransferError, askedAt: Double? = nil) {
    file.held = error
    // Nothing was opened yet: others are asked for first.
    guard !opened.isEmpty else { return }
    guard let askedAt, lastOpened <= askedAt else { return tryAgain(file, error) }
    if check == nil, let witness = opened.last(where: { $0 !== file }) ?? opened.last { startCheck(witness) }
  }

  /// Decides what can't be decided by waiting: nothing is under way, and the link has opened nothing, or refuses what is left.
  func considerLink() {
    guard fatal == nil, refusal == nil, !isAsking, check == nil, connections.isEmpty else { return }
    let left = files.filter { !$0.stage.isOver }
    guard left.allSatisfy({ $0.held != nil || $0.stage == .waiting }), let held = left.first(where: { $0.held != nil }), let error = held.held else { return }
    if opened.isEmpty {
      // Only checklists were asked for: one other file tells whether it is they that are refused, or the link.
      let others = left.filter { $0.stage == .waiting }
      if let other = others.first(where: { !$0.request.isOptional }) ?? others.first { startCheck(other) } else { linkIsDead(error) }
    } else if left.allSatisfy(\.isDenied) {
      ask(error)
    }
  }

  private func startCheck(_ file: FileTask) {
    guard let handle = EasyHandle.make(to: link, authorities: authorities, stallSeconds: request.stallSeconds) else { return fatal = .library("no more handles") }
    check = LinkCheck(of: file, handle: handle, address: link.address(of: file.request.remote), seconds: request.stallSeconds)
    // The first loop's thread begins it; libcurl may be at work there now.
    mailbox.post(.wake)
  }

  func checkEnded() {
    guard let check else { return }
    endCheck()
    switch check.outcome {
    case .opens:
      linkOpens(check.file)
      tryHeldAgain()
    case .opensNothing:
      if let error = files.lazy.compactMap({ $0.isDenied ? nil : $0.held }).first { linkIsDead(error) }
    // Not the link, but the network or the server: patience decides.
    case .unknown: tryHeldAgain()
    }
  }

  /// On the first loop's thread, as all that libcurl does for it.
  func endCheck() {
    guard let check else { return }
    // It is no error to remove what wasn't begun yet.
    curl_multi_remove_handle(loops[0].multi, check.handle)
    curl_easy_cleanup(check.handle)
    self.check = nil
  }

  private func tryHeldAgain() {
    for file in files where !file.stage.isOver && !file.isDenied { if let error = file.held { tryAgain(file, error) } }
  }

  /// The link opens others, but answered so for this one.
  private func tryAgain(_ file: FileTask, _ error: TransferError) {
    if file.request.isOptional { return skip(file) }
    file.refusals += 1
    guard file.refusals > request.retry.refusals else {
      file.held = nil
      file.notBefore = max(file.notBefore, steadySeconds() + request.retry.delay(after: file.refusals, random: jitter()))
      return settle(file)
    }
    guard case .refused(let path, let status, _) = error, !opened.isEmpty else { return fail(file, error) }
    let names = opened.filter { $0 !== file }.map(\.request.path)
    let others = names.last.map { "the link opens others, such as \($0)" } ?? "the link opened it before"
    let denied = TransferError.denied(path: path, status: status, why: "\(others); \(file.refusalWords)")
    // What a list should vouch for can't wait for another link.
    if file.isChecklist || download.newLink == nil { return fail(file, denied) }
    (file.held, file.isDenied) = (denied, true)
  }

  private func linkIsDead(_ error: TransferError) {
    guard case .refused(let path, let status, let why) = error else { return fatal = fatal ?? error }
    guard refusal == nil else { return }
    let before = opened.last.map { "it opened \(opened.count == 1 ? $0.request.path : "\(opened.count) files") before, and opens nothing now; " } ?? ""
    let error = TransferError.refused(path: path, status: status, why: before + why)
    refusal = error
    ask(error)
  }

  /// Asks for another link, if there is somebody to ask.
  private func ask(_ error: TransferError) {
    guard let ask = download.newLink else { return }
    isAsking = Workers.detach { [download] in
      do { download.mailbox.post(.newLink(try ask(error))) } catch { download.cancel() }
    }
  }

  func answered(_ new: SignedLink?) {
    isAsking = false
    guard let new else {
      for file in files where !file.stage.isOver && file.isDenied { if let error = file.held { fail(file, error) } }
      return
    }
    (link, refusal, opened, lastOpened) = (new, nil, [], -.infinity)
    endCheck()
    for file in files { file.forgive() }
  }
}
