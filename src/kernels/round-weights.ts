import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { RoundInput, RoundResult } from './kernels.ts'
import { smallFloats } from './small-floats.ts'
import { stripBytes, throughStrips } from './strips.ts'

/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 2

/** Of the sums of a row: four numbers of what was lost, four of all (assembly/round.ts). */
export const sumsBytes = 64

/** Puts the sums of rows from `top` on, as the kernel has them, into a result. */
export function addSums(sums: Float64Array, top: number, { loss, power }: Pick<RoundResult, 'loss' | 'power'>): void {
  const total = (at: number) => sums[at] + sums[at + 1] + (sums[at + 2] + sums[at + 3])
  for (let at = 0; at < sums.length; at += 8) {
    loss[top + at / 8] = total(at)
    power[top + at / 8] = total(at + 4)
  }
}

/** Where a strip lies in the wasm memory. */
interface Place {
  readonly weight: number
  readonly codes: number
  /** 0 where they are not wanted. */
  readonly values: number
  readonly sums: number
}

/** `RoundInput` through the wasm export `roundWeights`. */
export async function wasmRoundWeights(memory: WebAssembly.Memory, crew: Crew, input: RoundInput): Promise<RoundResult> {
  const { rows, columns, rowSpan, columnSpan, min, max, float } = input
  const stride = Math.min(rows, Math.max(1, Math.floor(stripBytes / (columns * (input.values ? 9 : 5) + sumsBytes))))
  const arena = new Arena(memory, `round a matrix of ${rows} x ${columns}`)
  const scale = arena.take(input.scale.length * 4)
  const zero = arena.take(input.scale.length)
  const places: Place[] = Array.from({ length: stride < rows ? 2 : 1 }, () => ({
    weight: arena.take(stride * columns * 4),
    codes: arena.take(stride * columns),
    values: input.values ? arena.take(stride * columns * 4) : 0,
    sums: arena.take(stride * sumsBytes),
  }))
  const { buffer } = memory

  new Float32Array(buffer, scale, input.scale.length).set(input.scale)
  if (input.zeroPoint) new Int8Array(buffer, zero, input.scale.length).set(input.zeroPoint)
  else new Int8Array(buffer, zero, input.scale.length).fill(0)

  const bytes = new Uint8Array(input.memory?.take(rows * columns) ?? new ArrayBuffer(rows * columns))
  const found: RoundResult = {
    codes: float ? bytes : new Int8Array(bytes.buffer),
    values: input.values ? new Float32Array(rows * columns) : null,
    loss: new Float64Array(rows),
    power: new Float64Array(rows),
  }
  const callsFor = (top: number, count: number, { weight, codes, values, sums }: Place): Call[] => {
    const kind = float ? smallFloats[float].id : 0
    const shared = [weight, scale, zero, codes, values, sums, columns, rowSpan, columnSpan, top, min, max, kind]
    const step = Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
    return Array.from({ length: Math.ceil(count / step) }, (_, i) => [...shared, i * step, Math.min((i + 1) * step, count)])
  }
  await throughStrips(rows, stride, {
    putIn: (top, count, place) =>
      new Float32Array(buffer, places[place].weight, count * columns).set(input.weight.subarray(top * columns, (top + count) * columns)),
    run: (top, count, place) => crew.run('roundWeights', callsFor(top, count, places[place])),
    takeOut: (top, count, place) => {
      const { codes, values, sums } = places[place]
      bytes.set(new Uint8Array(buffer, codes, count * columns), top * columns)
      found.values?.set(new Float32Array(buffer, values, count * columns), top * columns)
      addSums(new Float64Array(buffer, sums, count * 8), top, found)
    },
  })
  return found
}
