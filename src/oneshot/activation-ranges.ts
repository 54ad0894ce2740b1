import type { Tensor } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { LayerHooks } from '../models/architecture.ts'
import type { Stage } from '../modifiers/modifier.ts'
import { ActivationRange, type Range } from '../schemes/activation-range.ts'
import { Readings } from './readings.ts'

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
  const readings = new Readings()
  try {
    await stage.eachInput((input, { rows }) => readings.add(() => extremes(input, rows)))
    for (const found of await readings.take()) {
      for (const range of ranges.values()) observe(found, () => range)
    }
  } finally {
    readings.dispose()
  }
  return new Map([...ranges].map(([name, observed]) => [name, seen(observed)]))
}

/** The ranges of a layer's keys and values, one for all heads or one for each. */
export class CacheRanges {
  readonly #k: readonly ActivationRange[]
  readonly #v: readonly ActivationRange[]
  readonly #readings = { k: new Readings(), v: new Readings() }

  constructor(args: QuantizationArgs, heads: number) {
    const count = args.strategy === 'attn_head' ? heads : 1
    const ranges = () => Array.from({ length: count }, () => new ActivationRange(args))
    this.#k = ranges()
    this.#v = ranges()
  }

  /** Watches what enters the cache. */
  get hooks(): LayerHooks {
    return {
      observeCache: (keys, values) => {
        this.#readings.k.add(() => extremes(keys, this.#k.length))
        this.#readings.v.add(() => extremes(values, this.#v.length))
      },
    }
  }

  /** Takes in what was watched so far. */
  async settle(): Promise<void> {
    for (const found of await this.#readings.k.take()) observe(found, (head) => this.#k[head])
    for (const found of await this.#readings.v.take()) observe(found, (head) => this.#v[head])
  }

  /** What was seen, once it is settled. Errors: RangeError when nothing was. */
  get ranges(): { readonly k: readonly Range[]; readonly v: readonly Range[] } {
    return { k: this.#k.map(seen), v: this.#v.map(seen) }
  }

  dispose(): void {
    this.#readings.k.dispose()
    this.#readings.v.dispose()
  }
}

function seen({ range }: ActivationRange): Range {
  if (range) return range
  throw new RangeError('Cannot store the range of an activation: none was seen, expected at least one calibration row')
}

/** Smallest, then largest of each of `rows` equal parts of a tensor: [2, rows]. */
function extremes(x: Tensor, rows: number): Tensor {
  const flat = tf.reshape(x, [rows, -1])
  return tf.stack([tf.min(flat, 1), tf.max(flat, 1)])
}

/** Takes in what `extremes` found of each part, one after the other. */
function observe(found: Float32Array, rangeOf: (part: number) => ActivationRange): void {
  const parts = found.length / 2
  for (let part = 0; part < parts; part++) rangeOf(part).observe(found[part], found[parts + part])
}
