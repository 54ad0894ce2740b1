import * as tf from '@tensorflow/tfjs-core'
import { roundBf16 } from '../../numerics/bf16.ts'
import { ropeTables } from '../rope.ts'
import type { Rope } from '../rope-frequencies.ts'
import type { Table, TokenRange } from './part.ts'

/** Rotary positions as attention reads them. */
export interface RotaryTables {
  readonly cos: Table
  readonly sin: Table
  /** Rotated channels of a head, from its first on. */
  readonly channels: number
  /** Pairs are neighbours (GPT-J's form), not halves apart (GPT-NeoX's). */
  readonly interleaved: boolean
}

/** A table of so many tokens, with their columns for so many keys; that of shorter rows is its beginning along every axis. */
export function rowTable(
  shapeOf: (tokens: number, keys: number) => readonly number[],
  values: (tokens: TokenRange) => Float32Array,
): Table {
  return {
    make: (tokens) => tf.tensor(values(tokens), [...shapeOf(tokens.length, tokens.start + tokens.length)]),
    cut: (made, length) => {
      const shape = [...shapeOf(length, length)]
      return made.shape.join() === shape.join() ? made : tf.slice(made, new Array(shape.length).fill(0), shape)
    },
  }
}

/** Cosines and sines [length, channels]. */
export function rotaryTables(rope: Rope, interleaved = false): RotaryTables {
  const table = (part: 'cos' | 'sin') =>
    rowTable(
      (length) => [length, rope.channels],
      (tokens) => ropeTables(rope, tokens)[part],
    )
  return { cos: table('cos'), sin: table('sin'), channels: rope.channels, interleaved }
}

// Large and finite: -Infinity times zero would be NaN in a backend that multiplies masks.
const MASKED = -1e9

/** What is added to the scores [tokens, keys]: a token sees itself and those before it that `sees` lets through. */
function maskTable(sees: (token: number, other: number) => boolean): Table {
  return rowTable(
    (tokens, keys) => [tokens, keys],
    ({ start, length }) => {
      const keys = start + length
      const mask = new Float32Array(length * keys).fill(MASKED)
      for (let token = start; token < keys; token++) {
        for (let other = 0; other <= token; other++) if (sees(token, other)) mask[(token - start) * keys + other] = 0
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

/** The causal mask with a penalty for distance, a slope a head (ALiBi, arXiv 2108.12409): [heads, tokens, keys]. */
export function alibiMask({ heads, scale = 1, rounded = false }: Alibi): Table {
  const slopes = alibiSlopes(heads)
  return rowTable(
    (tokens, keys) => [heads, tokens, keys],
    ({ start, length }) => {
      const keys = start + length
      const mask = new Float32Array(heads * length * keys).fill(MASKED)
      for (const [head, slope] of slopes.entries()) {
        const rises = rounded ? roundedRises(slope, keys) : Float64Array.from({ length: keys }, (_, position) => slope * position)
        for (let token = start; token < keys; token++) {
          const row = (head * length + token - start) * keys
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
