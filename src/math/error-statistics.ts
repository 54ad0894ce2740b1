import { UserError } from '../util/errors.ts'

/** How far an approximation is from what it stands for. */
export interface ErrorStatistics {
  /** Mean of |a - b|. */
  readonly meanAbsolute: number
  /** Mean of (a - b)². */
  readonly meanSquare: number
  /** Largest |a - b|, and its index. */
  readonly largest: number
  readonly at: number
  /** Σ(a - b)² / Σa²; 0 where nothing differs, Infinity where zeros became something else. */
  readonly relative: number
}

/**
 * Error statistics of values `a` and what became of them `b`, summed in float64. Worked: [0.5, -1.2, 0.3, 2.1, -0.8] through `quantizeSymmetric` with 8
 * bits and back has a mean absolute error of 0.003937, with 4 bits of 0.04, through `quantizeAsymmetric` of 0.003294. Errors: UserError for no
 * values, or two lengths.
 */
export function errorStatistics(original: ArrayLike<number>, approximation: ArrayLike<number>): ErrorStatistics {
  const count = original.length
  if (count === 0 || count !== approximation.length)
    throw new UserError(`Cannot compare ${count} values with ${approximation.length}: expected the same number, and at least one.`)
  let sum = 0
  let squares = 0
  let power = 0
  let largest = 0
  let at = 0
  for (let i = 0; i < count; i++) {
    const difference = Math.abs(original[i] - approximation[i])
    sum += difference
    squares += difference * difference
    power += original[i] * original[i]
    if (difference > largest) {
      largest = difference
      at = i
    }
  }
  return { meanAbsolute: sum / count, meanSquare: squares / count, largest, at, relative: squares === 0 ? 0 : squares / power }
}
