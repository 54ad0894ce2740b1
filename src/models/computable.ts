import { allLinears, type OpenModel, tensorNames } from './open-model.ts'

/**
 * Why computing with a model would go wrong, or null where it would not: its architecture is not known, or it has a bias that the
 * architecture and its config.json do not speak of.
 */
export function uncomputable({ model, reader }: OpenModel): string | null {
  if (model.unknown !== undefined) return model.unknown
  const known = tensorNames(model)
  const linear = allLinears(model).find(({ name }) => reader.has(`${name}.bias`) && !known.has(`${name}.bias`))
  if (!linear) return null
  return (
    `${linear.name}.bias is in the checkpoint, and ${model.modelType} with this config.json has no bias there, expected none or a key of ` +
    'config.json that says so (attention_bias, mlp_bias, use_bias); only recipes that need no data work without'
  )
}
