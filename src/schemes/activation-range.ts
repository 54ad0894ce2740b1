import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'

/** The smallest and the largest value of something. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** How far one new row moves a moving average (llm-compressor's `averaging_constant`). */
const AVERAGING_CONSTANT = 0.01

/**
 * The range of an activation over the calibration rows, found as its observer says: `static_minmax` keeps the extremes of all rows,
 * `minmax` moves towards each row's by `averaging_constant` (the first row's as they are), `memoryless_minmax` keeps the last row's.
 */
export class ActivationRange {
  readonly #observer: string
  readonly #constant: number
  #range: Range | null = null

  /** `args` of the activation, as `resolveArgs` settles them. */
  constructor({ observer, observer_kwargs: kwargs }: QuantizationArgs) {
    this.#observer = observer ?? 'minmax'
    this.#constant = typeof kwargs.averaging_constant === 'number' ? kwargs.averaging_constant : AVERAGING_CONSTANT
  }

  /** Takes in the extremes of one calibration row; the order of rows counts for a moving average. */
  observe(min: number, max: number): void {
    const before = this.#range
    if (before === null || this.#observer === 'memoryless_minmax') this.#range = { min, max }
    else if (this.#observer === 'static_minmax') this.#range = { min: Math.min(before.min, min), max: Math.max(before.max, max) }
    else {
      const c = this.#constant
      this.#range = { min: (1 - c) * before.min + c * min, max: (1 - c) * before.max + c * max }
    }
  }

  /** What was observed; null when there was no row. */
  get range(): Range | null {
    return this.#range
  }
}
