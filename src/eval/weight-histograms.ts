import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { allLinears, type OpenModel, openModel, readWeight, storedName } from '../models/open-model.ts'
import { BINS, binEdges, type WeightHistogram } from '../report/histogram.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { SIMPLE_QUANTIZERS, simplyQuantized } from './simple-quantizers.ts'
import { finiteRange, floatDtypeOf } from './tensor-ranges.ts'
import { WeightTally } from './weight-tally.ts'

export interface WeightHistogramOptions extends HubOptions {
  /** A tensor, or a linear by its module's name; all float tensors by default. */
  tensor?: string
  /** Other checkpoints of the same model, compressed or not: their weights are dequantized. */
  against?: readonly string[]
  /** What the bins divide; -2 to 2 by default. What lies outside is dropped. */
  range?: readonly [number, number]
  bins?: number
}

export interface WeightHistograms {
  readonly model: string
  /** Null for all float tensors. */
  readonly tensor: string | null
  readonly weights: number
  /** [bins + 1] */
  readonly edges: readonly number[]
  /** The original first. */
  readonly histograms: readonly WeightHistogram[]
}

/**
 * Histograms of a model's weights as they are, after plain eight-bit quantization of each tensor with one scale, without and with a zero
 * point, and in other checkpoints. One tensor at a time is in memory. Errors: UserError for a tensor that is not there, or a range that is none.
 */
export async function weightHistograms(
  model: string,
  { tensor, against = [], range = [-2, 2], bins = BINS, ...hub }: WeightHistogramOptions = {},
): Promise<WeightHistograms> {
  const [low, high] = range
  if (!(low < high))
    throw new UserError(`Cannot count weights from ${low} to ${high}: expected a range whose first end is below its second.`)
  const opened: OpenModel[] = []
  try {
    for (const folder of [model, ...against]) opened.push(await openModel((await modelFolder(folder, hub)).path))
    const [original, ...others] = opened
    const tallies = ['original', ...SIMPLE_QUANTIZERS, ...against].map((name) => new WeightTally(name, low, high, bins))
    for (const name of tensorNames(original, tensor)) {
      hub.signal?.throwIfAborted()
      const values = await floatsOf(original, name)
      if (values.length === 0) continue
      const info = original.reader.info(name)
      const range = finiteRange(values, info)
      const [own, ...variants] = tallies
      own.add(values, values)
      for (const [i, quantizer] of SIMPLE_QUANTIZERS.entries())
        variants[i].add(simplyQuantized(values, quantizer, range, floatDtypeOf(info)), values)
      for (const [i, other] of others.entries())
        variants[SIMPLE_QUANTIZERS.length + i].add(await sameShape(other, name, values.length), values)
    }
    return {
      model,
      tensor: tensor ?? null,
      weights: tallies[0].count,
      edges: [...binEdges(low, high, bins)],
      histograms: tallies.map((tally) => tally.take()),
    }
  } finally {
    for (const source of opened) await source.close()
  }
}

const FLOATS = ['F32', 'F16', 'BF16']

/** The tensors that are looked at: one, or all that hold floats. */
function tensorNames({ reader, path }: OpenModel, wanted: string | undefined): string[] {
  const names = [...reader.tensors.values()].filter(({ dtype }) => FLOATS.includes(dtype)).map(({ name }) => name)
  if (wanted === undefined) return names
  const found = names.find((name) => name === wanted || name === `${wanted}.weight`)
  if (found) return [found]
  throw new UserError(`Cannot look at ${wanted}: ${path} has no tensor of floats of that name${didYouMean(wanted, names)}, expected one.`)
}

/** A tensor's values, dequantized where it is the weight of a compressed linear, in the order in which the original stores them. */
async function floatsOf(source: OpenModel, name: string): Promise<Float32Array> {
  const linear = allLinears(source.model).find((spec) => storedName(source.model, spec.name) === name && source.compressed.has(spec.name))
  return linear ? readWeight(source, linear) : source.reader.readFloats(name)
}

async function sameShape(source: OpenModel, name: string, length: number): Promise<Float32Array> {
  const values = await floatsOf(source, name)
  if (values.length === length) return values
  throw new CheckpointError(
    `Cannot compare ${name} of ${source.path}: it has ${values.length} values, expected ${length} as in the original.`,
    { tensor: name },
  )
}
