import Integrity
import Platform
import Synchronization
import SystemPackage

/// What becomes of a file: from what is here of it to its name.
extension Engine {
  /// Has someone look at what is here of a file.
  func begin(_ file: FileTask) {
    file.stage = .preparing
    let (index, download) = (file.index, download)
    guard let part = file.partial else {
      let mailbox = mailbox
      guard let chain = (file.part as? PassingFile)?.begin(file.expected, { mailbox.post(.memory) }) else {
        return fail(file, .changed(path: file.request.path, why: "its digest is of another kind now"))
      }
      return prepared(file, .partial(chain, note: nil))
    }
    if file.isChecklist, file.request.stored == nil {
      // A licence that is here is as good as a new one; a checklist is not.
      let chain = file.newChain
      preparing.submit {
        var preparation = Preparation.partial(chain, note: nil)
        do throws(TransferError) {
          try part.open()
          try part.startAfresh()
        } catch { preparation = .failed(error) }
        download.mailbox.post(.prepared(file: index, preparation))
      }
      return
    }
    let resumption = Resumption(
      part: part, expected: file.expected, blob: file.blob, repair: file.request.repair, stored: file.request.stored, follower: file.follower, isTrusting: file.request.isOptional,
      isCancelled: { download.isCancelled.load(ordering: .relaxed) || download.isEnding.load(ordering: .relaxed) })
    preparing.submit { download.mailbox.post(.prepared(file: index, resumption.prepare())) }
  }

  func prepared(_ file: FileTask, _ preparation: Preparation) {
    guard file.stage == .preparing else { return }
    switch preparation {
    // A store's damaged file costs only that file.
    case .failed(.damagedCopy(let path, let source)): fail(file, .damagedCopy(path: path, source: source))
    case .failed(let error): fail(file, error, isFatal: true)
    case .present(let chain):
      file.part.state.update { ($0.length, $0.origin) = (chain.position, .finished) }
      file.result = .init(chain)
      file.begin(with: RangeSet(0..<chain.position), length: chain.position)
      finish(file, .present)
    case .beginning(let chain, let note):
      if let note { tell(note) }
      file.beginning = chain
      file.stage = .fetching
    case .content(let content, let chain):
      file.isCopied = true
      file.begin(with: RangeSet(0..<content.count), length: content.count)
      file.begin(with: chain)
      file.content = content
      file.part.state.update { ($0.isKnown, $0.origin, $0.length) = (true, .thisRun, content.count) }
      file.stage = .fetching
      settle(file)
    case .copied(let chain):
      file.isCopied = true
      prepared(file, .partial(chain, note: nil))
    case .partial(let chain, let note):
      if let note { tell(note) }
      let (written, length) = file.part.state.peek { ($0.written, $0.length) }
      file.begin(with: written, length: length)
      if file.before > 0 { file.isAboveDoubt = false }
      file.begin(with: chain)
      // What has nothing on the disk may come in one piece, and never get there by way of the workers.
      if !written.isEmpty { openLanding(file) }
      file.stage = .fetching
      settle(file)
    }
  }

  /// Has workers take the file's bytes through its chain, as they come.
  func openLanding(_ file: FileTask) {
    guard let chain = file.takeChain() else { return }
    landing.open(file.index, chain, onDisk: file.part.state.peek { $0.written }, length: file.length)
  }

  /// Looks whether the file is whole, and if so whether it is right.
  func settle(_ file: FileTask) {
    guard file.stage == .fetching || file.stage == .verifying, file.isFullyArrived else { return }
    if let content = file.content { return settle(file, content) }
    openLanding(file)
    file.stage = .verifying
    guard landing.isWhole(file.index), let chain = landing.chain(of: file.index) else { return }
    file.result = .init(chain)
    if let expected = file.expected, expected != chain.hash.digest.digest { return mismatched(file, expected, chain.hash.digest.digest) }
    // Of an empty file nothing was written, so it isn't there yet.
    if file.length == 0, let partial = file.partial {
      do throws(TransferError) { _ = try partial.opened() } catch { return fail(file, error, isFatal: true) }
    }
    if file.isChecklist, let partial = file.partial {
      // What is not a checklist must not get the name of one, least of all in place of one that is.
      do throws(TransferError) { _ = try Self.entries(of: file, at: partial.partPath) } catch {
        return discard(file, keeping: false) { _ in error }
      }
    }
    file.stage = .closing
    let (part, partial, index, mailbox, isChecklist, landing, keeper, download) = (file.part, file.partial, file.index, mailbox, file.isChecklist, landing, keeper, download)
    let blob = file.blob
    keeper.submit {
      // Such a file is small, and was written a moment ago.
      if let blob, let partial {
        do throws(Errno) {
          let actual = try GitBlobID(ofFileAt: partial.partPath)
          if actual != blob { return mailbox.post(.otherBlob(file: index, actual)) }
        } catch { return mailbox.post(.committed(file: index, wasThere: false, part.failure(error))) }
      }
      let snapshot = landing.snapshot(of: index)
      landing.close(index)
      keeper.forget(index)
      var failure: TransferError?
      let wasThere = isChecklist && partial?.isSameAsFinished ?? false
      if wasThere {
        _ = part.discard(keeping: false)
      } else if let snapshot {
        do throws(TransferError) {
          if let kept = try part.commit(snapshot) { download.observe(.note("\(part.name): another file had this name; it was kept as \(kept)")) }
        } catch { failure = error }
      }
      mailbox.post(.committed(file: index, wasThere: wasThere, failure))
    }
  }

