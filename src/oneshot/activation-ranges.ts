import type { Tensor, Tensor3D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { LayerHooks } from '../models/architecture.ts'
import type { Stage } from '../modifiers/modifier.ts'
import { ActivationRange, type Range } from '../schemes/activation-range.ts'

/**
 * The ranges of a stage's inputs that are to be stored, for the linears whose schemes say so, by name: observed one calibration row after
 * the other.
 */
export async function observeInputs(stage: Stage): Promise<Map<string, Range>> {
  const ranges = new Map<string, ActivationRange>()
  for (const { name, scheme } of stage.linears) {
    const args = scheme?.input_activations
    if (args && args.dynamic !== true) ranges.set(name, new ActivationRange(args))
  }
  if (ranges.size === 0) return new Map()
  await stage.eachInput((input, { rows }) => {
    for (const [low, high] of extremes(
      tf.tidy(() => tf.reshape(input, [rows, -1])),
      true,
    )) {
      for (const range of ranges.values()) range.observe(low, high)
    }
  })
  return new Map([...ranges].map(([name, observed]) => [name, seen(observed)]))
}

/** The ranges of a layer's keys and values, one for all heads or one for each. */
export class CacheRanges {
  readonly #k: readonly ActivationRange[]
  readonly #v: readonly ActivationRange[]

  constructor(args: QuantizationArgs, heads: number) {
    const count = args.strategy === 'attn_head' ? heads : 1
    const ranges = () => Array.from({ length: count }, () => new ActivationRange(args))
    this.#k = ranges()
    this.#v = ranges()
  }

  /** Watches what enters the cache, and lets it through. */
  get hooks(): LayerHooks {
    return {
      cache: (keys, values) => {
        observeHeads(this.#k, keys)
        observeHeads(this.#v, values)
        return [keys, values]
      },
    }
  }

  /** What was seen. Errors: RangeError when nothing was. */
  get ranges(): { readonly k: readonly Range[]; readonly v: readonly Range[] } {
    return { k: this.#k.map(seen), v: this.#v.map(seen) }
  }
}

function observeHeads(ranges: readonly ActivationRange[], x: Tensor3D): void {
  const found = extremes(tf.reshape(x, [ranges.length, -1]), false)
  for (const [i, range] of ranges.entries()) range.observe(...found[i])
}

function seen({ range }: ActivationRange): Range {
  if (range) return range
  throw new RangeError('Cannot store the range of an activation: none was seen, expected at least one calibration row')
}

/** Smallest and largest of each row. */
function extremes(x: Tensor, dispose: boolean): [number, number][] {
  const [low, high] = tf.tidy(() => [tf.min(x, 1).dataSync<'float32'>(), tf.max(x, 1).dataSync<'float32'>()])
  if (dispose) x.dispose()
  return Array.from(low, (value, i) => [value, high[i]])
}
