import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseQuantizationConfig, patchConfig, quantizationConfig, readConfig } from '../../src/checkpoint/config.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { folderOf } from './folders.ts'
import { args, scheme } from './schemes.ts'

const oracle = (name: string) => fileURLToPath(new URL(`../oracles/checkpoints/${name}/`, import.meta.url))
const config = (quantization: object) => ({
  quantization_config: { quant_method: 'compressed-tensors', format: 'pack-quantized', ...quantization },
})
const withWeights = (weights: object) => config({ config_groups: { g: { targets: ['Linear'], weights } } })

describe('readConfig', () => {
  it('says what is wrong with the file', async () => {
    await expect(readConfig(await folderOf({ 'config.json': '{' }))).rejects.toThrow('expected JSON')
    await expect(readConfig(await folderOf({ 'config.json': '[]' }))).rejects.toThrow('found a list, expected an object')
    await expect(readConfig(await folderOf({ 'config.json': '1' }))).rejects.toThrow(CheckpointError)
  })
})

describe('readConfig of what is no model folder', () => {
  const expected = ', expected a model folder (config.json, safetensors, tokenizer.json) or org/name on the hub.'
  const failure = async (path: string) => {
    const error: unknown = await readConfig(path).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(CheckpointError)
    return (error as Error).message
  }

  it('says what is in the folder', async () => {
    const empty = await folderOf({})
    expect(await failure(empty)).toBe(`Cannot read ${empty}/config.json: there is no config.json in ${empty}, which is empty${expected}`)
    const notes = await folderOf({ 'a.txt': '', 'b.txt': '', 'c.txt': '', 'd.txt': '', 'e.txt': '', 'f.txt': '' })
    expect(await failure(notes)).toContain(`, which holds a.txt, b.txt, c.txt, d.txt and 2 more${expected}`)
  })

  it('names the models within it, and the folder that was probably meant', async () => {
    const parent = await folderOf({ notes: '' })
    await mkdir(join(parent, 'llama'))
    await writeFile(join(parent, 'llama', 'config.json'), '{}')
    expect(await failure(parent)).toContain(`there is no config.json in ${parent}, but in ${join(parent, 'llama')}${expected}`)
    const lama = join(parent, 'lama')
    expect(await failure(lama)).toContain(`there is no folder ${lama} (did you mean "${join(parent, 'llama')}"?)${expected}`)
    expect(await failure(join(parent, 'x', 'y'))).toContain(`there is no folder ${join(parent, 'x', 'y')}${expected}`)
  })

  it('names the file that stands where a folder is expected', async () => {
    const file = join(await folderOf({ 'c.json': '{}' }), 'c.json')
    expect(await failure(file)).toContain(`: ${file} is a file${expected}`)
    expect(await failure(join(file, 'model'))).toContain(`: ${file} is a file${expected}`)
  })
})

describe('parseQuantizationConfig', () => {
  it('reads what llm-compressor wrote', async () => {
    expect(parseQuantizationConfig(await readConfig(oracle('gptq-w4a16')))).toEqual({
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      quantization_status: 'compressed',
      config_groups: {
        group_0: scheme({
          weights: args({ num_bits: 4, strategy: 'group', group_size: 128, actorder: 'static', observer: 'memoryless_minmax' }),
          format: 'pack-quantized',
        }),
      },
      ignore: ['lm_head'],
      kv_cache_scheme: null,
    })
  })

  it('is null for a model that is not compressed', () => {
    expect(parseQuantizationConfig({ model_type: 'llama' })).toBeNull()
    expect(parseQuantizationConfig({ quantization_config: null })).toBeNull()
  })

  it('fills in defaults, infers the strategy and hands the format down', () => {
    const strategyOf = (weights: object) => parseQuantizationConfig(withWeights(weights))?.config_groups.g
    expect(strategyOf({})).toEqual(scheme({ weights: args({}), format: 'pack-quantized' }))
    expect(strategyOf({ num_bits: 4, group_size: 32 })?.weights).toEqual(args({ num_bits: 4, strategy: 'group', group_size: 32 }))
    expect(strategyOf({ group_size: -1 })?.weights).toEqual(args({ strategy: 'channel' }))
    expect(strategyOf({ type: 'FLOAT', strategy: 'BLOCK', block_structure: '128x64' })?.weights).toEqual(
      args({ type: 'float', strategy: 'block', block_structure: [128, 64] }),
    )
    expect(strategyOf({ actorder: false, strategy: null })?.weights).toEqual(args({}))
  })

  it('takes configs that older versions left as frozen, whose weights are compressed all the same', () => {
    const parsed = parseQuantizationConfig(
      config({ quantization_status: 'frozen', config_groups: { g: { targets: ['Linear'], weights: {} } } }),
    )
    expect(parsed?.quantization_status).toBe('compressed')
  })

  it.each([
    ['mxfp4', 'Mxfp4Config(dequantize=True)'],
    ['fp8', 'FineGrainedFP8Config(dequantize=True)'],
  ])('says how %s is undone, which models are published in', (quant_method, config) => {
    expect(() => parseQuantizationConfig({ quantization_config: { quant_method } })).toThrow(config)
  })

  it.each(['eetq', 'fp8', 'hqq'])('says that %s is not readable yet', (quant_method) => {
    expect(() => parseQuantizationConfig({ quantization_config: { quant_method, bits: 4 } })).toThrow(
      `"${quant_method}", which is not readable yet`,
    )
  })

  it.each([true, 'GROUP', 'dynamic'])('takes actorder %s, of older versions, as group', (actorder) => {
    const parsed = parseQuantizationConfig(withWeights({ strategy: 'group', group_size: 8, actorder }) as Record<string, unknown>)
    expect(parsed?.config_groups.g.weights?.actorder).toBe('group')
  })

  const refused: [string, object, string][] = [
    ['a value of the wrong type', withWeights({ num_bits: '4' }), 'config_groups.g.weights.num_bits is "4", but must be integer'],
    ['an unknown strategy', withWeights({ strategy: 'row' }), 'must be one of tensor, channel'],
    ['a key it does not know', withWeights({ rotate: true }), 'must not have the key rotate'],
    ['groups without a size', withWeights({ strategy: 'group' }), 'group_size'],
    ['blocks without a shape', withWeights({ strategy: 'block' }), 'block_structure'],
    ['a shape of words', withWeights({ strategy: 'block', block_structure: 'axb' }), 'block_structure'],
    [
      'an order of columns that it does not know',
      withWeights({ strategy: 'group', group_size: 8, actorder: 'random' }),
      'must be one of static, weight',
    ],
    ['a preset without its values', config({ config_groups: { W4A16: ['Linear'] } }), 'expected a scheme written out'],
    ['a scheme that is no object', config({ config_groups: { g: 'W4A16' } }), 'must be object'],
    ['no groups', config({}), 'no config_groups'],
    ['no targets', config({ config_groups: { g: { weights: {} } } }), "required property 'targets'"],
    ['a string', { quantization_config: 'W4A16' }, 'expected an object'],
    ['sparsity', config({ config_groups: {}, sparsity_config: { format: 'sparse-24-bitmask' } }), 'sparse'],
    ['transforms', config({ config_groups: {}, transform_config: { config_groups: { R1: {} } } }), 'transforms'],
    [
      'weights left as they were',
      { ...config({ format: 'dense', config_groups: { g: { targets: [], weights: {} } } }) },
      'never compressed',
    ],
  ]
  it.each(refused)('refuses %s', (_, stored, message) => {
    expect(() => parseQuantizationConfig(stored as Record<string, unknown>)).toThrow(message)
    expect(() => parseQuantizationConfig(stored as Record<string, unknown>)).toThrow(CheckpointError)
  })
})

