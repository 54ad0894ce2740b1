import * as tf from '@tensorflow/tfjs-core'
import { ropeTables } from '../rope.ts'
import type { Rope } from '../rope-frequencies.ts'
import type { Table } from './part.ts'

/** Rotary positions as attention reads them. */
export interface RotaryTables {
  readonly cos: Table
  readonly sin: Table
  /** Rotated channels of a head, from its first on. */
  readonly channels: number
  /** Pairs are neighbours (GPT-J's form), not halves apart (GPT-NeoX's). */
  readonly interleaved: boolean
}

/** Cosines and sines [length, channels]. */
export function rotaryTables(rope: Rope, interleaved = false): RotaryTables {
  const table = (part: 'cos' | 'sin'): Table => ({
    make: (length) => tf.tensor2d(ropeTables(rope, length)[part], [length, rope.channels]),
    cut: (made, length) => (made.shape[0] === length ? made : tf.slice(made, [0, 0], [length, rope.channels])),
  })
  return { cos: table('cos'), sin: table('sin'), channels: rope.channels, interleaved }
}

// Large and finite: -Infinity times zero would be NaN in a backend that multiplies masks.
const MASKED = -1e9

/** What is added to the scores [length, length]: a token sees itself and those before it that `sees` lets through. */
function maskTable(sees: (token: number, other: number) => boolean): Table {
  return {
    make: (length) => {
      const mask = new Float32Array(length * length).fill(MASKED)
      for (let token = 0; token < length; token++) {
        for (let other = 0; other <= token; other++) if (sees(token, other)) mask[token * length + other] = 0
      }
      return tf.tensor2d(mask, [length, length])
    },
    cut: (made, length) => (made.shape[0] === length ? made : tf.slice(made, [0, 0], [length, length])),
  }
}

/** The causal mask; with a window, a token sees itself and the `window` - 1 before it (arXiv 2310.06825). */
export function causalMask(window: number | null = null): Table {
  return maskTable((token, other) => window === null || token - other < window)
}

/** The causal mask within chunks of so many tokens, as Llama 4's local layers have it. */
export function chunkedMask(chunk: number): Table {
  return maskTable((token, other) => Math.floor(token / chunk) === Math.floor(other / chunk))
}

/** The causal mask with a penalty for distance, a slope a head (ALiBi, arXiv 2108.12409): [heads, length, length]. */
export function alibiMask(heads: number, scale = 1): Table {
  const slopes = alibiSlopes(heads)
  return {
    make: (length) => {
      const mask = new Float32Array(heads * length * length).fill(MASKED)
      for (const [head, slope] of slopes.entries()) {
        for (let token = 0; token < length; token++) {
          const row = (head * length + token) * length
          for (let other = 0; other <= token; other++) mask[row + other] = slope * (other - token) * scale
        }
      }
      return tf.tensor3d(mask, [heads, length, length])
    },
    cut: (made, length) => (made.shape[1] === length ? made : tf.slice(made, [0, 0, 0], [heads, length, length])),
  }
}

/** 2^(-8 i / n) for a power of two; the heads beyond it take every other slope of the next. */
function alibiSlopes(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads))
  const slope = (i: number, count: number) => 2 ** ((-8 * i) / count)
  const first = Array.from({ length: whole }, (_, i) => slope(i + 1, whole))
  return [...first, ...Array.from({ length: heads - whole }, (_, i) => slope(2 * i + 1, 2 * whole))]
}
