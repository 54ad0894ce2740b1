import { describe, expect, test } from 'vitest'
import { useEngine } from '../engine/engines.ts'
import { oracleFloats, oracleFolder, oracleRows, runForward } from '../models/oracles.ts'
import { openForTest, runTiny } from '../oneshot/runs.ts'

useEngine('wasm')

const rows = oracleRows('checkpoints/input_ids.safetensors', 'eval').slice(0, 2)
const original = oracleFloats('checkpoints/original.safetensors', 'logits')

/** Relative squared error of the logits on the evaluation rows. */
function logitError(logits: Float32Array): number {
  const sum = (value: (i: number) => number) => original.reduce((total, _, i) => total + value(i) ** 2, 0)
  return sum((i) => logits[i] - original[i]) / sum((i) => original[i])
}

/** How far two norms differ, element by element, relative to the second. */
async function normDifferences(ours: string, theirs: string, name: string): Promise<number[]> {
  const [a, b] = await Promise.all([ours, theirs].map(async (folder) => (await openForTest(folder)).reader.readFloats(name)))
  return Array.from(a, (value, i) => Math.abs(value / b[i] - 1))
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The AWQ recipe with scales as the reference finds them: its search judges by what rounding will do. */
const minMaxAwq = {
  modifiers: [
    { AWQModifier: {} },
    { QuantizationModifier: { scheme: 'W4A16_ASYM', ignore: ['lm_head'], weight_observer: 'memoryless_minmax' } },
  ],
}

describe.each([
  ['awq-w4a16-asym', 'awq-w4a16-asym', 1],
  ['awq-w4a16-asym', minMaxAwq, 1],
  // With 8 bits of both, most is lost where inputs are rounded at run time, which falls this way or that: 20 % either way were seen.
  ['smoothquant-gptq-w8a8', 'smoothquant-gptq-w8a8', 1.25],
])('%s', (name, recipe, most) => {
  const theirs = oracleFolder(`checkpoints/${name}`)

  test(`loses no more of the logits than ${most} times what the checkpoint of llm-compressor loses`, async () => {
    const { output, warnings } = await runTiny(recipe)
    expect(warnings).toEqual([])
    const ours = logitError((await runForward(output, rows)).logits)
    const reference = logitError((await runForward(theirs, rows)).logits)
    expect(ours).toBeLessThan(most * reference)
    expect(ours).toBeGreaterThan(reference / 2)
  })
})

describe.each([
  ['awq-w4a16-asym', minMaxAwq],
  ['smoothquant-gptq-w8a8', 'smoothquant-gptq-w8a8'],
])('%s', (name, recipe) => {
  const theirs = oracleFolder(`checkpoints/${name}`)

  test('divides the first norm, whose inputs are the same there, as llm-compressor does in bfloat16', async () => {
    const { output } = await runTiny(recipe)
    const differences = await normDifferences(output, theirs, 'model.layers.0.input_layernorm.weight')
    // Both round the quotient to 8 bits; SmoothQuant there also works out its factors in 8 bits.
    expect(Math.max(...differences)).toBeLessThan(2 ** -6)
    expect(mean(differences)).toBeLessThan(2 ** -8)
    const untouched = await normDifferences(output, oracleFolder('tiny'), 'model.layers.0.input_layernorm.weight')
    expect(mean(untouched)).toBeGreaterThan(0.1)
    expect(await normDifferences(output, theirs, 'model.norm.weight')).toEqual(Array(128).fill(0))
  })
})

describe('SmoothQuantModifier before GPTQModifier', () => {
  test('divides the later norms as llm-compressor does too: 8 bits lose little on the way', async () => {
    const { output } = await runTiny('smoothquant-gptq-w8a8')
    for (const norm of ['0.post_attention_layernorm', '1.input_layernorm', '1.post_attention_layernorm']) {
      const differences = await normDifferences(output, oracleFolder('checkpoints/smoothquant-gptq-w8a8'), `model.layers.${norm}.weight`)
      expect(Math.max(...differences)).toBeLessThan(2 ** -5)
      expect(mean(differences)).toBeLessThan(0.01)
    }
  })
})
