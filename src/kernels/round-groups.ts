import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { RoundGroupsInput, RoundGroupsResult } from './kernels.ts'
import { addSums, sumsBytes } from './round-weights.ts'
import { smallFloats } from './small-floats.ts'
import { stripBytes, throughStrips } from './strips.ts'
import { candidateScratch } from './tiles.ts'

/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 2
/** Numbers of one vector: candidates are padded to a multiple of it. */
const vectorLength = 4
/** How the kernel calls the types of scales. */
const dtypes = { F32: 0, F16: 1, BF16: 2 } as const

/** `RoundGroupsInput` through the wasm export `roundGroups`. */
export async function wasmRoundGroups(memory: WebAssembly.Memory, crew: Crew, input: RoundGroupsInput): Promise<RoundGroupsResult> {
  const { rows, columns, groupSize, ratios, signed, scaleDtype, min, max, float } = input
  const groups = columns / groupSize
  const padded = Math.ceil(ratios.length / vectorLength) * vectorLength
  const stride = Math.min(rows, Math.max(1, Math.floor(stripBytes / (columns * 5 + groups * 4 + sumsBytes))))
  const arena = new Arena(memory, `round a matrix of ${rows} x ${columns} by groups`)
  const fractions = arena.take(padded * 8)
  const scratch = arena.take(crew.lanes * candidateScratch)
  const places = Array.from({ length: stride < rows ? 2 : 1 }, () => ({
    weight: arena.take(stride * columns * 4),
    scale: arena.take(stride * groups * 4),
    codes: arena.take(stride * columns),
    sums: arena.take(stride * sumsBytes),
  }))
  const { buffer } = memory
  new Float64Array(buffer, fractions, padded).fill(1).set(ratios)

  const bytes = new Uint8Array(input.memory?.take(rows * columns) ?? new ArrayBuffer(rows * columns))
  const found: RoundGroupsResult = {
    codes: float ? bytes : new Int8Array(bytes.buffer),
    scale: new Float32Array(rows * groups),
    loss: new Float64Array(rows),
    power: new Float64Array(rows),
  }
  await throughStrips(rows, stride, {
    putIn: (top, count, place) =>
      new Float32Array(buffer, places[place].weight, count * columns).set(input.weight.subarray(top * columns, (top + count) * columns)),
    run: (_, count, place) => {
      const { weight, scale, codes, sums } = places[place]
      const step = Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
      const kinds = [signed ? 1 : 0, dtypes[scaleDtype], min, max, float ? smallFloats[float].id : 0]
      const shared = [weight, fractions, scale, codes, sums, scratch, columns, groupSize, ratios.length, padded, ...kinds]
      const calls: Call[] = []
      for (let from = 0; from < count; from += step) calls.push([...shared, from, Math.min(from + step, count)])
      return crew.run('roundGroups', calls)
    },
    takeOut: (top, count, place) => {
      const { scale, codes, sums } = places[place]
      bytes.set(new Uint8Array(buffer, codes, count * columns), top * columns)
      found.scale.set(new Float32Array(buffer, scale, count * groups), top * groups)
      addSums(new Float64Array(buffer, sums, count * 8), top, found)
    },
  })
  return found
}
