// A modifier of your own: rounds to scales that are powers of two, so that a server can shift instead of multiply.
// node examples/custom-modifier.js [model folder] [output folder]
import { fileURLToPath } from 'node:url'
import { defineModifier, dequantize, oneshot, quantizationOptions, quantizeToGrid, relativeError, schemeLabel } from 'llmpress'

const powerOfTwo = defineModifier({
  names: ['PowerOfTwoModifier'],
  description: 'Rounds to the nearest code, with scales that are powers of two.',
  // JSON schema of its options: recipes are checked against it, and its types follow from it.
  schema: { type: 'object', additionalProperties: false, properties: quantizationOptions },
  quantizes: true,
  // 'inputs' would run calibration rows through the model and let apply() call stage.eachInput.
  needs: () => 'weights',
  // Asked while planning, before any compute.
  refuses: ({ weights }) => (weights?.type === 'int' && weights.symmetric ? null : 'only symmetric integers are supported'),
  create: () => ({
    async apply(_stage, targets) {
      for (const [linear, scheme] of targets) if (scheme.weights) round(linear, scheme, scheme.weights)
    },
  }),
})

/**
 * @param {import('llmpress').Linear} linear
 * @param {import('llmpress').QuantizationScheme} scheme
 * @param {import('llmpress').QuantizationArgs} args
 */
function round(linear, scheme, args) {
  const started = performance.now()
  const { name, rows, columns, weight, dtype } = linear
  const size = args.group_size ?? columns // one group is the whole row where there are no groups
  const most = 2 ** (args.num_bits - 1) - 1
  // A power of two is exact in every float type: what is stored is what was rounded with. A group of zeros gets scale 1.
  const scale = Float32Array.from({ length: weight.length / size }, (_, group) => {
    const values = weight.subarray(group * size, (group + 1) * size)
    const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
    return largest > 0 ? 2 ** Math.ceil(Math.log2(largest / most)) : 1
  })
  const grid = { scale, scaleShape: [rows, columns / size], scaleDtype: dtype, zeroPoint: null, globalScale: null }
  linear.quantized = quantizeToGrid(weight, rows, columns, args, grid)
  linear.report = {
    name,
    method: 'power of two',
    scheme: schemeLabel(scheme),
    error: relativeError(weight, dequantize(linear.quantized)),
    errorOf: 'weights',
    seconds: (performance.now() - started) / 1000,
  }
}

const shipped = fileURLToPath(new URL('models/docs-llama-4m', import.meta.url))
const [model = shipped, output = 'out/power-of-two'] = process.argv.slice(2)
const record = await oneshot({
  model,
  output,
  overwrite: true,
  modifiers: [powerOfTwo],
  recipe: { modifiers: { PowerOfTwoModifier: { ignore: ['lm_head'], scheme: 'W4A16' } } },
})
for (const { name, method, error } of record.linears) console.log(`${name}  ${method}  ${(100 * error).toFixed(2)} %`)
console.log(`${record.output}: ${record.size.after} bytes`)
