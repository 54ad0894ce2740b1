import type { RowsShape } from './memory.ts'
import type { Plan } from './plan.ts'

/** Scores that a query is multiplied with, as a share of the row's length: blocks of queries see the keys up to their end. */
const SCORED = 0.6
/** Of xᵀx only bands are computed. */
const BANDS = 0.625

/**
 * Multiplications and additions of a run with such rows, of float32 products and of the kernels: forward passes, attention, second moments
 * of each stage's inputs, their inverse factor, and what rounding a linear takes (sweep, errors of its outputs, refinement).
 */
export function countFlops({ source: { model }, linears, needs, secondMoments }: Plan, { tokens, length }: RowsShape): number {
  const streams = needs === 'originals' ? 2 : 1
  const heads = model.attention ? model.attention.heads * model.attention.headDim : model.hidden
  let flops = 4 * streams * model.layers * tokens * SCORED * length * heads
  const measured = new Set<string>()
  for (const { spec, layer, stage, scheme } of linears) {
    const { rows, columns } = spec
    if (layer < model.layers) flops += 2 * streams * tokens * rows * columns
    if (!scheme || !secondMoments) continue
    // A sweep over half of the columns on average; six products with H, of which the bands are multiplied.
    flops += rows * columns ** 2 * (1 + 6 * BANDS)
    const inputs = `${layer} ${stage.sharedInput ? 'shared' : stage.name}`
    if (measured.has(inputs)) continue
    measured.add(inputs)
    // By halves a factor and its inverse are four thirds of a product with n columns.
    flops += 2 * BANDS * tokens * columns ** 2 + (4 / 3) * columns ** 3
  }
  return flops
}
