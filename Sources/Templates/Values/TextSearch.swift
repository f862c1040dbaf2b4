/// Looking for text in text, cutting it and replacing in it, as Python's `str` does.
extension Text {
  /// Where `needle` begins first, at or after `start`, ending at or before `end`.
  func firstIndex(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
    let end = end ?? count
    let length = needle.count
    guard start >= 0, start + length <= end else { return nil }
    guard let first = needle.characters.first else { return start }
    return characters.withUnsafeBufferPointer { hay in
      needle.characters.withUnsafeBufferPointer { needle in
        var at = start
        while at + length <= end {
          if hay[at] == first, (1..<length).allSatisfy({ hay[at + $0] == needle[$0] }) { return at }
          at += 1
        }
        return nil
      }
    }
  }

  func lastIndex(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
    var at = (end ?? count) - needle.count
    while at >= start {
      if characters[at..<at + needle.count].elementsEqual(needle.characters) { return at }
      at -= 1
    }
    return nil
  }

  func hasPrefix(_ prefix: Text) -> Bool { characters.starts(with: prefix.characters) }
  func hasSuffix(_ suffix: Text) -> Bool { count >= suffix.count && characters.suffix(suffix.count).elementsEqual(suffix.characters) }

  subscript(range: Range<Int>) -> Text { Text(characters[range], isSafe: isSafe) }

  /// `str.strip`, `lstrip` and `rstrip`.
  /// - Parameter set: the characters that go; nil for white space.
  func stripping(_ set: Text?, leading: Bool = true, trailing: Bool = true) -> Text {
    let set = set.map { Set($0.characters) }
    func goes(_ character: Character) -> Bool { set.map { $0.contains(character) } ?? character.isSpace }
    var rest = characters[...]
    if leading { rest = rest.drop(while: goes) }
    if trailing { while let last = rest.last, goes(last) { rest.removeLast() } }
    return Text(rest, isSafe: isSafe)
  }

  /// `str.split` by white space.
  func splitBySpace(most: Int) -> [Text] {
    var pieces: [Text] = []
    var rest = characters[...].drop(while: \.isSpace)
    while !rest.isEmpty {
      if pieces.count == most {
        pieces.append(Text(rest, isSafe: isSafe))
        break
      }
      let word = rest.prefix { !$0.isSpace }
      pieces.append(Text(word, isSafe: isSafe))
      rest = rest[word.endIndex...].drop(while: \.isSpace)
    }
    return pieces
  }

  /// `str.rsplit` by white space.
  func splitBySpaceFromEnd(most: Int) -> [Text] {
    Text(characters.reversed(), isSafe: isSafe).splitBySpace(most: most).reversed().map { Text($0.characters.reversed(), isSafe: isSafe) }
  }

  /// `str.split` by a separator that isn't empty.
  func split(by separator: Text, most: Int) -> [Text] {
    var pieces: [Text] = []
    var start = 0
    while pieces.count < most, let at = firstIndex(of: separator, from: start) {
      pieces.append(self[start..<at])
      start = at + separator.count
    }
    return pieces + [self[start..<count]]
  }

  /// `str.rsplit` by a separator that isn't empty.
  func splitFromEnd(by separator: Text, most: Int) -> [Text] {
    var pieces: [Text] = []
    var end = count
    while pieces.count < most, let at = lastIndex(of: separator, to: end) {
      pieces.append(self[at + separator.count..<end])
      end = at
    }
    return (pieces + [self[0..<end]]).reversed()
  }

  func splitLines(keepingEnds: Bool = false) -> [Text] {
    var lines: [Text] = []
    var start = 0
    while start < count {
      let end = characters[start...].firstIndex(where: \.endsLine) ?? count
      var next = min(end + 1, count)
      if next < count, characters[end] == "\r", characters[next] == "\n" { next += 1 }
      lines.append(self[start..<(keepingEnds ? next : end)])
      start = next
    }
    return lines
  }

  /// `str.replace`: the first `most` places, all of them when that is negative.
  func replacing(_ old: Text, with new: Text, most: Int) -> Text {
    let most = most < 0 ? Int.max : most
    var out: [Character] = []
    var done = 0
    if old.isEmpty {
      for (at, character) in characters.enumerated() {
        if at < most {
          out += new.characters
          done += 1
        }
        out.append(character)
      }
      if done < most { out += new.characters }
      return Text(out, isSafe: isSafe)
    }
    var start = 0
    while done < most, let at = firstIndex(of: old, from: start) {
      out += characters[start..<at]
      out += new.characters
      start = at + old.count
      done += 1
    }
    out += characters[start...]
    return Text(out, isSafe: isSafe)
  }

  /// How often `needle` occurs, none over another.
  func occurrences(of needle: Text, from start: Int, to end: Int) -> Int {
    guard start <= end else { return 0 }
    if needle.isEmpty { return end - start + 1 }
    var found = 0
    var start = start
    while let at = firstIndex(of: needle, from: start, to: end) {
      found += 1
      start = at + needle.count
    }
    return found
  }

  func joining(_ pieces: [Text]) -> Text {
    var out: [Character] = []
    for (at, piece) in pieces.enumerated() {
      if at > 0 { out += characters }
      out += isSafe ? piece.escaped.characters : piece.characters
    }
    return Text(out, isSafe: isSafe)
  }
}
