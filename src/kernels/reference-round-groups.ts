import { roundScales } from '../numerics/scale-dtype.ts'
import type { RoundGroupsInput, RoundGroupsResult } from './kernels.ts'
import { roundWeights } from './reference-round.ts'
import { searchScales } from './reference-search.ts'

/** `Kernels.roundGroups` in plain TypeScript, of checked input. */
export function roundGroups(input: RoundGroupsInput): RoundGroupsResult {
  const { rows, columns, weight, groupSize, ratios, signed, scaleDtype, float, min, max } = input
  const tiles = (rows * columns) / groupSize
  const largest = new Float32Array(tiles)
  for (let at = 0; at < weight.length; at++) {
    const tile = Math.floor(at / groupSize)
    largest[tile] = Math.max(largest[tile], Math.abs(weight[at]))
  }
  const candidates = ratios.length
  const tried = Float32Array.from({ length: tiles * candidates }, (_, i) => largest[Math.floor(i / candidates)] * ratios[i % candidates])
  for (let i = 0; i < tried.length; i++) tried[i] /= (max - min) / 2
  roundScales(tried, scaleDtype)
  const problem = { rows, columns, weight, zeroPoint: null, min, max }
  const winners = float
    ? new Int32Array(tiles)
    : searchScales({ ...problem, groupSize, importance: null, candidates, scale: tried, signed, norm: 2 })
  const scale = Float32Array.from(winners, (k, tile) => (k < candidates ? 1 : -1) * tried[tile * candidates + (k % candidates)])
  const { codes, loss, power } = roundWeights({ ...problem, rowSpan: 1, columnSpan: groupSize, scale, float, values: false })
  return { codes, scale, loss, power }
}
