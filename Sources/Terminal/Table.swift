/// Rows of text in aligned columns.
public struct Table: Sendable {
  public enum Alignment: Sendable { case left, right }

  private let header: [TerminalText]
  private let alignments: [Alignment]
  private var rows: [[TerminalText]] = []

  /// - Parameter alignments: one a column; left where there are fewer.
  public init(_ header: [TerminalText], alignments: [Alignment] = []) {
    self.header = header
    self.alignments = header.indices.map { alignments.indices.contains($0) ? alignments[$0] : .left }
  }

  /// Adds a row; cells beyond the header's are dropped, missing ones are empty.
  public mutating func add(_ cells: TerminalText...) { rows.append(header.indices.map { cells.indices.contains($0) ? cells[$0] : "" }) }

  /// The table as lines, the header in bold where `style` allows.
  /// - Parameter columns: of the terminal, to which the last columns of the table give way; nil for all of them.
  public func render(_ style: Style, within columns: Int? = nil) -> TerminalText {
    var widths = header.indices.map { column in ([header] + rows).map { $0[column].width }.max() ?? 0 }
    while let columns, widths.count > 1, widths.reduce(2 * (widths.count - 1), +) > columns { widths.removeLast() }
    func line(_ cells: [TerminalText], _ inks: Style.Ink?) -> TerminalText {
      var text: TerminalText = ""
      for (column, cell) in cells.prefix(widths.count).enumerated() {
        let room = TerminalText(String(repeating: " ", count: widths[column] - cell.width))
        let inked = inks.map { style(cell, $0) } ?? cell
        let isLast = column == widths.count - 1
        text = text + (alignments[column] == .right ? room + inked : inked + (isLast ? "" : room)) + (isLast ? "" : "  ")
      }
      return text + "\n"
    }
    return line(header, .bold) + rows.map { line($0, nil) }.joined()
  }
}
