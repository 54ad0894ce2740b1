import type { AttentionSizes, Model } from './architecture.ts'

/** Heads of a model that is computed with. Errors: RangeError where its architecture is not known, and nothing should have been computed. */
export function attentionOf({ attention, modelType }: Model): AttentionSizes {
  if (attention) return attention
  throw new RangeError(`Cannot tell the heads of ${modelType}: its architecture is not known, expected one that is`)
}
