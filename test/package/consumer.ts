// Compiled by package.test.ts against the packed types, as a stranger's program would be.
import type { LinearReport, ModifierDefinition, Plan, RunRecord } from 'llmpress'
import { convert, defineModifier, defineRecipe, inspect, oneshot, planRun, RecipeError, verify } from 'llmpress'
import { dequantizeSymmetric, quantizeSymmetric } from 'llmpress/math'

export const modifier: ModifierDefinition = defineModifier({
  names: ['HalfModifier'],
  description: 'Multiplies every weight.',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: { factor: { type: 'number', default: 0.5 } },
    required: ['factor'],
  },
  quantizes: true,
  needs: () => 'weights',
  create: ({ factor }) => ({
    async apply(_stage, targets) {
      // @ts-expect-error: the schema makes it a number
      factor satisfies string
      const scale: number = factor
      for (const [{ weight }] of targets) weight.set(weight.map((value) => value * scale))
    },
  }),
})

export async function compress(model: string, signal: AbortSignal): Promise<readonly LinearReport[]> {
  const recipe = defineRecipe({ modifiers: { QuantizationModifier: { scheme: 'W4A16', targets: ['Linear'], ignore: ['lm_head'] } } })
  const plan: Plan = await planRun({ model, recipe })
  const record: RunRecord = await oneshot(model, recipe, {
    signal,
    onProgress: (event) => (event.type === 'layer:done' ? console.log(event.name, event.seconds) : undefined),
  })
  await oneshot({ model, recipe: 'rtn-w4a16', dataset: ['some text'] }).catch((error: unknown) => {
    if (error instanceof RecipeError) console.error(error.message)
  })
  // @ts-expect-error: an option that does not exist
  await oneshot(model, recipe, { bits: 4 })
  await inspect(record.output)
  await verify(record.output, { against: model })
  const { format } = await convert(record.output, { format: 'gptq' })
  // @ts-expect-error: a format that does not exist
  await convert(record.output, { format: `${format}2` })
  return plan.linears.length === record.linears.length ? record.linears : []
}

export const restored: Float32Array = dequantizeSymmetric(quantizeSymmetric([0.5, -1.2], { bits: 4, scaleDtype: 'F16' }))
