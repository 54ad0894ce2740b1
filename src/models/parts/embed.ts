import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { linearMatMul } from '../../engine/mat-mul.ts'
import type { ParameterSpec } from '../architecture.ts'
import type { Norm } from './norm.ts'
import type { Scope } from './part.ts'

/** What stands between the embedding's rows and the first layer. Names are those of the checkpoint. */
export interface EmbedPart {
  /** Channels of the embedding, where they are not the hidden size. */
  readonly width?: number
  readonly parameters?: readonly ParameterSpec[]
  /** rows [tokens, width]; gives [tokens, hidden]. */
  apply(rows: Tensor2D, scope: Scope): Tensor2D
}

/** The embedding's rows times a number. */
export function scaledEmbedding(scale: number): EmbedPart {
  return { apply: (rows) => tf.mul(rows, scale) }
}

/** The embedding's rows through a norm. */
export function normedEmbedding(norm: Norm): EmbedPart {
  return { parameters: norm.parameters, apply: (rows, scope) => norm.apply(rows, scope) }
}

/** A learned vector for every position, added to the embedding's rows. */
export interface LearnedPositions {
  /** Full module name. */
  readonly name: string
  readonly positions: number
  readonly hidden: number
  /** Rows of the table before that of the first token. */
  readonly skipped?: number
  /** A projection [hidden, width] of the embedding's rows before. */
  readonly projection?: { readonly name: string; readonly width: number }
}

/** The embedding's rows, projected where they are narrower, plus learned positions. */
export function learnedPositions({ name, positions, hidden, skipped = 0, projection }: LearnedPositions): EmbedPart {
  const table: ParameterSpec = { name: `${name}.weight`, shape: [positions + skipped, hidden], className: 'Embedding' }
  const projected: ParameterSpec[] = projection
    ? [{ name: `${projection.name}.weight`, shape: [hidden, projection.width], className: 'Linear' }]
    : []
  return {
    ...(projection && { width: projection.width }),
    parameters: [table, ...projected],
    apply: (rows, scope) => {
      const { batch } = scope
      const wide = projection ? linearMatMul(rows, scope.parameter(`${projection.name}.weight`), false, true) : rows
      const own = tf.slice(scope.parameter(table.name), [skipped + (batch.start ?? 0), 0], [batch.length, hidden])
      return tf.reshape(tf.add(tf.reshape(wide, [batch.rows, batch.length, hidden]), own), [-1, hidden])
    },
  }
}
