import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { loadRows } from '../../src/data/load-rows.ts'
import { loadTokenizer } from '../../src/data/tokenizer.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { verify } from '../../src/eval/verify.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { RecipeError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { floatCopy } from '../modifiers/float-copy.ts'
import { openForTest, recipeOf, runTiny, sameBytes, TINY } from './runs.ts'

const MODEL = fileURLToPath(new URL('../../examples/models/docs-llama-4m', import.meta.url))
const RTN = { QuantizationModifier: { scheme: 'W4A16', ignore: ['lm_head'] } }

async function compressed(recipe: object, model = MODEL): Promise<string> {
  const output = join(await temporaryFolder(), 'out')
  await oneshot({ model, recipe, output, engine: 'wasm' })
  return output
}

/** Perplexity on 512 tokens, with the tokenizer of the shipped model. */
async function scoreOf(checkpoint: string): Promise<number> {
  const { rows } = await loadRows({
    dataset: 'docs-text',
    tokenizer: () => loadTokenizer(MODEL),
    samples: 2,
    length: 256,
    seed: 0,
    vocab: 4096,
    purpose: 'evaluation',
  })
  return (await perplexity(checkpoint, { dataset: rows, engine: 'wasm' })).perplexity
}

/** The same function with an outlier: one channel of every norm a 32nd of what it was, and 32 times as much in the weights that read it. */
function outlier(name: string, values: Float32Array, shape: readonly number[]): void {
  const columns = shape[shape.length - 1]
  if (/layernorm\.weight$/.test(name)) values[5] /= 32
  if (/(q|k|v|gate|up)_proj\.weight$/.test(name)) for (let at = 5; at < values.length; at += columns) values[at] *= 32
}

const configOf = async (folder: string) => JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))

describe('a recipe with SpinQuantModifier', () => {
  test('writes a float checkpoint where nothing quantizes: the same perplexity but for the rounding of bfloat16', async () => {
    const output = await compressed({ modifiers: { SpinQuantModifier: {} } })
    const original = await configOf(MODEL)
    expect(await configOf(output)).toEqual({ ...original, tie_word_embeddings: false })
    const { reader } = await openForTest(output)
    expect([...new Set([...reader.tensors.values()].map(({ dtype }) => dtype))]).toEqual(['BF16'])
    expect(reader.has('lm_head.weight')).toBe(true)
    const [rotated, plain] = [await scoreOf(output), await scoreOf(MODEL)]
    expect(Math.abs(rotated / plain - 1)).toBeLessThan(0.003)
  })

  test('before plain rounding: a sound checkpoint, where an outlier channel would have spoilt the others of its group', async () => {
    const model = await floatCopy(MODEL, outlier)
    const plain = await compressed({ modifiers: RTN }, model)
    const rotated = await compressed({ modifiers: { SpinQuantModifier: {}, ...RTN } }, model)
    expect((await verify(rotated)).problems).toEqual([])
    expect((await configOf(rotated)).quantization_config).toEqual((await configOf(plain)).quantization_config)
    const original = await scoreOf(MODEL)
    expect((await scoreOf(plain)) / original).toBeGreaterThan(1.5)
    expect((await scoreOf(rotated)) / original).toBeLessThan(1.05)
  }, 120_000)

  test('before GPTQ: calibrated on the rotated model, with the same bytes each time', async () => {
    const { GPTQModifier } = (recipeOf('GPTQModifier', { scheme: 'W4A16' }) as { modifiers: Record<string, object> }).modifiers
    const recipe = { modifiers: { SpinQuantModifier: { transform_type: 'random-hadamard' }, GPTQModifier } }
    const [first, second] = [await runTiny(recipe), await runTiny(recipe, { threads: 1 })]
    const weights = (folder: string) => readFile(join(folder, 'model.safetensors'))
    expect(sameBytes(await weights(first.output), await weights(second.output))).toBe(true)
    expect((await verify(first.output)).problems).toEqual([])
    for (const { error, rtnError } of first.linears) expect(error).toBeLessThan(rtnError ?? 0)
  })

  test('is refused by the plan, at its place in the recipe, where it cannot be had', async () => {
    const text = 'modifiers:\n  QuantizationModifier: { scheme: W4A16 }\n'
    const online = planRun({ model: TINY, recipe: `modifiers:\n  SpinQuantModifier:\n    rotations: [R1, R4]\n${text.slice(11)}` })
    await expect(online).rejects.toThrow(RecipeError)
    await expect(online).rejects.toThrow('Cannot use rotation R4')
    await expect(planRun({ model: TINY, recipe: `${text}  SpinQuantModifier: {}\n` })).rejects.toThrow('after QuantizationModifier')
  })
})
