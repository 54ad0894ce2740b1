import { describe, expect, onTestFinished, test } from 'vitest'
import { forward } from '../../src/eval/forward.ts'
import type { StageSpec } from '../../src/models/architecture.ts'
import { attentionOf } from '../../src/models/attention-of.ts'
import { type OpenModel, openModel } from '../../src/models/open-model.ts'
import { modifier } from '../../src/modifiers/spinquant.ts'
import { decodeFloats, encodeFloats } from '../../src/numerics/float-dtype.ts'
import { UserError } from '../../src/util/errors.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFolder, oracleNames, spread } from '../models/oracles.ts'
import { sameBytes } from '../oneshot/runs.ts'
import { floatCopy } from './float-copy.ts'

useEngine('wasm')

type Full = Parameters<NonNullable<typeof modifier.rewrites>>[0]
type Options = Partial<Full>

const DEFAULTS: Full = { rotations: ['R1', 'R2'], transform_type: 'hadamard', seed: 0, randomize: false, learnable: false }

async function open(folder: string): Promise<OpenModel> {
  const source = await openModel(folder)
  onTestFinished(() => source.close())
  return source
}

async function rotate(source: OpenModel, options: Options = {}): Promise<OpenModel> {
  if (!modifier.rewrites) throw new Error('expected a modifier that rewrites')
  return modifier.rewrites({ ...DEFAULTS, ...options }, source)
}

async function logitsOf(source: OpenModel, rows: readonly Int32Array[]): Promise<Float32Array> {
  const logits: number[] = []
  await forward(source, rows, { onLogits: (tensor) => void logits.push(...tensor.dataSync()) })
  return Float32Array.from(logits)
}

/** Norm weights and biases that are far from what they are initialised with, so that it shows when one is left out. */
function lively(name: string, values: Float32Array): void {
  if (/norm\.weight$|\.bias$/.test(name)) for (let i = 0; i < values.length; i++) values[i] += 0.5 * Math.sin(7 * i + name.length)
}

/** The mean of x⁴ over the squared mean of x²: 3 for normal numbers, more where there are outliers. */
function kurtosis(values: Float32Array): number {
  const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length
  return moment(4) / moment(2) ** 2
}

/** Makes one channel of the residual stream and one of each head's values far larger than the others, as trained models have them. */
function outliers(name: string, values: Float32Array, shape: readonly number[]): void {
  if (!/embed_tokens|o_proj\.weight|down_proj\.weight|v_proj\.weight/.test(name)) return
  const [, columns] = shape
  for (let i = 0; i < values.length; i++) {
    const channel = name.includes('embed_tokens') ? i % columns : Math.floor(i / columns)
    if (channel === 5 || (name.includes('v_proj') && channel % 32 === 5)) values[i] *= 20
  }
}

