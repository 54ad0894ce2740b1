import * as tf from '@tensorflow/tfjs-core'
import { asFloats } from '../engine/as-floats.ts'
import type { LayerHooks } from '../models/architecture.ts'
import type { ExpertTokens } from '../report/record.ts'
import { Readings } from './readings.ts'

/** Counts the tokens that are routed to the experts of a layer. */
export class ExpertCounts {
  readonly #layer: string
  readonly #modules = new Map<string, Readings>()

  constructor(layer: string) {
    this.#layer = layer
  }

  /** Counts what goes by. */
  get hooks(): LayerHooks {
    return {
      route: (module, weights) => {
        const readings = this.#modules.get(module) ?? new Readings()
        this.#modules.set(module, readings)
        readings.add(() => tf.sum(asFloats(tf.notEqual(weights, 0)), 0))
      },
    }
  }

  /** What was counted since it was last asked for, by module. */
  async take(): Promise<ExpertTokens[]> {
    const counts: ExpertTokens[] = []
    for (const [module, readings] of this.#modules) {
      const [first, ...others] = await readings.take()
      const tokens = Array.from(first, (count, expert) => others.reduce((sum, own) => sum + own[expert], count))
      counts.push({ module: `${this.#layer}.${module}`, tokens })
    }
    this.#modules.clear()
    return counts
  }

  dispose(): void {
    for (const readings of this.#modules.values()) readings.dispose()
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
