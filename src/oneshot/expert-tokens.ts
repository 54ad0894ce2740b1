import * as tf from '@tensorflow/tfjs-core'
import type { LayerHooks } from '../models/architecture.ts'

/** How many calibration tokens the router sent to each expert of a layer. */
export interface ExpertTokens {
  /** Full module name: `model.layers.3.mlp.experts`. */
  module: string
  /** By expert. */
  tokens: number[]
}

/** Counts the tokens that are routed to the experts of a layer. */
export class ExpertCounts {
  readonly #layer: string
  readonly #modules = new Map<string, number[]>()

  constructor(layer: string) {
    this.#layer = layer
  }

  /** Counts what goes by. */
  get hooks(): LayerHooks {
    return {
      route: (module, weights) => {
        const routed = tf.tidy(() => tf.sum(tf.cast(tf.notEqual(weights, 0), 'int32'), 0).dataSync<'int32'>())
        const before = this.#modules.get(module) ?? new Array<number>(routed.length).fill(0)
        this.#modules.set(
          module,
          before.map((count, expert) => count + routed[expert]),
        )
      },
    }
  }

  get counts(): ExpertTokens[] {
    return [...this.#modules].map(([module, tokens]) => ({ module: `${this.#layer}.${module}`, tokens }))
  }
}

/**
 * Below this share of what each would get if all got the same, an expert's rounding is fitted to tokens of others: all tokens go through
 * all experts, for there would be no statistics of some otherwise.
 */
const STARVED = 1 / 20

/** A warning that names the experts to which hardly any calibration token was routed. */
export function starvedExperts(layers: readonly ExpertTokens[]): string[] {
  const starved = layers.flatMap(({ module, tokens }) => {
    const even = tokens.reduce((sum, count) => sum + count, 0) / tokens.length
    return tokens.flatMap((count, expert) => (count < STARVED * even ? [`${module}.${expert} (${count} tokens)`] : []))
  })
  if (starved.length === 0) return []
  const shown = starved.length > 8 ? `${starved.slice(0, 8).join(', ')} and ${starved.length - 8} more` : starved.join(', ')
  return [
    `${starved.length} experts got less than a twentieth of an even share of the calibration tokens, and were fitted to those of others: ${shown}`,
  ]
}
