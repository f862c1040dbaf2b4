/// Upper and lower case as Python's `str` has them: by code point, with Unicode's special casing and the Greek sigma that ends a word.
extension Text {
  var uppercased: Text { Text(characters.flatMap(\.uppercased), isSafe: isSafe) }

  var lowercased: Text {
    var out: [Character] = []
    out.reserveCapacity(count)
    for at in characters.indices { out += lowercased(at) }
    return Text(out, isSafe: isSafe)
  }

  /// `str.capitalize`: the first character in title case, the others in lower case.
  var capitalized: Text {
    guard let first = characters.first else { return self }
    var out = first.titlecased
    for at in characters.indices.dropFirst() { out += lowercased(at) }
    return Text(out, isSafe: isSafe)
  }

  /// `str.title`: what follows a character without case is in title case.
  var titlecased: Text {
    var out: [Character] = []
    var inWord = false
    for at in characters.indices {
      out += inWord ? lowercased(at) : characters[at].titlecased
      inWord = characters[at].isCased
    }
    return Text(out, isSafe: isSafe)
  }

  var swappingCase: Text {
    var out: [Character] = []
    for at in characters.indices {
      out += characters[at].isUpper ? lowercased(at) : characters[at].isLower ? characters[at].uppercased : [characters[at]]
    }
    return Text(out, isSafe: isSafe)
  }

  /// `str.isupper`, `str.islower`: some character has the case, and none the other.
  var isUpper: Bool { characters.contains(where: \.isUpper) && !characters.contains { $0.isLower || $0.isTitle } }
  var isLower: Bool { characters.contains(where: \.isLower) && !characters.contains { $0.isUpper || $0.isTitle } }

  private func lowercased(_ at: Int) -> [Character] {
    guard characters[at].value == 0x3A3 else { return characters[at].lowercased }
    let before = characters[..<at].last { !$0.isCaseIgnorable }
    let after = characters[(at + 1)...].first { !$0.isCaseIgnorable }
    let endsWord = before?.isCased == true && after?.isCased != true
    return [Character(endsWord ? 0x3C2 : 0x3C3, typed: characters[at].isTyped)]
  }
}
