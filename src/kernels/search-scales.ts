import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { SearchInput } from './kernels.ts'

/** Numbers of one vector: candidates are padded to a multiple of it. */
const vectorLength = 4
/** Rows with their candidates are taken through the wasm memory in strips of about this size. */
const stripBytes = 64 * 2 ** 20
/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 4

/** Runs of `candidates` values to runs of `padded`; what lies between keeps the value it has. */
function spread(source: Float32Array | Int8Array, candidates: number, padded: number, out: Float32Array | Int8Array): void {
  if (candidates === padded) {
    out.set(source)
    return
  }
  for (let from = 0, to = 0; from < source.length; from += candidates, to += padded) out.set(source.subarray(from, from + candidates), to)
}

/** `SearchInput` through the wasm export `searchScales`. */
export async function wasmSearchScales(memory: WebAssembly.Memory, crew: Crew, input: SearchInput): Promise<Int32Array> {
  const { rows, columns, groupSize, candidates, zeroPoint, signed = false, min, max, norm } = input
  const groups = columns / groupSize
  const padded = Math.ceil(candidates / vectorLength) * vectorLength
  const stride = Math.min(rows, Math.max(1, Math.floor(stripBytes / (columns * 4 + groups * (padded * 5 + 4)))))
  const arena = new Arena(memory, `search scales for a matrix of ${rows} x ${columns}`)
  const weight = arena.take(stride * columns * 4)
  const isPlain = input.importance === null && norm === 2
  const importance = isPlain ? 0 : arena.take(columns * 4)
  const scale = arena.take(stride * groups * padded * 4)
  const zero = arena.take(stride * groups * padded)
  const index = arena.take(stride * groups * 4)
  const errors = arena.take(crew.lanes * padded * 8)
  const { buffer } = memory

  if (!isPlain) new Float32Array(buffer, importance, columns).set(input.importance ?? new Float32Array(columns).fill(1))
  const scaleView = new Float32Array(buffer, scale, stride * groups * padded).fill(Number.NaN)
  const zeroView = new Int8Array(buffer, zero, stride * groups * padded).fill(0)

  const result = new Int32Array(rows * groups)
  for (let from = 0; from < rows; from += stride) {
    const count = Math.min(stride, rows - from)
    new Float32Array(buffer, weight, count * columns).set(input.weight.subarray(from * columns, (from + count) * columns))
    const first = from * groups * candidates
    const last = (from + count) * groups * candidates
    spread(input.scale.subarray(first, last), candidates, padded, scaleView)
    if (zeroPoint) spread(zeroPoint.subarray(first, last), candidates, padded, zeroView)
    const step = Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
    const problem = [columns, groupSize, candidates, padded, signed ? 1 : 0, min, max, norm]
    const calls: Call[] = []
    for (let top = 0; top < count; top += step) {
      calls.push([weight, importance, scale, zero, index, errors, ...problem, top, Math.min(top + step, count)])
    }
    await crew.run('searchScales', calls)
    result.set(new Int32Array(buffer, index, count * groups), from * groups)
  }
  return result
}
