/// Rows of text in aligned columns.
public struct Table: Sendable {
  public enum Alignment: Sendable { case left, right }

  private let header: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// - Parameter alignments: one a column; left where there are fewer.
  public init(_ header: [String], alignments: [Alignment] = []) {
    self.header = header
    self.alignments = header.indices.map { alignments.indices.contains($0) ? alignments[$0] : .left }
  }

  /// Adds a row; cells beyond the header's are dropped, missing ones are empty.
  public mutating func add(_ cells: String...) { rows.append(header.indices.map { cells.indices.contains($0) ? cells[$0] : "" }) }

  /// The table as lines, the header in bold where `style` allows.
  public func render(_ style: Style) -> String {
    let widths = header.indices.map { column in ([header] + rows).map { TextWidth.of($0[column]) }.max() ?? 0 }
    func line(_ cells: [String], _ inks: Style.Ink?) -> String {
      var text = ""
      for (column, cell) in cells.enumerated() {
        let room = String(repeating: " ", count: widths[column] - TextWidth.of(cell))
        let inked = inks.map { style(cell, $0) } ?? cell
        let isLast = column == cells.count - 1
        text += alignments[column] == .right ? room + inked : inked + (isLast ? "" : room)
        if !isLast { text += "  " }
      }
      return text + "\n"
    }
    return line(header, .bold) + rows.map { line($0, nil) }.joined()
  }
}
