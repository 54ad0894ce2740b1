import { histogram, type WeightHistogram } from '../report/histogram.ts'

/** Sums over the values of tensors, one after the other; what lies outside [low, high] is in no bin. */
export class WeightTally {
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
