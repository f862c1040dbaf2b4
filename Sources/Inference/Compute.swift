import CKernels

/// The operations that the transformer is written in: kernels, spread over threads.
///
/// No result depends on how work is divided: each output element is one task's, and its sum has one order.
final class Compute: Sendable {
  let kernels: Kernels
  let pool: ThreadPool
  /// For each thread, room for the rows of a weight matrix in float32.
  private let scratch: [FloatMemory]

  /// Float32 values of a run of weight rows that stay in a core's second-level cache while all tokens are multiplied by them.
  private static let panelFloats = 64 * 1024
  /// Weight bytes of a task when one token is multiplied: enough that claiming the task costs little beside it, few enough that threads end together.
  private static let bytesPerTask = 64 * 1024

  /// - Parameter columns: the widest matrix that will be multiplied.
  init(kernels: Kernels, pool: ThreadPool, columns: Int) throws(InferenceError) {
    self.kernels = kernels
    self.pool = pool
    var scratch: [FloatMemory] = []
    for _ in 0..<pool.threads {
      scratch.append(try FloatMemory(count: max(Self.panelFloats, 4 * padded(columns)), for: "a thread's scratch"))
    }
    self.scratch = scratch
  }

  /// `y = x · Wᵀ + b` for the first `count` rows of x and each of the weights: x is [count, columns], W [rows, columns], y [count, rows], b [rows] or none.
  func multiply(_ x: Rows, _ count: Int, _ outputs: (weights: Matrix, y: Rows)...) {
    let columns = padded(x.width)
    let rowsPerTask = outputs.map { weights, _ in
      count == 1
        ? max(4, Self.bytesPerTask / max(1, weights.rowBytes) & ~3)
        : max(4, min(Self.panelFloats / columns, weights.rows / (2 * pool.threads)) & ~3)
    }
    var starts = [0]
    for (output, rows) in zip(outputs, rowsPerTask) { starts.append((starts.last ?? 0) + (output.weights.rows + rows - 1) / rows) }

    pool.run(starts.last ?? 0) { [firstTask = starts] task, worker in
      var index = 0
      while firstTask[index + 1] <= task { index += 1 }
      let (weights, y) = outputs[index]
      let first = (task - firstTask[index]) * rowsPerTask[index]
      let rows = first..<min(first + rowsPerTask[index], weights.rows)
      let scratch = scratch[worker].base
      if count == 1 {
        weights.multiply(rows: rows, by: x[0], into: y[0] + first, scratch: scratch, kernels)
      } else {
        weights.unpack(rows: rows, into: scratch, kernels)
        kernels.table.gemm_nt(x[0], x.stride, count, scratch, columns, rows.count, columns, y[0] + first, y.stride)
      }
      if let bias = weights.bias {
        for token in 0..<count {
          let row = y[token]
          for index in rows { row[index] += bias[index] }
        }
      }
    }
  }

  /// Row i of `y` [indices.count, columns] = the weights' row `indices[i]`, in float32.
  func gather(_ weights: Matrix, _ indices: [Int], into y: Rows) {
    forEachRow(indices.count) { row in weights.unpack(rows: indices[row]..<indices[row] + 1, into: y[row], kernels) }
  }

  /// RMSNorm (arXiv:1910.07467) of each row: `y = x / sqrt(mean(x²) + epsilon) * weight`.
  func rmsNorm(_ x: Rows, _ count: Int, _ weight: [Float], epsilon: Float, into y: Rows) {
    forEachRow(count) { row in
      weight.withUnsafeBufferPointer { weight in
        if let weight = weight.baseAddress { kernels.table.rms_norm(x[row], weight, epsilon, x.width, y[row]) }
      }
    }
  }

  /// `h1 = silu(h1) · h3`, element by element, with `h1 = w1 x` and `h3 = w3 x`.
  func swiglu(_ h1: Rows, _ h3: Rows, _ count: Int) {
    forEachRow(count) { row in kernels.table.swiglu(h1[row], h3[row], h1.width) }
  }

  /// `x += y`.
  func add(_ y: Rows, to x: Rows, _ count: Int) {
    forEachRow(count) { row in kernels.table.add(x[row], y[row], x.width) }
  }

  /// Calls `body` for each row, with memory for the longest row in float32, on all threads.
  func forEachRowOnAllThreads(_ count: Int, _ body: @Sendable (_ row: Int, _ scratch: UnsafeMutablePointer<Float>) -> Void) {
    let run = 16
    pool.run((count + run - 1) / run) { task, worker in
      for row in task * run..<min((task + 1) * run, count) { body(row, scratch[worker].base) }
    }
  }

  /// Calls `body` for each row; on all threads where there are two runs of rows or more, since waking them costs as much as a few rows.
  func forEachRow(_ count: Int, _ body: @Sendable (_ row: Int) -> Void) {
    let run = 16
    guard count >= 2 * run else {
      for row in 0..<count { body(row) }
      return
    }
    pool.run((count + run - 1) / run) { task, _ in
      for row in task * run..<min((task + 1) * run, count) { body(row) }
    }
  }
}
