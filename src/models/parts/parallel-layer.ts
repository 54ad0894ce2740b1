import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { LayerWalk, StageSpec } from '../architecture.ts'
import type { Norm } from './norm.ts'
import type { Part, PartMaker, Scope } from './part.ts'

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
    fused: [a.stages[0].linears, b.stages[0].linears],
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
    const request = residual ? { ...step.value, keep: [...step.value.keep, residual] } : step.value
    step = walk.next(yield residual && 'stage' in request ? { ...request, residual } : request)
  }
  return step.value
}