const TIED = oracleFolder('tiny')
const MATRICES: [string, Options][] = [
  ['R1', { rotations: ['R1'] }],
  ['R2', { rotations: ['r2'] }],
  ['R1 and R2', {}],
  ['R1 and R2 with random signs', { transform_type: 'random-hadamard', seed: 3 }],
  ['R1 and R2 by random matrices', { transform_type: 'random-matrix', seed: 3 }],
  ['R1 in blocks', { transform_block_size: 16 }],
]
/** What keeps the residual stream of an architecture from being rotated, and the values of another's heads. */
const FIXED_RESIDUAL: Readonly<Record<string, string>> = {
  bloom: 'stage "head" reads it through a LayerNorm',
  cohere: 'stage "head" reads it through a LayerNorm',
  cohere2: 'stage "head" reads it through a LayerNorm',
  deepseek_v2: 'stage "key and value heads" reads a norm of something else',
  'deepseek_v2-groups': 'stage "query heads" reads a norm of something else',
  'deepseek_v2-bias': 'stage "query heads" reads a norm of something else',
  'deepseek_v3-plain': 'stage "query heads" reads a norm of something else',
  deepseek_v3: 'stage "query heads" reads a norm of something else',
  'falcon-40b': 'stage "head" reads it through a LayerNorm',
  'falcon-7b': 'stage "head" reads it through a LayerNorm',
  'falcon-alibi': 'stage "head" reads it through a LayerNorm',
  'falcon-rw': 'stage "head" reads it through a LayerNorm',
  gemma2: 'stage "attention output" does not add its outputs as they are',
  'gemma3-older': 'stage "attention output" does not add its outputs as they are',
  gemma3: 'stage "attention output" does not add its outputs as they are',
  gpt_oss: 'stage "expert 0 inputs" does not read it through a norm',
  'gpt_oss-default-rope': 'stage "expert 0 inputs" does not read it through a norm',
  llama4: 'stage "expert 0 inputs" does not read it through a norm',
  glm4: 'stage "attention output" does not add its outputs as they are',
  'gpt2-by-layer': 'stage "head" reads it through a LayerNorm',
  gpt2: 'stage "head" reads it through a LayerNorm',
  gpt_neox: 'stage "head" reads it through a LayerNorm',
  'gpt_neox-sequential': 'stage "head" reads it through a LayerNorm',
  granite: 'stage "attention output" does not add its outputs as they are',
  mixtral: 'stage "expert 0 inputs" does not read it through a norm',
  olmo2: 'stage "attention inputs" does not read it through a norm',
  opt: 'stage "head" reads it through a LayerNorm',
  'opt-350m': 'stage "head" reads it without a norm',
  'qwen3_moe-plain': 'stage "expert 0 inputs" does not read it through a norm',
  qwen3_moe: 'stage "expert 0 inputs" does not read it through a norm',
  stablelm: 'stage "head" reads it through a LayerNorm',
  'stablelm-parallel': 'stage "head" reads it through a LayerNorm',
  starcoder2: 'stage "head" reads it through a LayerNorm',
}
const FUSED_VALUES = [
  'deepseek_v2',
  'deepseek_v2-groups',
  'deepseek_v2-bias',
  'deepseek_v3',
  'deepseek_v3-plain',
  'bloom',
  'falcon-40b',
  'falcon-7b',
  'falcon-alibi',
  'falcon-rw',
  'gpt2',
  'gpt2-by-layer',
  'gpt_neox',
  'gpt_neox-sequential',
  'phi3',
  'phi3-mha',
  'phi3-older',
  'rope-longrope-long',
  'rope-longrope-short-partial',
]
const MODELS = oracleNames('architectures')
const RESIDUAL = MODELS.filter((name) => !FIXED_RESIDUAL[name])
const VALUES = MODELS.filter((name) => !FUSED_VALUES.includes(name))
/** The models that can be rotated, with all the ways that they can be. */
const ROTATABLE = [...MODELS.map((name) => `architectures/${name}`), 'tiny'].flatMap((path) => {
  const of = (names: readonly string[]) => path === 'tiny' || names.some((name) => path === `architectures/${name}`)
  const matrices = MATRICES.filter(([, { rotations = ['R1', 'R2'] }]) => {
    const wanted = rotations.map((rotation) => rotation.toUpperCase())
    return (!wanted.includes('R1') || of(RESIDUAL)) && (!wanted.includes('R2') || of(VALUES))
  })
  return matrices.length > 0 ? [[path, matrices] as const] : []
})

