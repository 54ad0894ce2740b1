import type { Range } from '../../math/values.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { binEdges, type WeightHistogram } from '../../report/histogram.ts'
import { SIMPLE_QUANTIZERS, simplyQuantized } from '../simple-quantizers.ts'
import { floatChunks, floatDtypeOf, tensorRange } from '../tensor-ranges.ts'
import { WeightTally } from '../weight-tally.ts'

/** How all parameters of a model lie. */
export interface CountedWeights {
  /** Values in all. */
  readonly weights: number
  /** [bins + 1] */
  readonly edges: readonly number[]
  /** The original, then a simple quantizer each. */
  readonly histograms: readonly WeightHistogram[]
  /** By parameter; one without elements has none. */
  readonly ranges: ReadonlyMap<string, Range>
}

/** How weights are counted. */
export interface CountOptions {
  /** What bins divide; what lies outside is in none. */
  readonly range: readonly [number, number]
  readonly bins: number
  readonly signal?: AbortSignal | undefined
  /** Called before each parameter and when all are done. */
  onParameter?(done: number, of: number): void
}

/**
 * Counts the values of the named parameters as they are and as the simple quantizers leave them. Each is read twice, for its range and then
 * in pieces of some megabytes. Errors: CheckpointError naming file and tensor for what is no float or not finite; the signal's reason.
 */
export async function countWeights(
  { reader }: OpenModel,
  names: readonly string[],
  { range: [low, high], bins, signal, onParameter }: CountOptions,
): Promise<CountedWeights> {
  const original = new WeightTally('original', low, high, bins)
  const variants = SIMPLE_QUANTIZERS.map((quantizer) => ({ quantizer, tally: new WeightTally(quantizer, low, high, bins) }))
  const ranges = new Map<string, Range>()
  for (const [index, name] of names.entries()) {
    onParameter?.(index, names.length)
    const range = await tensorRange(reader, name)
    if (range.min > range.max) continue
    ranges.set(name, range)
    const dtype = floatDtypeOf(reader.info(name))
    for await (const values of floatChunks(reader, name)) {
      signal?.throwIfAborted()
      original.add(values, values)
      for (const { quantizer, tally } of variants) tally.add(simplyQuantized(values, quantizer, range, dtype), values)
    }
  }
  onParameter?.(names.length, names.length)
  return {
    weights: original.count,
    edges: [...binEdges(low, high, bins)],
    histograms: [original, ...variants.map(({ tally }) => tally)].map((tally) => tally.take()),
    ranges,
  }
}
