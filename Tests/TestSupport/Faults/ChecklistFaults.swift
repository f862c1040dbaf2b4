import Foundation

/// Checklists that are none, or not of these files.
let checklistFaults: [Fault] = [
  Fault("checklist missing", .failure("missing"), unvouched: .notAsked) { request, _ in isList(request) ? FaultServer.status(404) : nil },
  Fault("checklist empty", .failure("checklist"), unvouched: .notAsked) { request, _ in isList(request) ? FaultServer.good(request, Array("\n".utf8)) : nil },
  Fault("checklist of no bytes", .failure("checklist"), unvouched: .notAsked) { request, _ in isList(request) ? FaultServer.good(request, []) : nil },
  Fault("checklist malformed", .failure("checklist"), unvouched: .notAsked) { request, _ in isList(request) ? FaultServer.good(request, Array("what is this\n".utf8)) : nil },
  Fault("checklist that names ../x", .failure("checklist"), unvouched: .notAsked) { request, content in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  ../x\n".utf8) + (content ?? [])) : nil
  },
  Fault("checklist that names an absolute path", .failure("checklist"), unvouched: .notAsked) { request, content in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  /etc/passwd\n".utf8) + (content ?? [])) : nil
  },
  Fault("checklist without a line for the weights", .failure("checklist"), unvouched: .notAsked) { request, _ in
    isList(request) ? FaultServer.good(request, Array("d41d8cd98f00b204e9800998ecf8427e  params.json\n".utf8)) : nil
  },
  Fault("checklist with another digest", .failure("mismatch"), unvouched: .notAsked) { request, content in
    isList(request) ? FaultServer.good(request, content.map { Array(String(decoding: $0, as: UTF8.self).replacing(/[0-9a-f]{32}(?=  [^\n]*\n$)/, with: "d41d8cd98f00b204e9800998ecf8427e").utf8) }) : nil
  },
  Fault("checklist without an end", .failure("checklist"), unvouched: .notAsked) { request, _ in
    isList(request) ? FaultServer.good(request, [UInt8](repeating: 0x23, count: 17 << 20)) : nil
  },
  Fault("checklist that the server fails to give", .failure("unavailable"), unvouched: .notAsked, retries: 2) { request, _ in isList(request) ? FaultServer.status(500) : nil },
  Fault("checklist refused", .failure("denied"), unvouched: .notAsked, words: ["f/checklist.chk", "the link opens others"]) { request, _ in
    isList(request) ? FaultServer.status(403) : nil
  },
]
