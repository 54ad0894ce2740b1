import * as tf from '@tensorflow/tfjs-core'
import { roundBf16 } from '../../numerics/bf16.ts'
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

/** A table of rows of up to `length` tokens; that of shorter rows is its beginning along every axis. */
export function rowTable(shapeOf: (length: number) => readonly number[], values: (length: number) => Float32Array): Table {
  return {
    make: (length) => tf.tensor(values(length), [...shapeOf(length)]),
    cut: (made, length) => {
      const shape = [...shapeOf(length)]
      return made.shape.join() === shape.join() ? made : tf.slice(made, new Array(shape.length).fill(0), shape)
    },
  }
}

/** Cosines and sines [length, channels]. */
export function rotaryTables(rope: Rope, interleaved = false): RotaryTables {
  const table = (part: 'cos' | 'sin') =>
    rowTable(
      (length) => [length, rope.channels],
      (length) => ropeTables(rope, length)[part],
    )
  return { cos: table('cos'), sin: table('sin'), channels: rope.channels, interleaved }
}

// Large and finite: -Infinity times zero would be NaN in a backend that multiplies masks.
const MASKED = -1e9

/** What is added to the scores [length, length]: a token sees itself and those before it that `sees` lets through. */
function maskTable(sees: (token: number, other: number) => boolean): Table {
  return rowTable(
    (length) => [length, length],
    (length) => {
      const mask = new Float32Array(length * length).fill(MASKED)
      for (let token = 0; token < length; token++) {
        for (let other = 0; other <= token; other++) if (sees(token, other)) mask[token * length + other] = 0
      }
      return mask
    },
  )
}

/** The causal mask; with a window, a token sees itself and the `window` - 1 before it (arXiv 2310.06825). */
export function causalMask(window: number | null = null): Table {
  return maskTable((token, other) => window === null || token - other < window)
}

/** The causal mask within chunks of so many tokens, as Llama 4's local layers have it. */
export function chunkedMask(chunk: number): Table {
  return maskTable((token, other) => Math.floor(token / chunk) === Math.floor(other / chunk))
}

/** How a family computes ALiBi. */
export interface Alibi {
  readonly heads: number
  /** Multiplies the penalty; 1 where it is left out. */
  readonly scale?: number
  /** Slopes, positions and their products are rounded to bfloat16 before anything else, whatever the model's type. */
  readonly rounded?: boolean
}

/** The causal mask with a penalty for distance, a slope a head (ALiBi, arXiv 2108.12409): [heads, length, length]. */
export function alibiMask({ heads, scale = 1, rounded = false }: Alibi): Table {
  const slopes = alibiSlopes(heads)
  return rowTable(
    (length) => [heads, length, length],
    (length) => {
      const mask = new Float32Array(heads * length * length).fill(MASKED)
      for (const [head, slope] of slopes.entries()) {
        const rises = rounded ? roundedRises(slope, length) : Float64Array.from({ length }, (_, position) => slope * position)
        for (let token = 0; token < length; token++) {
          const row = (head * length + token) * length
          // Softmax only sees differences: relative to the token itself, numbers stay small.
          for (let other = 0; other <= token; other++) mask[row + other] = (rises[other] - rises[token]) * scale
        }
      }
      return mask
    },
  )
}

function roundedRises(slope: number, length: number): Float32Array {
  const factor = Float32Array.of(slope)
  const rises = Float32Array.from({ length }, (_, position) => position)
  roundBf16(factor)
  roundBf16(rises)
  for (let position = 0; position < length; position++) rises[position] *= factor[0]
  roundBf16(rises)
  return rises
}

/** 2^(-8 i / n) for a power of two; the heads beyond it take every other slope of the next. */
function alibiSlopes(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads))
  const slope = (i: number, count: number) => 2 ** ((-8 * i) / count)
  const first = Array.from({ length: whole }, (_, i) => slope(i + 1, whole))
  return [...first, ...Array.from({ length: heads - whole }, (_, i) => slope(2 * i + 1, 2 * whole))]
}
