/// What a server says of a file that nobody fetches yet.
extension RemoteSession {
  /// Of the file's beginning: enough to tell a page or a line of text from what was asked for.
  private static let lookBytes = 512

  /// Asks for a file's first bytes, which shows whether the link opens it and how long it is.
  /// - Returns: its length; nil where the server doesn't say.
  func look(at file: TransferRequest.File, over link: SignedLink) throws(TransferError) -> Int? {
    for failures in 1... {
      let answer = ask(link.address(of: file.remote), 0..<Self.lookBytes, length: nil, validators: Validators(), isDecoding: false, patience: stallSeconds)
      let host = answer.head.asked ?? link.origin
      if answer.isHTML { throw .html(path: file.path, origin: host) }
      switch answer.judgement {
      case .part(let total, _), .whole(let total):
        var beginning = FirstBytes(of: file.path, isOptional: file.isOptional)
        answer.body.withUnsafeBytes { beginning.take(UnsafeRawBufferPointer(rebasing: $0.prefix(Self.lookBytes))) }
        beginning.end(isEntire: total.map { $0 <= Self.lookBytes } ?? false)
        switch beginning.verdict {
        case .page: throw .html(path: file.path, origin: host)
        case .other(let what): throw .notTheFile(path: file.path, origin: host, what: what)
        case .file, nil: return total
        }
      case .complete(let total): return total
      case .encoded: return nil
      case .refused:
        let refusal = Refusal(answer.head, excerpt: answer.excerpt)
        throw .refused(path: file.path, status: answer.head.status, why: refusal.words(link, host: host, next: "ask for a new link"))
      case .missing: throw .missing(path: file.path, status: answer.head.status)
      case .html: throw .html(path: file.path, origin: host)
      case .busy:
        if let wait = answer.head.retryAfter, wait > retry.longestRetryAfter {
          throw .unavailable(path: file.path, origin: host, why: "the server asks to come back in \(Moment.ago(Int(min(wait, 1e9))))")
        }
      default: break
      }
      if case .final(let why)? = answer.failure { throw .unavailable(path: file.path, origin: link.origin, why: why) }
      if let end = retry.end(failures: failures, silence: nil) {
        throw .unavailable(path: file.path, origin: link.origin, why: (answer.obstacle ?? "it doesn't answer") + end)
      }
      wait(retry.delay(after: failures, asked: answer.head.retryAfter, random: .random(in: 0..<1)))
    }
    return nil
  }
}
