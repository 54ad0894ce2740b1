import type { FromSchema } from 'json-schema-to-ts'
import { minMaxGrid } from '../schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid, relativeError } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import type { ModifierDefinition } from './modifier.ts'
import { quantizationOptions } from './quantization-options.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: { ...quantizationOptions },
} as const

/** Rounding to nearest: every weight moves to the closest point of its group's grid. The baseline that the others must beat. */
export const modifier: ModifierDefinition<FromSchema<typeof schema>> = {
  names: ['QuantizationModifier', 'rtn'],
  description: 'Rounds every weight to the nearest point of its grid; needs no data.',
  schema,
  quantizes: true,
  needs: () => 'weights',
  create: () => ({
    async apply(_stage, targets) {
      for (const [linear, scheme] of targets) {
        const started = performance.now()
        const { name, weight, rows, columns, dtype } = linear
        const args = scheme.weights
        if (!args) continue
        assertFinite(weight, `${name}.weight`)
        const grid = minMaxGrid(weight, rows, columns, args, dtype)
        linear.quantized = quantizeToGrid(weight, rows, columns, args, grid, dtype)
        linear.report = {
          name,
          method: 'RTN',
          scheme: schemeLabel(scheme),
          error: relativeError(weight, dequantize(linear.quantized)),
          errorOf: 'weights',
          seconds: (performance.now() - started) / 1000,
        }
      }
    },
  }),
}