describe('SpinQuantModifier', () => {
  test.each(Object.entries(FIXED_RESIDUAL))('refuses to rotate the residual stream of %s: %s', async (name, reason) => {
    const source = await open(oracleFolder(`architectures/${name}`))
    await expect(rotate(source, { rotations: ['R1'], transform_type: 'random-matrix' })).rejects.toThrow(reason)
  })

  test.each(FUSED_VALUES)('refuses to rotate the values of %s: no linear makes them alone', async (name) => {
    const source = await open(oracleFolder(`architectures/${name}`))
    await expect(rotate(source, { rotations: ['R2'] })).rejects.toThrow('makes the values alone, head for head')
  })

  describe.each(ROTATABLE)('%s', (name, matrices) => {
    test.each(matrices)('logits in float32 stay within 1e-4 of their spread under %s, where norms and biases count', async (_, options) => {
      const source = await open(await floatCopy(oracleFolder(name), lively))
      const rows = [Int32Array.from({ length: 24 }, (_, i) => (i * 37) % source.model.vocab)]
      const logits = await logitsOf(source, rows)
      expect(largestDifference(await logitsOf(await rotate(source, options), rows), logits)).toBeLessThan(
        1e-4 * Math.max(1, spread(logits)),
      )
    })
  })

  test('spreads the outliers of embeddings and of linears that write to the residual stream or make values', async () => {
    const source = await open(await floatCopy(TIED, outliers))
    const rotated = await rotate(source)
    const tails = async (at: OpenModel, tensor: string) => kurtosis(await at.reader.readFloats(tensor))
    for (const tensor of [
      'model.embed_tokens.weight',
      'model.layers.1.self_attn.o_proj.weight',
      'model.layers.1.self_attn.v_proj.weight',
    ]) {
      expect(await tails(source, tensor), tensor).toBeGreaterThan(20)
      expect(await tails(rotated, tensor), tensor).toBeLessThan(5)
    }
  })

  test('gives a tied head a tensor of its own, folds norms away, and reads no more than asked for', async () => {
    const source = await open(TIED)
    const rotated = await rotate(source)
    expect([source.model.tied, rotated.model.tied, rotated.config.tie_word_embeddings]).toEqual([true, false, false])
    expect(rotated.reader.info('lm_head.weight')).toMatchObject({ dtype: 'BF16', shape: [rotated.model.vocab, rotated.model.hidden] })
    const norm = await rotated.reader.readFloats('model.layers.0.input_layernorm.weight')
    expect(norm.every((value) => value === 1)).toBe(true)
    expect(Object.keys(rotated.config)).toEqual(Object.keys(source.config))
  })

  test('R2 alone leaves the embedding, the norms and the tie as they are', async () => {
    const source = await open(TIED)
    const rotated = await rotate(source, { rotations: ['R2'] })
    expect(rotated.model.tied).toBe(true)
    const changed: string[] = []
    for (const name of source.reader.tensors.keys()) {
      if (!sameBytes(await source.reader.read(name), await rotated.reader.read(name))) changed.push(name)
    }
    const layers = [0, 1].flatMap((layer) => ['o_proj', 'v_proj'].map((linear) => `model.layers.${layer}.self_attn.${linear}.weight`))
    expect(changed.sort()).toEqual(layers.sort())
  })

  test('linears are read before rounding to their stored type, so that codes are computed from what was rotated', async () => {
    const source = await open(TIED)
    const { reader } = await rotate(source)
    const name = 'model.layers.0.self_attn.q_proj.weight'
    const values = await reader.readFloats(name)
    expect(sameBytes(encodeFloats(values, 'BF16'), await reader.read(name))).toBe(true)
    expect(decodeFloats(await reader.read(name), 'BF16')).not.toEqual(values)
  })

  test('the same seed gives the same bytes, another seed others', async () => {
    const source = await open(TIED)
    const bytes = async (seed: number) => (await rotate(source, { transform_type: 'random-hadamard', seed })).reader.read('lm_head.weight')
    expect(sameBytes(await bytes(1), await bytes(1))).toBe(true)
    expect(sameBytes(await bytes(1), await bytes(2))).toBe(false)
  })

  test.each<[Options, string]>([
    [{ rotations: ['R1', 'r4'] }, 'rotation R4: it turns activations at run time'],
    [{ rotations: ['R5'] }, 'there is no such rotation, expected R1 and R2'],
    [{ learnable: true }, 'learnable: found true, expected false'],
    [{ randomize: true }, 'randomize: found true, expected false'],
    [{ mappings: { embedding: 'embed' } }, 'mappings: what is rotated follows from the architecture'],
    [{ transform_config: {} }, 'transform_config'],
    [{ transform_block_size: 24 }, 'transform_block_size is 24, expected a divisor of the hidden size, 128'],
  ])('%j: says what it cannot do', async (options, message) => {
    const failure = rotate(await open(TIED), options)
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(message)
  })

  test('a size without a Hadamard matrix is an error that proposes random-matrix', async () => {
    const source = await open(TIED)
    const odd = { ...source, model: { ...source.model, attention: { ...attentionOf(source.model), headDim: 172 } } }
    await expect(rotate(odd)).rejects.toThrow(
      'head_dim is 172, and none of that order is known here, expected transform_type random-matrix',
    )
  })

  describe('names what keeps the residual stream from being rotated', () => {
    const withStage = (source: OpenModel, index: number, changes: Partial<StageSpec>): OpenModel => {
      const stages = source.model.stages(0).map((stage, i) => (i === index ? { ...stage, ...changes } : stage))
      return { ...source, model: { ...source.model, stages: () => stages } }
    }

    test.each<[string, (source: OpenModel) => OpenModel]>([
      ['stage "attention inputs" does not read it through a norm', (source) => withStage(source, 0, { source: null })],
      ['stage "mlp output" does not add its outputs as they are', (source) => withStage(source, 3, { addsToResidual: false })],
      [
        'stage "attention output" has a norm of its own within',
        (source) => withStage(source, 1, { source: { kind: 'norm', name: 'self_attn.sub_norm', offset: 0, centered: false } }),
      ],
      [
        'stage "mlp inputs" reads it through a LayerNorm',
        (source) => withStage(source, 2, { source: { kind: 'norm', name: 'post_attention_layernorm', offset: 0, centered: true } }),
      ],
      [
        'model.layers.0.post_norm.weight has 128 channels and is not folded',
        (source) => {
          const { model } = source
          const parameters = (layer: number) => [
            ...model.parameters(layer),
            { name: `model.layers.${layer}.post_norm.weight`, shape: [128] },
          ]
          return { ...source, model: { ...model, parameters } }
        },
      ],
      [
        'model.positions.weight has 128 channels and is not folded',
        (source) => {
          const { model } = source
          const outerParameters = () => [...model.outerParameters(), { name: 'model.positions.weight', shape: [512, 128] }]
          return { ...source, model: { ...model, outerParameters } }
        },
      ],
    ])('%s', async (message, change) => {
      const changed = change(await open(TIED))
      await expect(rotate(changed)).rejects.toThrow(UserError)
      await expect(rotate(changed)).rejects.toThrow(message)
    })
  })

  test('refuses values that no linear makes alone, and what is already quantized', async () => {
    const source = await open(TIED)
    const { model } = source
    const fused = { ...source, model: { ...model, attention: { ...attentionOf(model), kvHeads: 16 } } }
    await expect(rotate(fused)).rejects.toThrow('no linear of self_attn makes the values alone')
    await expect(rotate(await open(oracleFolder('checkpoints/rtn-w4a16')))).rejects.toThrow('it is already quantized, expected an original')
  })
})