describe('quantizationConfig', () => {
  it('writes no null keys, and actorder for groups only', async () => {
    const weights = args({ num_bits: 4, strategy: 'group', group_size: 128, actorder: 'static', observer: 'memoryless_minmax' })
    expect(await quantizationConfig({ group_0: scheme({ weights }) }, ['lm_head'])).toEqual({
      quant_method: 'compressed-tensors',
      format: 'pack-quantized',
      quantization_status: 'compressed',
      config_groups: {
        group_0: {
          targets: ['Linear'],
          weights: {
            num_bits: 4,
            type: 'int',
            strategy: 'group',
            group_size: 128,
            symmetric: true,
            dynamic: false,
            actorder: 'static',
            observer: 'memoryless_minmax',
          },
          format: 'pack-quantized',
        },
      },
      ignore: ['lm_head'],
    })
    const channel = await quantizationConfig({ g: scheme({ weights: args({ strategy: 'channel', actorder: 'static' }) }) }, [])
    expect(JSON.stringify(channel)).not.toMatch(/null|actorder/)
  })

  it('writes a quantized cache beside no groups at all', async () => {
    const written = await quantizationConfig({}, [], args({ type: 'float', observer: 'minmax' }))
    expect(written).toMatchObject({ format: 'dense', config_groups: {}, kv_cache_scheme: { num_bits: 8, type: 'float', dynamic: false } })
    expect(parseQuantizationConfig({ quantization_config: written })?.kv_cache_scheme).toEqual(args({ type: 'float', observer: 'minmax' }))
  })

  it('names several formats mixed-precision and each group its own', async () => {
    const groups = {
      a: scheme({ weights: args({ num_bits: 4, strategy: 'channel' }) }),
      b: scheme({ weights: args({ type: 'float' }), input_activations: args({ type: 'float', strategy: 'token', dynamic: true }) }),
    }
    expect(await quantizationConfig(groups, [])).toMatchObject({
      format: 'mixed-precision',
      config_groups: { a: { format: 'pack-quantized' }, b: { format: 'float-quantized' } },
    })
  })

  it.each([
    'gptq-w4a16',
    'rtn-w4a16-asym',
    'rtn-w8a8',
    'fp8-dynamic',
    'fp8-static',
    'fp8-block',
    'fp8-kv-cache',
    'nvfp4',
    'nvfp4a16',
    'mxfp4a16',
  ])('is read back as what was written, from %s', async (name) => {
    const parsed = parseQuantizationConfig(await readConfig(oracle(name)))
    const written = await quantizationConfig(parsed?.config_groups ?? {}, parsed?.ignore ?? [], parsed?.kv_cache_scheme)
    expect(JSON.stringify(written)).not.toContain('null')
    expect(parseQuantizationConfig({ quantization_config: written })).toEqual(parsed)
  })
})

describe('patchConfig', () => {
  it('keeps every key in its order and puts the quantization last', () => {
    const patched = patchConfig({ b: 1, quantization_config: 'old', tie_word_embeddings: true, a: null }, { format: 'x' }, { tied: false })
    expect(JSON.stringify(patched)).toBe('{"b":1,"tie_word_embeddings":false,"a":null,"quantization_config":{"format":"x"}}')
  })

  it('leaves the tie as it is when nothing is said about it', () => {
    expect(patchConfig({ a: 1 }, {})).toEqual({ a: 1, quantization_config: {} })
  })
})
