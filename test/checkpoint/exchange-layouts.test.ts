import { createHash } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { parseQuantizationConfig } from '../../src/checkpoint/config.ts'
import type { Quantized } from '../../src/checkpoint/layouts/layout.ts'
import { layoutNamed } from '../../src/checkpoint/layouts.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { verify } from '../../src/eval/verify.ts'
import { uncomputable } from '../../src/models/computable.ts'
import { allLinears, openModel, readCodes, readWeight } from '../../src/models/open-model.ts'
import { loadBias } from '../../src/models/weights.ts'
import { encodeFloats, roundToDtype } from '../../src/numerics/float-dtype.ts'
import { bytesOf, viewAs } from '../../src/numerics/view.ts'
import { convert } from '../../src/oneshot/convert.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'
import { openForTest, sameBytes } from '../oneshot/runs.ts'
import { folderOf, safetensorsFile, temporaryFolder } from './folders.ts'
import { args } from './schemes.ts'

const NAMES = oracleNames('gptq-awq')
const oracle = (name: string) => oracleFolder(`gptq-awq/${name}`)

describe('checkpoints that GPTQModel wrote', () => {
  test.each(NAMES)('%s: weights are those that its kernels dequantize, to the bit', async (name) => {
    const source = await openForTest(oracle(name))
    const expected = JSON.parse(await readFile(join(oracle(name), 'weights.json'), 'utf8')) as Record<string, string>
    const found: Record<string, string> = {}
    for (const spec of allLinears(source.model)) {
      if (!source.compressed.has(spec.name)) continue
      const weight = await readWeight(source, spec)
      found[spec.name] = createHash('sha256').update(bytesOf(weight)).digest('hex')
    }
    expect(Object.keys(found)).toHaveLength(14)
    expect(found).toEqual(expected)
  })

  test.each(NAMES)('%s: every linear encodes to the same bytes', async (name) => {
    const { reader, compressed, model } = await openForTest(oracle(name))
    for (const spec of allLinears(model)) {
      const stored = compressed.get(spec.name)
      if (!stored?.scheme.weights) continue
      const quantized = await readCodes(reader, stored, stored.scheme.weights, spec)
      for (const [suffix, bytes] of stored.layout.encode(quantized)) {
        expect(sameBytes(bytes, await reader.read(`${spec.name}.${suffix}`)), `${spec.name}.${suffix}`).toBe(true)
      }
    }
  })

  test.each(NAMES)('%s: is sound, and near the original', async (name) => {
    const { problems, linears } = await verify(oracle(name), { against: oracleFolder('tiny') })
    // The scales of AWQ are folded into norms.
    if (name.startsWith('gptq')) expect(problems).toEqual([])
    const errors = linears.flatMap(({ error }) => (error === null ? [] : [error]))
    expect(errors).toHaveLength(14)
    if (name.startsWith('gptq')) expect(Math.max(...errors)).toBeLessThan(name.includes('w2') ? 0.9 : 0.11)
  })

  test('act-order: columns stand in groups of their own', async () => {
    const { reader, compressed, model } = await openForTest(oracle('gptq-w4-g32-desc-act'))
    const spec = allLinears(model)[0]
    const stored = compressed.get(spec.name)
    if (!stored?.scheme.weights) throw new Error('not compressed')
    const { groupOf } = await readCodes(reader, stored, stored.scheme.weights, spec)
    expect(new Set(groupOf)).toEqual(new Set([0, 1, 2, 3]))
    expect(groupOf?.some((group, column) => group !== Math.floor(column / 32))).toBe(true)
  })
})

