/// What a reader has concluded of a file without looking at it, since each look would have been a request, and what is held against the file when its bytes pass.
package enum PassingHeaders {
  /// Stretches of the file that have to be seen for that, ascending.
  package static func stretches(of file: any ByteSource) throws(CheckpointError) -> [Range<Int>] { try WeightsFile.Kind(file) == .torch ? ZipArchive(file).unconfirmed : [] }

  /// - Parameter file: has these stretches now.
  /// - Throws: `.corrupt` where a conclusion was wrong.
  package static func confirm(_ file: any ByteSource) throws(CheckpointError) { if try WeightsFile.Kind(file) == .torch { try ZipArchive(file).confirm() } }
}
