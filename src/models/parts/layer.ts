import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { LayerWalk, StageSpec } from '../architecture.ts'
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

/**
 * Two parts that read one norm of the layer's input: x + attention(norm(x)) + mlp(norm(x)). What they read first is one stage, since the
 * norm can only be rescaled for both.
 */
export function parallelOfOneNorm(before: Norm, first: PartMaker, second: PartMaker): Part {
  const [a, b] = [first, second].map((make) => make({ source: before.source, addsToResidual: true }))
  const inputs: StageSpec = {
    name: `${a.stages[0].name.replace(/ inputs$/, '')} and ${b.stages[0].name}`,
    linears: [...a.stages[0].linears, ...b.stages[0].linears],
    source: before.source,
    addsToResidual: false,
  }
  const stages = [inputs, ...a.stages.slice(1), ...b.stages.slice(1)]
  const linears = [...a.linears, ...b.linears]
  const order = stages.flatMap((stage) => stage.linears)
  return {
    stages,
    linears: linears.sort((x, y) => order.indexOf(x.name) - order.indexOf(y.name)),
    parameters: [...before.parameters, ...a.parameters, ...b.parameters],
    tables: [...a.tables, ...b.tables],
    *run(input: Tensor2D, scope: Scope): LayerWalk {
      const x = before.apply(input, scope)
      // What the other part holds while one goes on.
      const held: Tensor[] = [input]
      const [left, right] = [a.run(x, scope, held, input), b.run(x, scope, [])]
      left.next([])
      right.next([])
      const outputs = yield { stage: inputs, input: x, keep: [input] }
      const count = a.stages[0].linears.length
      const waiting = outputs.slice(count)
      held.push(...waiting)
      const middle = tf.add<Tensor2D>(input, yield* rest(left, outputs.slice(0, count)))
      return tf.add(middle, yield* rest(right, waiting, middle))
    },
  }
}

/** A walk from the answer to its first request on; with `residual`, its requests keep that and are added to it. */
function* rest(walk: LayerWalk, outputs: readonly Tensor2D[], residual?: Tensor2D): LayerWalk {
  let step = walk.next(outputs)
  while (!step.done) {
    const request = residual ? { ...step.value, keep: [...step.value.keep, residual], residual } : step.value
    step = walk.next(yield request)
  }
  return step.value
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
