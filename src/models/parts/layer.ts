import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { LayerWalk } from '../architecture.ts'
import type { Norm } from './norm.ts'
import type { Part, PartMaker, Scope } from './part.ts'

/** A step of a layer: what it gives is added to the residual stream. */
export interface Block {
  readonly part: PartMaker
  /** Of the part's input. */
  readonly before?: Norm
  /** Of what the part gives, before it is added. */
  readonly after?: Norm
  /** Of the residual stream once it is added. */
  readonly sum?: Norm
  /** What is added is multiplied by it. */
  readonly multiplier?: number
}

/** One block after the other. */
export function sequential(blocks: readonly Block[]): Part {
  const placed = blocks.map(place)
  return {
    ...merged(placed.map(({ part }) => part)),
    parameters: placed.flatMap((block) => [...norms(block).flatMap(({ parameters }) => parameters), ...block.part.parameters]),
    *run(input: Tensor2D, scope: Scope): LayerWalk {
      let h = input
      for (const block of placed) {
        const out: Tensor2D = yield* runBlock(block, h, scope, h)
        const sum = tf.add<Tensor2D>(h, out)
        h = block.sum?.apply(sum, scope) ?? sum
      }
      return h
    },
  }
}

/** All blocks read the layer's input, each through a norm of its own: x + attention(norm(x)) + mlp(norm(x)) (GPT-J). */
export function parallel(blocks: readonly Block[]): Part {
  const placed = blocks.map(place)
  return {
    ...merged(placed.map(({ part }) => part)),
    parameters: placed.flatMap((block) => [...norms(block).flatMap(({ parameters }) => parameters), ...block.part.parameters]),
    *run(input: Tensor2D, scope: Scope): LayerWalk {
      let h = input
      for (const block of placed) h = tf.add(h, yield* runBlock(block, input, scope, h))
      return h
    },
  }
}

interface PlacedBlock extends Omit<Block, 'part'> {
  readonly part: Part
  readonly adds: boolean
}

function place({ part, ...block }: Block): PlacedBlock {
  const adds = !block.after && !block.sum && (block.multiplier ?? 1) === 1
  return { ...block, part: part({ source: block.before?.source ?? null, addsToResidual: adds }), adds }
}

function norms({ before, after, sum }: PlacedBlock): Norm[] {
  return [before, after, sum].filter((norm) => norm !== undefined)
}

/** What the block adds to `residual`. */
function* runBlock({ part, before, after, multiplier = 1, adds }: PlacedBlock, h: Tensor2D, scope: Scope, residual: Tensor2D): LayerWalk {
  const keep = h === residual ? [h] : [h, residual]
  const out = yield* part.run(before?.apply(h, scope) ?? h, scope, keep, adds ? residual : undefined)
  const normed = after?.apply(out, scope) ?? out
  return multiplier === 1 ? normed : tf.mul(normed, multiplier)
}

function merged(parts: readonly Part[]): Pick<Part, 'stages' | 'linears' | 'tables'> {
  return {
    stages: parts.flatMap(({ stages }) => stages),
    linears: parts.flatMap(({ linears }) => linears),
    tables: parts.flatMap(({ tables }) => tables),
  }
}
