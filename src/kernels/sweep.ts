import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { SweepInput, SweepResult } from './kernels.ts'
import { roundUp } from './round-up.ts'
import { smallFloats } from './small-floats.ts'
import { sweepColumns, sweepRows } from './tiles.ts'

/** Rows are taken through the wasm memory in strips of at most this size, so that beside U little is needed. */
const stripBytes = 64 * 2 ** 20
/** Rows of U packed at a time: the lines of 64 rows of U stay in cache while their panels are cut out. */
const packRows = 64
/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 4

/**
 * U [n, n] in panels of 4 columns, panel p with rows 0 .. 4p+3, [row][4]: a panel is read in one straight line. Columns that fill the last
 * panel get an infinite diagonal, so their error is 0.
 */
function packFactor(factor: Float32Array, n: number, packed: Float32Array): void {
  const padded = roundUp(n, sweepColumns)
  const whole = n - (n % sweepColumns)
  for (let top = 0; top < padded; top += packRows) {
    for (let k = top; k < padded; k += sweepColumns) {
      const panel = (k * (k + sweepColumns)) / 2
      const end = Math.min(top + packRows, k + sweepColumns)
      if (k < whole) {
        // Columns one by one, which is not a loop of four that has to be begun 295,000 times for 1536 columns: 1.1 ms in place of 2.9.
        for (let j = top, from = top * n + k, to = panel + top * sweepColumns; j < end; j++, from += n, to += sweepColumns) {
          packed[to] = factor[from]
          packed[to + 1] = factor[from + 1]
          packed[to + 2] = factor[from + 2]
          packed[to + 3] = factor[from + 3]
        }
        continue
      }
      for (let j = top; j < end; j++) {
        for (let c = 0; c < sweepColumns; c++) {
          const inside = j < n && k + c < n
          packed[panel + j * sweepColumns + c] = inside ? factor[j * n + k + c] : j === k + c ? Infinity : 0
        }
      }
    }
  }
}

/** [rows, groups] → float32 [groups, stride], the rows from `from` on; `filler` beyond the last row. */
function transpose(
  source: Float32Array | Int8Array | null,
  input: SweepInput,
  from: number,
  stride: number,
  filler: number,
  out: Float32Array,
): void {
  const { rows, groups } = input
  if (!source) {
    out.fill(filler)
    return
  }
  for (let group = 0; group < groups; group++) {
    for (let row = 0; row < stride; row++) {
      const at = from + row
      out[group * stride + row] = at < rows ? (source[at * groups + group] ?? 0) : filler
    }
  }
}

/** Rows of the strip [.., columns] of a matrix with `padded` columns, in sweep order; zero beyond the last row and column. */
function copyRows(input: SweepInput, from: number, stride: number, padded: number, out: Float32Array): void {
  const { rows, columns, weight, order } = input
  if (!order && padded === columns) {
    const strip = weight.subarray(from * columns, Math.min(rows, from + stride) * columns)
    out.set(strip)
    out.fill(0, strip.length)
    return
  }
  const count = Math.min(stride, rows - from)
  out.fill(0, padded === columns ? count * padded : 0)
  for (let row = 0; row < count; row++) {
    const at = (from + row) * columns
    if (order) for (let j = 0, to = row * padded; j < columns; j++) out[to + j] = weight[at + order[j]]
    else out.set(weight.subarray(at, at + columns), row * padded)
  }
}

/** Codes of a strip with `padded` columns, in sweep order, to the columns of W: rows of `out`. */
function takeCodes(strip: Uint8Array, padded: number, columns: number, order: Int32Array | undefined, out: Uint8Array): void {
  for (let at = 0, own = 0; at < out.length; at += columns, own += padded) {
    if (order) for (let j = 0; j < columns; j++) out[at + order[j]] = strip[own + j]
    else out.set(strip.subarray(own, own + columns), at)
  }
}

/** Rows [.., columns] of a strip with `padded` columns. */
function takeRows(strip: Float32Array, padded: number, columns: number, out: Float32Array): void {
  if (padded === columns) {
    out.set(strip)
    return
  }
  for (let at = 0, to = 0; at < strip.length; at += padded, to += columns) out.set(strip.subarray(at, at + columns), to)
}

/** `SweepInput` through the wasm export `sweep`. */
export async function wasmSweep(memory: WebAssembly.Memory, crew: Crew, input: SweepInput): Promise<SweepResult> {
  const { rows, columns, groups, float, min, max, order } = input
  const kind = float ? smallFloats[float].id : 0
  const padded = roundUp(columns, sweepColumns)
  const stride = Math.min(roundUp(rows, sweepRows), Math.max(sweepRows, Math.floor(stripBytes / (padded * 4 * sweepRows)) * sweepRows))
  const arena = new Arena(memory, `sweep a matrix of ${rows} x ${columns}`)
  const packedLength = (padded * (padded + sweepColumns)) / 2
  const factor = arena.take(packedLength * 4)
  const weight = arena.take(stride * padded * 4)
  const scale = arena.take(groups * stride * 4)
  const zero = arena.take(groups * stride * 4)
  const groupOf = arena.take(padded * 4)
  const codes = arena.take(stride * padded)
  const loss = arena.take(stride * 4)
  const scratch = arena.take(crew.lanes * padded * sweepRows * 4)
  const errors = input.errors ? arena.take(stride * padded * 4) : 0
  const { buffer } = memory

  packFactor(input.factor, columns, new Float32Array(buffer, factor, packedLength))
  const groupView = new Int32Array(buffer, groupOf, padded)
  groupView.fill(0)
  groupView.set(input.groupOf)

  const found = new Uint8Array(rows * columns)
  const losses = new Float32Array(rows)
  for (let from = 0; from < rows; from += stride) {
    copyRows(input, from, stride, padded, new Float32Array(buffer, weight, stride * padded))
    transpose(input.scale, input, from, stride, 1, new Float32Array(buffer, scale, groups * stride))
    transpose(input.zeroPoint, input, from, stride, 0, new Float32Array(buffer, zero, groups * stride))
    const count = Math.min(stride, rows - from)
    const step = roundUp(Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane)), sweepRows)
    const calls: Call[] = []
    for (let top = 0; top < count; top += step) {
      const end = Math.min(top + step, roundUp(count, sweepRows))
      calls.push([weight, factor, scale, zero, groupOf, codes, loss, scratch, errors, padded, stride * 4, kind, min, max, top, end])
    }
    await crew.run('sweep', calls)
    const own = found.subarray(from * columns, (from + count) * columns)
    takeCodes(new Uint8Array(buffer, codes, count * padded), padded, columns, order, own)
    losses.set(new Float32Array(buffer, loss, count), from)
    if (input.errors) takeRows(new Float32Array(buffer, errors, count * padded), padded, columns, input.errors.subarray(from * columns))
  }
  return { codes: float ? found : new Int8Array(found.buffer), loss: losses }
}