test('a bias that AutoGPTQ gave a linear is added, whatever the architecture has', async () => {
  const { reader } = await openForTest(oracle('gptq-w4-g32'))
  const tensors: TensorData[] = []
  for (const { name, dtype, shape } of reader.tensors.values()) tensors.push({ name, dtype, shape, bytes: await reader.read(name) })
  const values = Float32Array.from({ length: 128 }, (_, i) => i / 128)
  tensors.push({ name: 'model.layers.0.mlp.down_proj.bias', dtype: 'F16', shape: [128], bytes: encodeFloats(values, 'F16') })
  const config = JSON.parse(await readFile(join(oracle('gptq-w4-g32'), 'config.json'), 'utf8'))
  const folder = await folderOf({ 'config.json': config, 'model.safetensors': safetensorsFile(tensors) })
  const source = await openForTest(folder)
  expect(uncomputable(source)).toBeNull()
  const spec = source.model.linears(0).find(({ name }) => name.endsWith('down_proj'))
  if (!spec) throw new Error('no down_proj')
  expect(await loadBias(source, spec)).toEqual(values)
  expect((await verify(folder)).problems).toEqual([])
})

/** A copy of a checkpoint of GPTQModel's with another quantization_config. */
async function copyWith(name: string, changes: object): Promise<string> {
  const folder = join(await temporaryFolder(), name)
  await cp(oracle(name), folder, { recursive: true })
  const path = join(folder, 'config.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  await writeFile(path, JSON.stringify({ ...config, quantization_config: { ...config.quantization_config, ...changes } }))
  return folder
}

const Q = 'model.layers.0.self_attn.q_proj'

describe('GPTQ and AWQ checkpoints that are not as they should be', () => {
  test('a group that is not there is an error that names tensor and file', async () => {
    const folder = await copyWith('gptq-w4-g32', {})
    await editWeights(folder, (bytes) => {
      bytes.writeInt32LE(4, tensorStart(bytes, `${Q}.g_idx`) + 4 * 7)
      return bytes
    })
    const source = await openForTest(folder)
    const error = await readWeight(source, allLinears(source.model)[0]).catch((failure: unknown) => failure)
    expect(error).toBeInstanceOf(CheckpointError)
    expect(error).toMatchObject({ tensor: `${Q}.g_idx`, file: 'model.safetensors' })
    expect(String(error)).toContain('column 7 is in group 4, expected 0 to 3')
    expect(String(error)).toContain(`${Q}.g_idx of model.safetensors`)
    expect((await verify(folder)).problems.join()).toContain('column 7 is in group 4, expected 0 to 3')
  })

  test('a scale that is not finite is an error of what computes or converts, and a finding of verify', async () => {
    const folder = await copyWith('gptq-w4-g32', {})
    await editWeights(folder, (bytes) => {
      bytes.writeUInt16LE(0x7e00, tensorStart(bytes, `${Q}.scales`) + 2)
      return bytes
    })
    const message = `Cannot use ${Q}.scales of model.safetensors: found NaN for scale`
    const source = await openForTest(folder)
    await expect(readWeight(source, allLinears(source.model)[0])).rejects.toThrow(message)
    const output = join(await temporaryFolder(), 'out')
    await expect(convert(folder, { format: 'compressed-tensors', output })).rejects.toThrow(message)
    expect((await verify(folder)).problems.join()).toContain(`${Q}.scales is NaN at element 1`)
  })

  test('zero points of a symmetric weight that are elsewhere are an error', async () => {
    const source = await openForTest(await copyWith('gptq-w4-g32-asym-v2', { sym: true }))
    await expect(readWeight(source, allLinears(source.model)[0])).rejects.toThrow(/found a zero point of \d+, expected 8 everywhere/)
  })

  const refused: [string, string, object, string][] = [
    ['gptq-w4-g32', 'bits it never has', { bits: 5 }, 'bits is 5, expected 2, 3, 4, 8'],
    ['awq-w4-g32', 'odd bits', { bits: 3 }, 'bits is 3, expected 4'],
    ['gptq-w4-g32', 'no bits', { bits: null }, 'bits is undefined'],
    ['gptq-w4-g32', 'another format', { checkpoint_format: 'marlin' }, 'checkpoint_format is "marlin"'],
    ['awq-w4-g32', 'another version', { version: 'gemv' }, 'version is "gemv", expected gemm'],
    ['gptq-w4-g32', 'another word', { pack_dtype: 'int64' }, 'pack_dtype is "int64"'],
    ['gptq-w4-g32', 'a scheme for some', { dynamic: { '+:.*down': { bits: 8 } } }, 'no scheme for some linears alone'],
    ['gptq-w4-g32', 'groups of nothing', { group_size: 0 }, 'group_size is 0, expected a whole number of columns, or -1'],
    ['gptq-w4-g32', 'half a group', { group_size: 32.5 }, 'group_size is 32.5'],
    ['gptq-w4-g32', 'a group in words', { group_size: '32' }, 'group_size is "32"'],
    ['awq-w4-g32', 'groups below nothing', { group_size: -2 }, 'group_size is -2'],
    ['awq-w4-g32', 'a group that is true', { group_size: true }, 'group_size is true'],
    ['gptq-w4-g32', 'bits below nothing', { bits: -4 }, 'bits is -4, expected 2, 3, 4, 8'],
    ['gptq-w4-g32', 'bits in words', { bits: '4' }, 'bits is "4"'],
    ['awq-w4-g32', 'bits below nothing', { bits: -4 }, 'bits is -4, expected 4'],
    ['gptq-w4-g32', 'a number for a flag', { sym: 0 }, 'sym is 0, expected true or false'],
    ['gptq-w4-g32', 'a word for a flag', { desc_act: 'true' }, 'desc_act is "true", expected true or false'],
    ['gptq-w4-g32', 'a word for another', { is_marlin_format: 'no' }, 'is_marlin_format is "no", expected true or false'],
    ['gptq-w4-g32', 'a list of rules', { dynamic: [1] }, 'dynamic is [1], expected an object'],
    ['gptq-w4-g32', 'a rule that is no pattern', { dynamic: { '-:(': {} } }, 'dynamic is "(", expected regular expressions'],
    ['gptq-w4-g32', 'a number for a format', { checkpoint_format: 2 }, 'checkpoint_format is 2, expected a word'],
    ['awq-w4-g32', 'a number for a version', { version: 1 }, 'version is 1, expected a word'],
    ['awq-w4-g32', 'a word for zero points', { zero_point: 'yes' }, 'zero_point is "yes", expected true or false'],
    [
      'awq-w4-g32',
      'a name for a list',
      { modules_to_not_convert: 'lm_head' },
      'modules_to_not_convert is "lm_head", expected a list of names',
    ],
    ['awq-w4-g32', 'names that are none', { modules_to_not_convert: ['lm_head', 7] }, 'modules_to_not_convert is ["lm_head",7]'],
  ]
  test.each(refused)('%s with %s is refused, naming the key', async (name, _, changes, message) => {
    const failure = await openModel(await copyWith(name, changes)).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(CheckpointError)
    expect(failure).toMatchObject({ file: 'config.json' })
    expect(String(failure)).toContain(message)
  })

  test('bits that the tensors do not have are an error that names the first tensor', async () => {
    const folder = await copyWith('gptq-w4-g32', { bits: 8 })
    await expect(openModel(folder)).rejects.toThrow(`${Q}.qweight has shape [16,128], expected [32,128]`)
  })

  test('a method is told by quant_method alone, and old names of keys count', () => {
    const parsed = parseQuantizationConfig({ quantization_config: { quant_method: 'awq', w_bit: 4, q_group_size: 64, version: 'GEMM' } })
    expect(parsed).toMatchObject({
      format: 'awq',
      config_groups: { group_0: { weights: { num_bits: 4, group_size: 64, symmetric: false } } },
    })
    const old = parseQuantizationConfig({ quantization_config: { quant_method: 'gptq', bits: 4, group_size: -1, desc_act: true } })
    expect(old).toMatchObject({
      format: 'gptq',
      config_groups: { group_0: { weights: { strategy: 'channel', symmetric: true, actorder: 'group' } } },
    })
  })
})

const matrices = fc
  .record({
    bits: fc.constantFrom(2, 3, 4, 8),
    rows: fc.constantFrom(32, 64),
    groups: fc.integer({ min: 1, max: 3 }),
    symmetric: fc.boolean(),
    ordered: fc.boolean(),
    seed: fc.integer(),
  })
  .map(({ bits, rows, groups, symmetric, ordered, seed }): Quantized => {
    let state = seed | 1
    const next = (count: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return (state >>> 8) % count
    }
    const code = () => next(2 ** bits) - 2 ** (bits - 1)
    const columns = 32 * groups
    const scale = Float32Array.from({ length: rows * groups }, () => (next(1000) + 1) / 1024)
    roundToDtype(scale, 'F16')
    const groupOf = Int32Array.from({ length: columns }, (_, column) => (column * 7) % groups)
    const isOrdered = ordered && groupOf.some((group, column) => group !== Math.floor(column / 32))
    return {
      args: args({ num_bits: bits, strategy: 'group', group_size: 32, symmetric, actorder: isOrdered ? 'group' : null }),
      rows,
      columns,
      codes: Int8Array.from({ length: rows * columns }, code),
      scale,
      scaleShape: [rows, groups],
      scaleDtype: 'F16',
      zeroPoint: symmetric ? null : Int8Array.from({ length: rows * groups }, code),
      globalScale: null,
      ...(isOrdered && { groupOf }),
    }
  })

describe.each(['gptq', 'gptq_v2', 'awq', 'pack-quantized'])('%s', (format) => {
  it('decode is the inverse of encode for all bits, with zero points of 0 and columns in any order', async () => {
    const layout = await layoutNamed(format)
    const fitting = matrices.filter(({ args: { num_bits }, groupOf }) => format !== 'awq' || (num_bits === 4 && !groupOf))
    await fc.assert(
      fc.asyncProperty(fitting, async (quantized) => {
        const { args: weights, rows, columns, scaleDtype } = quantized
        const encoded = layout.encode(quantized)
        const stored = layout.tensors(weights, rows, columns, scaleDtype)
        expect([...encoded.keys()].sort()).toEqual(stored.map(({ suffix }) => suffix).sort())
        const decoded = await layout.decode(weights, rows, columns, scaleDtype, async (suffix) => encoded.get(suffix) ?? new Uint8Array())
        expect(decoded).toEqual(quantized)
        expect(sameBytes(bytesOf(dequantize(decoded)), bytesOf(reference(quantized)))).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})

/** weight = (code - zero point of the column's group) * its scale. */
function reference({ codes, rows, columns, scale, scaleShape, zeroPoint, groupOf }: Quantized): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => {
    const column = i % columns
    const tile = Math.floor(i / columns) * scaleShape[1] + (groupOf?.[column] ?? Math.floor(column / 32))
    return (codes[i] - (zeroPoint?.[tile] ?? 0)) * scale[tile]
  })
}

describe('gptq', () => {
  // AutoGPTQ stores 7 for a zero point of 8; GPTQModel's qzeros of a symmetric model of 4 bits is 0x77777777 in version 1, 0x88888888 in version 2.
  it('stores zero points 1 less than gptq_v2 does', async () => {
    const weights = args({ num_bits: 4, strategy: 'channel' })
    const grid = { scale: new Float32Array(8).fill(1), scaleShape: [8, 1], scaleDtype: 'F16' as const, zeroPoint: null, globalScale: null }
    const quantized = { args: weights, rows: 8, columns: 8, codes: new Int8Array(64), ...grid }
    const words = async (format: string) =>
      viewAs(Int32Array, (await layoutNamed(format)).encode(quantized).get('qzeros') ?? new Uint8Array())
    expect([...(await words('gptq'))]).toEqual([0x77777777])
    expect([...(await words('gptq_v2'))]).toEqual([0x88888888 | 0])
  })
})
