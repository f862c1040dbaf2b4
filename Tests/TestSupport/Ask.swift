import Foundation

/// Hands `value` to a Python script as `given`, and takes what the script leaves in `answer`.
public func ask<Given: Encodable, Answer: Decodable>(
  _ script: String, _ value: Given, as answer: Answer.Type = Answer.self, with peer: Peer = .python
) throws -> Answer {
  try withTemporaryFolder { folder in
    try JSONEncoder().encode(value).write(to: URL(filePath: folder + "/given.json"))
    try python(
      """
      import json, sys
      given = json.load(open(sys.argv[1] + '/given.json', encoding='utf-8'))
      \(script)
      json.dump(answer, open(sys.argv[1] + '/answer.json', 'w'))
      """, folder, with: peer)
    return try JSONDecoder().decode(Answer.self, from: Data(contentsOf: URL(filePath: folder + "/answer.json")))
  }
}