  /// A small file is here, in memory.
  private func settle(_ file: FileTask, _ content: [UInt8]) {
    file.content = nil
    guard let chain = file.takeChain(), let part = file.partial else { return }
    content.withUnsafeBytes { chain.take($0) }
    file.result = .init(chain)
    if let expected = file.expected, expected != chain.hash.digest.digest { return mismatched(file, expected, chain.hash.digest.digest) }
    if let blob = file.blob {
      let actual = GitBlobID(of: content)
      if actual != blob { return isOtherBlob(file, actual) }
    }
    file.stage = .closing
    keeper.submit(WholeFile(file: file.index, part: part, content: content, hash: chain.hash))
  }

  private func mismatched(_ file: FileTask, _ expected: Digest, _ actual: Digest) {
    // What came from an earlier run, or from an answer that promised no length, may be at fault; one fresh start tells.
    if !file.isAboveDoubt, file.freshStarts == 0, file.partial != nil {
      return startAfresh(file, "what was here before doesn't fit the checklist")
    }
    let path = file.request.path
    discard(file, keeping: request.keepsCorrupt) { .mismatch(path: path, expected: expected, actual: actual, kept: $0) }
  }

  /// The file is whole, and git's name for it is another than its publisher says.
  func isOtherBlob(_ file: FileTask, _ actual: GitBlobID) {
    guard let expected = file.blob else { return }
    if !file.isAboveDoubt, file.freshStarts == 0 { return startAfresh(file, "what was here before isn't of this version") }
    let path = file.request.path
    discard(file, keeping: request.keepsCorrupt) { .otherBlob(path: path, expected: expected, actual: actual, kept: $0) }
  }

  /// Gives a file up, and what is here of it.
  /// - Parameter error: why; told where it was moved.
  private func discard(_ file: FileTask, keeping: Bool, _ error: @escaping @Sendable (_ kept: String?) -> TransferError) {
    file.stage = .closing
    let (part, index, mailbox, landing, keeper) = (file.part, file.index, mailbox, landing, keeper)
    keeper.submit {
      landing.close(index)
      keeper.forget(index)
      mailbox.post(.discarded(file: index, error(part.discard(keeping: keeping))))
    }
  }

  /// Throws away what is here of a file, and begins again.
  /// - Parameter isChange: whether that is because the server has something else now. Then it may not happen often, and every byte is a new one.
  func startAfresh(_ file: FileTask, _ why: String, isChange: Bool = true) {
    for connection in file.connections { connection.ending = .superseded }
    // What has passed can't be had back.
    guard file.partial != nil || file.arrived.isEmpty else { return fail(file, .changed(path: file.request.path, why: why)) }
    if isChange {
      file.freshStarts += 1
      file.forgetMost()
    }
    guard file.freshStarts <= 3 else {
      return fail(file, .unavailable(path: file.request.path, origin: link.origin, why: "the file changes on the server again and again"))
    }
    tell("\(file.request.path): \(why); it is fetched afresh")
    file.stage = .clearing
    let (part, index, mailbox, landing, keeper) = (file.part, file.index, mailbox, landing, keeper)
    keeper.submit {
      landing.close(index)
      keeper.forget(index)
      var failure: TransferError?
      do throws(TransferError) { try part.startAfresh() } catch { failure = error }
      mailbox.post(.cleared(file: index, failure))
    }
  }

  func cleared(_ file: FileTask, _ error: TransferError?) {
    guard file.stage == .clearing else { return }
    (file.isMet, file.isAllocated, file.isAboveDoubt, file.isCopied, file.beginning, file.result, file.otherLength) = (false, false, true, false, nil, nil, nil)
    file.begin(with: RangeSet(), length: (file.part as? PassingFile)?.length)
    _ = file.takeChain()
    file.stage = .fetching
    if let error { return fail(file, error, isFatal: true) }
    landing.open(file.index, file.newChain)
  }

  /// What lies under the final name is no beginning of the file.
  func forgetBeginning(of file: FileTask) {
    file.beginning = nil
    file.begin(with: RangeSet(), length: file.length)
    landing.open(file.index, file.newChain, length: file.length)
  }

  func tell(_ note: String) { download.observe(.note(note)) }

  func fail(_ file: FileTask, _ error: TransferError, isFatal: Bool = false) {
    guard !file.stage.isOver else { return }
    for connection in file.connections { connection.ending = .superseded }
    file.stage = .failed
    failures.append(error)
    if isFatal { fatal = fatal ?? error }
    download.observe(.failed(file: file.index, error))
  }

  /// Gives up what a checklist should vouch for that couldn't be had.
  func withhold(_ file: FileTask, for list: String) {
    guard !file.stage.isOver else { return }
    file.stage = .failed
    download.observe(.withheld(file: file.index, list: list))
  }

  func skip(_ file: FileTask) {
    file.stage = .skipped
    download.observe(.skipped(file: file.index))
  }

  func finish(_ file: FileTask, _ status: TransferReport.Status) {
    guard !file.stage.isOver else { return }
    let total = file.length ?? 0
    file.stage = .finished(status)
    download.observe(.progress(file: file.index, done: total, total: total, before: status == .present || status == .copied ? total : file.before))
    download.observe(.finished(file: file.index, status, isVerified: file.isVouchedFor))
  }
}
