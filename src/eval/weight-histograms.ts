import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { allLinears, type OpenModel, openModel, readWeight, storedName } from '../models/open-model.ts'
import { BINS, binEdges, histogram } from '../report/histogram.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { absmaxInt8, zeroPointInt8 } from './simple-quantizers.ts'

export interface WeightHistogramOptions extends HubOptions {
  /** A tensor, or a linear by its module's name; all float tensors by default. */
  tensor?: string
  /** Other checkpoints of the same model, compressed or not: their weights are dequantized. */
  against?: readonly string[]
  /** What the bins divide; -2 to 2 by default. What lies outside is dropped. */
  range?: readonly [number, number]
  bins?: number
}

/** How some weights lie. */
export interface WeightHistogram {
  /** `original`, `absmax`, `zero-point`, or the checkpoint's folder. */
  readonly name: string
  readonly counts: readonly number[]
  readonly min: number
  readonly max: number
  readonly mean: number
  /** Of the values as a whole population. */
  readonly deviation: number
  /** Mean |value - original|. */
  readonly meanError: number
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
    const tallies = ['original', 'absmax', 'zero-point', ...against].map((name) => new Tally(name, low, high, bins))
    for (const name of tensorNames(original, tensor)) {
      hub.signal?.throwIfAborted()
      const values = await floatsOf(original, name)
      if (values.length === 0) continue
      const variants = [values, absmaxInt8(values), zeroPointInt8(values)]
      for (const [i, variant] of variants.entries()) tallies[i].add(variant, values)
      for (const [i, other] of others.entries()) tallies[3 + i].add(await sameShape(other, name, values.length), values)
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

/** Sums over the values of tensors, one after the other. */
class Tally {
  readonly #name: string
  readonly #range: { readonly low: number; readonly high: number; readonly bins: number }
  readonly #counts: Float64Array
  #min = Number.POSITIVE_INFINITY
  #max = Number.NEGATIVE_INFINITY
  #sum = 0
  #squares = 0
  #errors = 0
  count = 0

  constructor(name: string, low: number, high: number, bins: number) {
    this.#name = name
    this.#range = { low, high, bins }
    this.#counts = new Float64Array(bins)
  }

  add(values: Float32Array, original: Float32Array): void {
    const counts = histogram(values, this.#range)
    for (let bin = 0; bin < counts.length; bin++) this.#counts[bin] += counts[bin]
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      if (value < this.#min) this.#min = value
      if (value > this.#max) this.#max = value
      this.#sum += value
      this.#squares += value * value
      this.#errors += Math.abs(value - original[i])
    }
    this.count += values.length
  }

  take(): WeightHistogram {
    const mean = this.#sum / this.count
    return {
      name: this.#name,
      counts: [...this.#counts],
      min: this.#min,
      max: this.#max,
      mean,
      deviation: Math.sqrt(Math.max(0, this.#squares / this.count - mean * mean)),
      meanError: this.#errors / this.count,
    }
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
