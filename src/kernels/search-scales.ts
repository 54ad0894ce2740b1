import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { SearchInput } from './kernels.ts'
import { stripBytes, throughStrips } from './strips.ts'

/** Numbers of one vector: candidates are padded to a multiple of it. */
const vectorLength = 4
/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 2

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
  const isPlain = input.importance === null && norm === 2
  const importance = isPlain ? 0 : arena.take(columns * 4)
  const errors = arena.take(crew.lanes * padded * 8)
  const places = Array.from({ length: stride < rows ? 2 : 1 }, () => ({
    weight: arena.take(stride * columns * 4),
    scale: arena.take(stride * groups * padded * 4),
    zero: arena.take(stride * groups * padded),
    index: arena.take(stride * groups * 4),
  }))
  const { buffer } = memory

  if (!isPlain) new Float32Array(buffer, importance, columns).set(input.importance ?? new Float32Array(columns).fill(1))
  for (const { scale, zero } of places) {
    new Float32Array(buffer, scale, stride * groups * padded).fill(Number.NaN)
    new Int8Array(buffer, zero, stride * groups * padded).fill(0)
  }

  const result = new Int32Array(rows * groups)
  await throughStrips(rows, stride, {
    putIn: (top, count, place) => {
      const { weight, scale, zero } = places[place]
      new Float32Array(buffer, weight, count * columns).set(input.weight.subarray(top * columns, (top + count) * columns))
      const first = top * groups * candidates
      const last = (top + count) * groups * candidates
      const spans = stride * groups * padded
      spread(input.scale.subarray(first, last), candidates, padded, new Float32Array(buffer, scale, spans))
      if (zeroPoint) spread(zeroPoint.subarray(first, last), candidates, padded, new Int8Array(buffer, zero, spans))
    },
    run: (_, count, place) => {
      const { weight, scale, zero, index } = places[place]
      const step = Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
      const shared = [
        weight,
        importance,
        scale,
        zero,
        index,
        errors,
        columns,
        groupSize,
        candidates,
        padded,
        signed ? 1 : 0,
        min,
        max,
        norm,
      ]
      const calls: Call[] = []
      for (let from = 0; from < count; from += step) calls.push([...shared, from, Math.min(from + step, count)])
      return crew.run('searchScales', calls)
    },
    takeOut: (top, count, place) => result.set(new Int32Array(buffer, places[place].index, count * groups), top * groups),
  })
  return result
}
