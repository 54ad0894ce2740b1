// A modifier of your own: rounds to scales that are powers of two, so that a server can shift instead of multiply.
// node examples/custom-modifier.js [model folder] [output folder]
import { defineModifier, oneshot } from 'llmpress'

const powerOfTwo = defineModifier({
  names: ['PowerOfTwoModifier'],
  description: 'Rounds to the nearest code, with scales that are powers of two.',
  // JSON schema of its options: recipes are checked against it, and its types follow from it.
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      targets: { type: 'array', items: { type: 'string' }, default: ['Linear'] },
      ignore: { type: 'array', items: { type: 'string' }, default: [] },
      scheme: { type: 'string', default: 'W4A16' },
    },
  },
  quantizes: true,
  // 'inputs' would run calibration rows through the model and let apply() call stage.eachInput.
  needs: () => 'weights',
  // Asked while planning, before any compute.
  refuses: ({ weights }) => (weights?.type === 'int' && weights.symmetric ? null : 'only symmetric integers are supported'),
  create: () => ({
    async apply(_stage, targets) {
      for (const [linear, { weights: args }] of targets) if (args) round(linear, args)
    },
  }),
})

/**
 * @param {import('llmpress').Linear} linear
 * @param {NonNullable<import('llmpress').Linear['quantized']>['args']} args
 */
function round(linear, args) {
  const started = performance.now()
  const { name, rows, columns, weight, dtype } = linear
  const size = args.group_size ?? columns // one group is the whole row where there are no groups
  const groups = columns / size
  const most = 2 ** (args.num_bits - 1) - 1
  const scale = new Float32Array(rows * groups)
  const codes = new Int8Array(rows * columns)
  let wrong = 0
  let total = 0
  for (let group = 0; group < rows * groups; group++) {
    // Rows are a whole number of groups, so group after group is the order of the matrix.
    const values = weight.subarray(group * size, (group + 1) * size)
    const largest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
    // A power of two is exact in every float type: what is stored is what was rounded with. A group of zeros gets scale 1.
    const s = largest > 0 ? 2 ** Math.ceil(Math.log2(largest / most)) : 1
    scale[group] = s
    values.forEach((value, i) => {
      const code = Math.max(-most - 1, Math.min(most, Math.round(value / s)))
      codes[group * size + i] = code
      wrong += (value - code * s) ** 2
      total += value ** 2
    })
  }
  linear.quantized = { args, rows, columns, codes, scale, scaleShape: [rows, groups], scaleDtype: dtype, zeroPoint: null }
  const seconds = (performance.now() - started) / 1000
  linear.report = {
    name,
    method: 'power of two',
    scheme: `W${args.num_bits}A16 g${size}`,
    error: wrong / total,
    errorOf: 'weights',
    seconds,
  }
}

const [model = 'examples/models/docs-llama-4m', output = 'out/power-of-two'] = process.argv.slice(2)
const record = await oneshot({
  model,
  output,
  overwrite: true,
  modifiers: [powerOfTwo],
  recipe: { modifiers: { PowerOfTwoModifier: { ignore: ['lm_head'], scheme: 'W4A16' } } },
})
for (const { name, method, error } of record.linears) console.log(`${name}  ${method}  ${(100 * error).toFixed(2)} %`)
console.log(`${record.output}: ${record.size.after} bytes`)
