import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseQuantizationConfig, readConfig } from '../../src/checkpoint/config.ts'
import type { Layout, Quantized } from '../../src/checkpoint/layouts/layout.ts'
import { layoutFor, layoutNamed, loadLayouts } from '../../src/checkpoint/layouts.ts'
import type { QuantizationArgs, QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import { type CheckpointReader, openCheckpoint } from '../../src/checkpoint/reader.ts'
import { scaleShape } from '../../src/checkpoint/scale-tensors.ts'
import { DTYPE_BYTES, elementCount } from '../../src/numerics/dtype.ts'
import { decodeFloats, encodeFloats } from '../../src/numerics/float-dtype.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { args, scheme } from './schemes.ts'

const ORACLES = fileURLToPath(new URL('../oracles/checkpoints/', import.meta.url))
const CHECKPOINTS = readdirSync(ORACLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

/** sha256 (first half) of the bfloat16 weight that compressed-tensors 0.19 decompresses from model.layers.1.mlp.down_proj. */
const DECOMPRESSED: Record<string, string> = {
  'awq-w4a16-asym': 'c4c9b5777c6daf761a2fb552a34f76e2',
  'fp8-block': 'dbc44955bf8dc843b982f0a032b3d1b9',
  'fp8-dynamic': '80431dee04ec1be80168625d82e571cd',
  'fp8-kv-cache': '80431dee04ec1be80168625d82e571cd',
  'fp8-static': '9ccfd9039fd394dc801767162734f351',
  'gptq-w3a16-g64': '678a06e106b9971ac610c744b4454621',
  'gptq-w4a16': 'ac8c0550bbde5da56d7ce3ebbc8326c9',
  'gptq-w4a16-no-actorder': 'eef7a10ac349e6534213c134f2df10ea',
  'gptq-w8a16': 'd59527f5690e97a9accb0f55b9a30be1',
  mxfp4a16: '42bd39033a7c51a020e3c8fea1afb82e',
  nvfp4: '58bd90da1032a6b429c3af470080567d',
  nvfp4a16: '58bd90da1032a6b429c3af470080567d',
  'rtn-w3a16-g64': '921a087a53b909de4947807903a6a7a4',
  'rtn-w4a16': '00dd517802c9e3b537b2b265d1a57db0',
  'rtn-w4a16-asym': '75dcce0e434f0cf7a2795c0482171f13',
  'rtn-w4a16-g32': '67020388230a7590146e911eb2b04438',
  'rtn-w8a16': 'ab4ea315318e314c056420087946541a',
  'rtn-w8a8': '1c377c6de15098017168c7e2d385e44a',
  'smoothquant-gptq-w8a8': '36823829213d7134aaaa1b715aa61365',
}

async function openOracle(name: string) {
  const config = parseQuantizationConfig(await readConfig(ORACLES + name))
  const [group] = Object.values(config?.config_groups ?? {})
  if (!group?.weights) throw new Error(`${name} has no weights scheme`)
  return { reader: await openCheckpoint(ORACLES + name), layout: await layoutFor(group), weights: group.weights }
}

const linears = (reader: CheckpointReader) =>
  [...reader.tensors.keys()].flatMap((name) => (name.endsWith('.weight_scale') ? [name.slice(0, -13)] : []))

async function shapeOf(reader: CheckpointReader, linear: string): Promise<[number, number]> {
  if (reader.has(`${linear}.weight`)) return reader.info(`${linear}.weight`).shape as [number, number]
  if (!reader.has(`${linear}.weight_shape`)) {
    const [rows, bytes] = reader.info(`${linear}.weight_packed`).shape
    return [rows, bytes * 2]
  }
  const [rows, columns] = new BigInt64Array((await reader.read(`${linear}.weight_shape`)).buffer)
  return [Number(rows), Number(columns)]
}

async function decode(reader: CheckpointReader, layout: Layout, weights: QuantizationArgs, linear: string): Promise<Quantized> {
  const [rows, columns] = await shapeOf(reader, linear)
  return layout.decode(weights, rows, columns, 'BF16', (suffix) => reader.read(`${linear}.${suffix}`))
}

/** OCP E2M1. */
const FP4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]

/** weight = (code - zero point) * scale / global scale, rounded to bfloat16 as compressed-tensors leaves it. */
function dequantize({ codes, args, rows, columns, scale, scaleShape, zeroPoint, globalScale }: Quantized): Uint8Array {
  const fp8 = args.type === 'float' && args.num_bits === 8 ? decodeFloats(codes as Uint8Array, 'F8_E4M3') : null
  const values = Float32Array.from(codes, (code, i) => fp8?.[i] ?? (args.type === 'float' ? FP4[code] : code))
  const [height, width] = args.block_structure ?? [rows / scaleShape[0], columns / (scaleShape[1] ?? 1)]
  const gridColumns = scaleShape[1] ?? 1
  for (let i = 0; i < rows * columns; i++) {
    const tile = Math.floor(Math.floor(i / columns) / height) * gridColumns + Math.floor((i % columns) / width)
    const effective = globalScale === null ? scale[tile] : Math.fround(scale[tile] / globalScale)
    values[i] = (values[i] - (zeroPoint?.[tile] ?? 0)) * effective
  }
  return encodeFloats(values, 'BF16')
}

describe('layouts, on checkpoints that llm-compressor wrote', () => {
  it.each(CHECKPOINTS)('%s: every linear decodes and encodes to the same bytes', async (name) => {
    const { reader, layout, weights } = await openOracle(name)
    expect(linears(reader)).toHaveLength(14)
    for (const linear of linears(reader)) {
      const quantized = await decode(reader, layout, weights, linear)
      const stored = layout.tensors(weights, quantized.rows, quantized.columns, 'BF16')
      const encoded = layout.encode(quantized)
      expect([...encoded.keys()]).toEqual(stored.map(({ suffix }) => suffix))
      const kept = [...reader.tensors.keys()].filter((tensor) => tensor.startsWith(`${linear}.`) && !tensor.includes('.input_'))
      expect(kept).toHaveLength(stored.length)
      for (const { suffix, dtype, shape } of stored) {
        expect(reader.info(`${linear}.${suffix}`)).toMatchObject({ dtype, shape })
        expect(Buffer.compare(encoded.get(suffix) ?? Buffer.alloc(0), await reader.read(`${linear}.${suffix}`))).toBe(0)
      }
    }
    await reader.close()
  })

  it.each(CHECKPOINTS)('%s: the weights are those that compressed-tensors decompresses', async (name) => {
    const { reader, layout, weights } = await openOracle(name)
    const bytes = dequantize(await decode(reader, layout, weights, 'model.layers.1.mlp.down_proj'))
    expect(createHash('sha256').update(bytes).digest('hex').slice(0, 32)).toBe(DECOMPRESSED[name])
    await reader.close()
  })
})

const STRATEGIES: Partial<QuantizationArgs>[] = [
  { strategy: 'tensor' },
  { strategy: 'channel' },
  { strategy: 'group', group_size: 4 },
  { strategy: 'block', block_structure: [3, 5] },
]

const cases = fc
  .record({
    strategy: fc.constantFrom(...STRATEGIES),
    bits: fc.integer({ min: 1, max: 8 }),
    symmetric: fc.boolean(),
    rows: fc.integer({ min: 1, max: 9 }),
    columns: fc.integer({ min: 1, max: 6 }).map((groups) => groups * 4),
    scaleDtype: fc.constantFrom('F32', 'F16', 'BF16'),
    fill: fc.infiniteStream(fc.nat(255)),
  })
  .map(({ strategy, bits, symmetric, rows, columns, scaleDtype, fill }): Quantized => {
    const weights = args({ num_bits: bits, symmetric, ...strategy })
    const shape = scaleShape(weights, rows, columns)
    const scales = elementCount(shape)
    const code = () => ((fill.next().value ?? 0) % 2 ** bits) - 2 ** (bits - 1)
    return {
      args: weights,
      rows,
      columns,
      codes: Int8Array.from({ length: rows * columns }, code),
      scale: Float32Array.from({ length: scales }, (_, i) => 2 ** -(i % 8)),
      scaleShape: shape,
      scaleDtype,
      zeroPoint: symmetric ? null : Int8Array.from({ length: scales }, code),
      globalScale: null,
    }
  })

describe.each(['pack-quantized', 'int-quantized', 'naive-quantized'])('%s', (format) => {
  it('decode is the inverse of encode for every width, strategy and symmetry', async () => {
    const layout = await layoutNamed(format)
    await fc.assert(
      fc.asyncProperty(cases, async (quantized) => {
        const { args: weights, rows, columns, scaleDtype } = quantized
        const encoded = layout.encode(quantized)
        const decoded = await layout.decode(weights, rows, columns, scaleDtype, async (suffix) => encoded.get(suffix) ?? new Uint8Array())
        expect(decoded).toEqual(quantized)
      }),
    )
  })

  it('refuses stored tensors of another size', async () => {
    const layout = await layoutNamed(format)
    await expect(layout.decode(args({ strategy: 'channel' }), 2, 2, 'BF16', async () => new Uint8Array(3))).rejects.toThrow('found 3 bytes')
  })
})

describe.each([
  ['nvfp4-pack-quantized', { strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' }, 'F8_E4M3'],
  ['mxfp4-pack-quantized', { strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' }, 'U8'],
] as const)('%s', (format, parts, scaleDtype) => {
  const weights = args({ num_bits: 4, type: 'float', ...parts })
  const quantizedOf = (rows: number, groups: number, bytes: readonly number[]): Quantized => ({
    args: weights,
    rows,
    columns: groups * parts.group_size,
    codes: Uint8Array.from({ length: rows * groups * parts.group_size }, (_, i) => bytes[i % bytes.length] & 15),
    scale: Float32Array.from({ length: rows * groups }, (_, i) => 2 ** ((bytes[i % bytes.length] % 12) - 6)),
    scaleShape: [rows, groups],
    scaleDtype,
    zeroPoint: null,
    globalScale: parts.strategy === 'tensor_group' ? 4192.5 : null,
  })

  it('decode is the inverse of encode, whatever type the model has', async () => {
    const layout = await layoutNamed(format)
    const bytes = fc.array(fc.nat(255), { minLength: 1, maxLength: 70 })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3 }), bytes, async (rows, groups, fill) => {
        const quantized = quantizedOf(rows, groups, fill)
        const encoded = layout.encode(quantized)
        const stored = layout.tensors(weights, rows, quantized.columns, 'BF16')
        expect([...encoded].map(([suffix, { length }]) => [suffix, length])).toEqual(
          stored.map(({ suffix, dtype, shape }) => [suffix, elementCount(shape) * DTYPE_BYTES[dtype]]),
        )
        const read = async (suffix: string) => encoded.get(suffix) ?? new Uint8Array()
        expect(await layout.decode(weights, rows, quantized.columns, 'BF16', read)).toEqual(quantized)
      }),
    )
  })

  it('refuses codes that are no bit patterns, types that are no 4-bit floats, and columns that fill no byte', async () => {
    const layout = await layoutNamed(format)
    const quantized = quantizedOf(1, 1, [3])
    expect(() => layout.encode({ ...quantized, codes: new Int8Array(quantized.columns) })).toThrow('signed codes')
    expect(() => layout.tensors({ ...weights, num_bits: 8 }, 1, 64, 'BF16')).toThrow('expected symmetric float with 4 bits')
    expect(() => layout.tensors(weights, 1, 33, 'BF16')).toThrow('expected an even number')
  })
})

describe('nvfp4-pack-quantized', () => {
  it('refuses a global scale that nothing can be divided by', async () => {
    const layout = await layoutNamed('nvfp4-pack-quantized')
    const weights = args({ num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16 })
    const read = async (suffix: string) => new Uint8Array(suffix === 'weight_packed' ? 8 : suffix === 'weight_scale' ? 1 : 4)
    await expect(layout.decode(weights, 1, 16, 'BF16', read)).rejects.toThrow('found 0, expected one positive number')
  })
})

describe('pack-quantized', () => {
  // pack_to_int32(zero_point, 4, packed_dim=0) of compressed-tensors 0.19.
  it('packs the zero points of channels down the rows and keeps the one of a tensor an int8', async () => {
    const layout = await layoutNamed('pack-quantized')
    const zeroPoint = Int8Array.of(-8, 7, 0, 1, 2, 3, 4, 5, 6, -1)
    const weights = args({ num_bits: 4, symmetric: false, strategy: 'channel' })
    const codes = new Int8Array(10)
    const rest = { args: weights, codes, rows: 10, columns: 1, scaleDtype: 'BF16', globalScale: null } as const
    const channel = layout.encode({ ...rest, zeroPoint, scale: new Float32Array(10).fill(1), scaleShape: [10, 1] })
    expect(Buffer.from(channel.get('weight_zero_point') ?? []).toString('hex')).toBe('f098badc7e000000')
    expect(layout.tensors(weights, 10, 1, 'BF16')[3]).toEqual({ suffix: 'weight_zero_point', dtype: 'I32', shape: [2, 1] })
    const whole = args({ num_bits: 4, symmetric: false, strategy: 'tensor' })
    expect(layout.tensors(whole, 10, 1, 'BF16')[3]).toEqual({ suffix: 'weight_zero_point', dtype: 'I8', shape: [1] })
  })

  it('refuses a weight_shape that is not the one of the model', async () => {
    const layout = await layoutNamed('pack-quantized')
    const weights = args({ num_bits: 4, strategy: 'channel' })
    const quantized: Quantized = {
      args: weights,
      codes: new Int8Array(4),
      rows: 2,
      columns: 2,
      scale: new Float32Array(2),
      scaleShape: [2, 1],
      scaleDtype: 'F32',
      zeroPoint: null,
      globalScale: null,
    }
    const encoded = layout.encode(quantized)
    const read = async (suffix: string) => encoded.get(suffix) ?? new Uint8Array()
    await expect(layout.decode(weights, 2, 3, 'F32', read)).rejects.toThrow('found [2,2], expected [2, 3]')
  })

  it('refuses zero points that the scheme does not have, and their absence', async () => {
    const layout = await layoutNamed('pack-quantized')
    const scales = { scale: new Float32Array(1), scaleShape: [1], scaleDtype: 'F32', globalScale: null } as const
    const rest = { codes: new Int8Array(1), rows: 1, columns: 1, ...scales }
    expect(() => layout.encode({ ...rest, args: args({}), zeroPoint: Int8Array.of(1) })).toThrow('expected none')
    expect(() => layout.encode({ ...rest, args: args({ symmetric: false }), zeroPoint: null })).toThrow('found no zero points')
  })
})

describe('layoutFor', () => {
  const float8 = args({ type: 'float', strategy: 'channel' })
  const int4 = args({ num_bits: 4, strategy: 'group', group_size: 128 })
  const token = args({ strategy: 'token', dynamic: true })
  const float4 = { num_bits: 4, type: 'float' } as const
  const nvfp4 = args({ ...float4, strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' })
  const mxfp4 = args({ ...float4, strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' })

  // compressed-tensors 0.19, infer_module_format on a Linear.
  const inferred: [string, Partial<QuantizationScheme>][] = [
    ['pack-quantized', { weights: int4 }],
    ['int-quantized', { weights: int4, input_activations: token }],
    ['int-quantized', { weights: int4, input_activations: { ...token, type: 'float' } }],
    ['pack-quantized', { weights: int4, input_activations: { ...token, type: 'float' }, format: 'pack-quantized' }],
    ['float-quantized', { weights: float8, input_activations: { ...token, type: 'float' } }],
    ['float-quantized', { weights: { ...float8, strategy: 'block', block_structure: [128, 128] }, input_activations: token }],
    ['naive-quantized', { weights: float8 }],
    ['nvfp4-pack-quantized', { weights: nvfp4 }],
    ['nvfp4-pack-quantized', { weights: nvfp4, input_activations: { ...nvfp4, dynamic: 'local' } }],
    ['mxfp4-pack-quantized', { weights: mxfp4 }],
    ['mxfp4-pack-quantized', { weights: mxfp4, input_activations: { ...mxfp4, dynamic: true } }],
    ['mxfp8-quantized', { weights: { ...mxfp4, num_bits: 8 } }],
    ['float-quantized', { weights: { ...mxfp4, num_bits: 8, scale_dtype: null }, input_activations: token }],
  ]
  it.each(inferred)('chooses %s as compressed-tensors does', async (format, parts) => {
    expect((await layoutFor(scheme(parts))).format).toBe(format)
  })

  it('lets exactly one layout apply', async () => {
    const layouts = [...(await loadLayouts()).values()]
    for (const weights of [int4, float8, nvfp4, mxfp4, { ...mxfp4, num_bits: 8 }]) {
      for (const input_activations of [null, token]) {
        expect(layouts.filter((layout) => layout.applies(scheme({ weights, input_activations })))).toHaveLength(1)
      }
    }
  })

  it('refuses what no layout stores, naming the formats there are', async () => {
    const known =
      'float-quantized, int-quantized, mxfp4-pack-quantized, mxfp8-quantized, naive-quantized, nvfp4-pack-quantized, pack-quantized'
    await expect(layoutFor(scheme({ weights: args({ ...float4, strategy: 'group', group_size: 64 }) }))).rejects.toThrow(known)
    await expect(layoutFor(scheme({ weights: { ...float8, scale_dtype: 'torch.uint8' } }))).rejects.toThrow(known)
    await expect(layoutFor(scheme({}))).rejects.toThrow('without weights')
    await expect(layoutFor(scheme({ weights: int4, format: 'marlin-24' }))).rejects.toThrow(known)
    await expect(layoutFor(scheme({ weights: int4, format: 'marlin-24' }))).rejects.toThrow(CheckpointError)
  })

  it('words its refusals for reading as well as for writing', async () => {
    const groupsOf8 = args({ ...float4, strategy: 'tensor_group', group_size: 8 })
    const refusals: [Partial<QuantizationScheme>, string][] = [
      [{ weights: nvfp4, format: 'marlin-24' }, 'Cannot use weights of format "marlin-24": expected '],
      [{ weights: groupsOf8 }, 'Cannot use weights of this scheme: found float with 4 bits, strategy tensor_group'],
    ]
    for (const [parts, message] of refusals) await expect(layoutFor(scheme(parts))).rejects.toThrow(message)
    const tensors = async (format: string, weights: QuantizationArgs) => (await layoutNamed(format)).tensors(weights, 16, 16, 'F32')
    await expect(tensors('pack-quantized', nvfp4)).rejects.toThrow('Cannot use pack-quantized for weights: found float with 4 bits')
    await expect(tensors('float-quantized', nvfp4)).rejects.toThrow('Cannot use float-quantized for weights: found float with 4 bits')
    await expect(tensors('int-quantized', args({ strategy: 'token' }))).rejects.toThrow('Cannot use strategy token for weights')
  })

  it('refuses to store a type under a format that cannot hold it', async () => {
    const pack = await layoutNamed('pack-quantized')
    const int = await layoutNamed('int-quantized')
    expect(() => pack.tensors(float8, 1, 1, 'F32')).toThrow('expected int with 1 to 8')
    expect(() => int.tensors(float8, 1, 1, 'F32')).toThrow('expected int with 1 to 8')
    expect(() => int.tensors({ ...int4, strategy: 'token' }, 1, 1, 'F32')).toThrow('strategy token')
  })
})
