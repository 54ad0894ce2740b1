import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { defineModifier } from '../../src/modifiers/define.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'

const model = 'test/oracles/tiny'
let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmpress-assign-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A copy of the tiny model with some keys of config.json changed. */
async function copyTiny(parent: string, changes: object): Promise<string> {
  const copy = join(parent, 'model')
  await cp(model, copy, { recursive: true })
  const config = JSON.parse(await readFile(join(copy, 'config.json'), 'utf8'))
  await writeFile(join(copy, 'config.json'), JSON.stringify({ ...config, ...changes }))
  return copy
}

const plan = (recipe: string, options = {}) => planRun({ model, recipe, output: join(folder, 'out'), ...options })
const scheme = (bits: number) => `{num_bits: ${bits}, type: int, symmetric: true, strategy: group, group_size: 32}`

describe('assign()', () => {
  it('writes groups that a loader reads as they were meant, whatever the modifiers ignore', async () => {
    // Between patterns a loader decides alphabetically, so that ".*_proj" would win over ".*q_proj".
    const recipe = `
- QuantizationModifier:
    config_groups: {wide: {targets: ['re:.*_proj'], weights: ${scheme(8)}}}
    ignore: ['re:.*[qkv]_proj', lm_head]
- QuantizationModifier:
    config_groups: {narrow: {targets: ['re:.*q_proj', 're:.*k_proj', 're:.*v_proj'], weights: ${scheme(4)}}}
`
    const output = join(folder, 'out')
    const { linears } = await oneshot({ model, recipe, output })
    expect(linears.find(({ name }) => name.endsWith('0.self_attn.q_proj'))?.scheme).toBe('W4A16 g32')
    expect(linears.find(({ name }) => name.endsWith('0.self_attn.o_proj'))?.scheme).toBe('W8A16 g32')
    const { problems, linears: read } = await verify(output, { against: model })
    expect(problems).toEqual([])
    expect(read.map(({ scheme: label }) => label).filter(Boolean)).toEqual(linears.map(({ scheme: label }) => label))
  })

  it('keeps the names of config groups', async () => {
    const recipe = `
QuantizationModifier:
  config_groups:
    mlp: {targets: ['re:.*mlp.*_proj'], weights: ${scheme(4)}}
    attention: {targets: ['re:.*self_attn.*_proj'], weights: ${scheme(8)}}
`
    const { config, close } = await plan(recipe)
    await close()
    expect(config.quantization_config).toMatchObject({
      config_groups: { mlp: { weights: { num_bits: 4 } }, attention: { weights: { num_bits: 8 } } },
    })
  })

  it('keeps all config groups where several modifiers call theirs the same', async () => {
    const group = (name: string, linears: string, bits: number) => `
- QuantizationModifier:
    config_groups: {${name}: {targets: ['re:.*${linears}'], weights: ${scheme(bits)}}}
`
    const recipe = group('group_1', '[qkv]_proj', 4) + group('group_1', 'o_proj', 5) + group('constructor', 'mlp.*_proj', 8)
    const { config, close } = await plan(recipe)
    await close()
    const { config_groups: groups } = config.quantization_config as { config_groups: Record<string, { weights: { num_bits: number } }> }
    expect(Object.values(groups).map(({ weights }) => weights.num_bits)).toEqual([4, 5, 8])
  })

  it('passes over norms that a pattern happens to match', async () => {
    const { linears, close } = await plan("rtn: {scheme: W8A16, targets: ['re:model\\.layers\\..*']}")
    await close()
    expect(linears.filter((linear) => linear.scheme)).toHaveLength(14)
  })

  it.each([
    ["rtn: {scheme: W8A16, targets: ['model.norm']}", /Cannot compress model\.norm: it is not a linear/],
    ["rtn: {scheme: W8A16, targets: ['re:.*']}", /Cannot compress model\.embed_tokens: it is not a linear/],
    ["rtn: {scheme: W8A16, targets: ['re:.*norm']}", /leave no linear/],
    ['rtn: {scheme: W8A16, targets: [Linear], ignore: [Linear]}', /leave no linear/],
  ])('refuses %s', async (recipe, message) => {
    await expect(plan(recipe)).rejects.toThrow(message)
  })

  it('points at the modifier that splits linears which servers fuse', async () => {
    await expect(plan('rtn:\n  scheme: W8A16\n  targets: ["re:.*q_proj"]\n')).rejects.toThrow(
      /Cannot split the attention inputs.*\(<recipe text>:\d+:\d+\)/s,
    )
  })

  it('refuses activation groups that do not divide the inputs', async () => {
    const recipe = `
QuantizationModifier:
  config_groups:
    g:
      targets: [Linear]
      weights: {num_bits: 8, type: float, strategy: channel}
      input_activations: {num_bits: 8, type: float, strategy: group, group_size: 96, dynamic: true}
  ignore: [lm_head]
`
    await expect(plan(recipe)).rejects.toThrow(/Cannot quantize the inputs of .*q_proj: group size 96 does not divide 128/)
  })

  it('refuses a modifier that does nothing it knows of instead of passing over it', async () => {
    const scaling = defineModifier({
      names: ['ScalingModifier'],
      description: 'Scales weights.',
      schema: { type: 'object', additionalProperties: false, properties: {} },
      quantizes: false,
      needs: () => 'weights',
      create: () => ({ apply: async () => {} }),
    })
    await expect(plan('- ScalingModifier: {}\n- rtn: {scheme: W8A16, ignore: [lm_head]}', { modifiers: [scaling] })).rejects.toThrow(
      /Cannot use ScalingModifier: it neither quantizes nor rescales nor rewrites/,
    )
  })
})

describe('a tied head', () => {
  it('is compressed with a warning, since it is then stored beside the embedding', async () => {
    const { warnings, close } = await plan('rtn: {scheme: W4A16}')
    await close()
    expect(warnings.join()).toMatch(/lm_head shares its weight with model\.embed_tokens/)
  })
})

describe('ignore', () => {
  it('may be one pattern as well as a list', async () => {
    const { linears, close } = await plan('rtn: {scheme: W4A16, ignore: lm_head}')
    await close()
    expect(linears.find(({ spec }) => spec.name === 'lm_head')?.scheme).toBeNull()
  })
})

describe('planRun()', () => {
  it('lists tensors that the architecture does not know, and refuses them when strict', async () => {
    const one = await copyTiny(folder, { num_hidden_layers: 1 })
    const { warnings, close } = await planRun({ model: one, recipe: 'W8A16', output: join(folder, 'out') })
    await close()
    expect(warnings.join()).toMatch(/9 tensors .* model\.layers\.1\./)
    await expect(planRun({ model: one, recipe: 'W8A16', output: join(folder, 'out'), strict: true })).rejects.toThrow(
      /Cannot plan under --strict/,
    )
  })

  it('refuses a number of layers that the file cannot hold, at once', async () => {
    const many = await copyTiny(folder, { num_hidden_layers: 1_000_000_000 })
    await expect(planRun({ model: many, recipe: 'W8A16', output: join(folder, 'out') })).rejects.toThrow(/num_hidden_layers is 1000000000/)
  })

  it('sees through a link to the model', async () => {
    const link = join(folder, 'link')
    await symlink(join(process.cwd(), model), link)
    await expect(planRun({ model, recipe: 'W8A16', output: link, overwrite: true })).rejects.toThrow(/it is the model itself/)
  })
})
