import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { RoundInput, RoundResult } from './kernels.ts'
import { smallFloats } from './small-floats.ts'

/** Rows are taken through the wasm memory in strips of about this size. */
const stripBytes = 64 * 2 ** 20
/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 4

/** `RoundInput` through the wasm export `roundWeights`. */
export async function wasmRoundWeights(memory: WebAssembly.Memory, crew: Crew, input: RoundInput): Promise<RoundResult> {
  const { rows, columns, rowSpan, columnSpan, min, max, float } = input
  const stride = Math.min(rows, Math.max(1, Math.floor(stripBytes / (columns * (input.values ? 9 : 5) + 16))))
  const arena = new Arena(memory, `round a matrix of ${rows} x ${columns}`)
  const weight = arena.take(stride * columns * 4)
  const scale = arena.take(input.scale.length * 4)
  const zero = arena.take(input.scale.length)
  const codes = arena.take(stride * columns)
  const values = input.values ? arena.take(stride * columns * 4) : 0
  const sums = arena.take(stride * 16)
  const { buffer } = memory

  new Float32Array(buffer, scale, input.scale.length).set(input.scale)
  if (input.zeroPoint) new Int8Array(buffer, zero, input.scale.length).set(input.zeroPoint)
  else new Int8Array(buffer, zero, input.scale.length).fill(0)

  const found: RoundResult = {
    codes: float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns),
    values: input.values ? new Float32Array(rows * columns) : null,
    loss: new Float64Array(rows),
    power: new Float64Array(rows),
  }
  for (let top = 0; top < rows; top += stride) {
    const count = Math.min(stride, rows - top)
    const [first, last] = [top * columns, (top + count) * columns]
    new Float32Array(buffer, weight, count * columns).set(input.weight.subarray(first, last))
    const step = Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
    const shared = [
      weight,
      scale,
      zero,
      codes,
      values,
      sums,
      columns,
      rowSpan,
      columnSpan,
      top,
      min,
      max,
      float ? smallFloats[float].id : 0,
    ]
    const calls: Call[] = []
    for (let from = 0; from < count; from += step) calls.push([...shared, from, Math.min(from + step, count)])
    await crew.run('roundWeights', calls)
    found.codes.set(float ? new Uint8Array(buffer, codes, count * columns) : new Int8Array(buffer, codes, count * columns), first)
    found.values?.set(new Float32Array(buffer, values, count * columns), first)
    const pairs = new Float64Array(buffer, sums, count * 2)
    for (let row = 0; row < count; row++) {
      found.loss[top + row] = pairs[2 * row]
      found.power[top + row] = pairs[2 * row + 1]
    }
  }
  return found
}
