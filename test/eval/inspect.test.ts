import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { type InspectedModule, inspect } from '../../src/eval/inspect.ts'
import { DTYPE_BYTES, type DType, elementCount } from '../../src/numerics/dtype.ts'
import { folderOf, safetensorsFile } from '../checkpoint/folders.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'

const LINEAR = 'model.layers.0.mlp.down_proj'

function tensor(name: string, dtype: DType, shape: number[]): TensorData {
  return { name, dtype, shape, bytes: new Uint8Array(elementCount(shape) * DTYPE_BYTES[dtype]) }
}

/** A checkpoint of one linear; its tensors by what follows the linear's name. */
async function checkpoint(quantization_config: unknown, tensors: Record<string, [DType, number[]]>): Promise<string> {
  const stored = Object.entries(tensors).map(([suffix, [dtype, shape]]) => tensor(`${LINEAR}.${suffix}`, dtype, shape))
  return folderOf({ 'config.json': { model_type: 'other', quantization_config }, 'model.safetensors': safetensorsFile(stored) })
}

function compressedTensors(format: string, weights: object, input_activations: object | null = null): object {
  const config_groups = { group_0: { targets: ['Linear'], weights, input_activations, output_activations: null, format } }
  return { quant_method: 'compressed-tensors', format, config_groups, ignore: ['lm_head'] }
}

const float4 = { num_bits: 4, type: 'float', symmetric: true }
const nvfp4 = { ...float4, strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' }
const mxfp4 = { ...float4, strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' }
const float8 = { num_bits: 8, type: 'float', strategy: 'tensor', symmetric: true }
const scales = { weight_scale: ['F8_E4M3', [128, 16]], weight_global_scale: ['F32', [1]] } satisfies Record<string, [DType, number[]]>

describe('inspect', () => {
  // Tensors, types and shapes as llm-compressor 0.14 stores a linear of [128, 256] with the presets of the same names.
  const stored: [string, object, Record<string, [DType, number[]]>, Partial<InspectedModule>][] = [
    [
      'NVFP4A16',
      compressedTensors('nvfp4-pack-quantized', nvfp4),
      { weight_packed: ['U8', [128, 128]], ...scales },
      { kind: 'NVFP4 g16 weight-only', bitsPerWeight: (8 * (128 * 128 + 128 * 16 + 4)) / (128 * 256) },
    ],
    [
      'NVFP4',
      compressedTensors('nvfp4-pack-quantized', nvfp4, { ...nvfp4, dynamic: 'local' }),
      { input_global_scale: ['F32', [1]], weight_packed: ['U8', [128, 128]], ...scales },
      { kind: 'NVFP4 g16 local' },
    ],
    [
      'MXFP4A16',
      compressedTensors('mxfp4-pack-quantized', mxfp4),
      { weight_packed: ['U8', [128, 128]], weight_scale: ['U8', [128, 8]] },
      { kind: 'MXFP4 g32 weight-only', bitsPerWeight: 4.25 },
    ],
    [
      'FP8',
      compressedTensors('float-quantized', float8, float8),
      { input_scale: ['BF16', [1]], weight: ['F8_E4M3', [128, 256]], weight_scale: ['BF16', [1]] },
      { kind: 'FP8 tensor static', bitsPerWeight: 8 + (8 * 4) / (128 * 256) },
    ],
  ]
  test.each(stored)('shows %s by its scheme and the shape of the weight', async (_, quantization, tensors, expected) => {
    const { modules, notes } = await inspect(await checkpoint(quantization, tensors))
    expect(modules).toMatchObject([{ name: LINEAR, shape: [128, 256], ...expected }])
    expect(notes).toEqual([])
  })

  test('shows packed integers by their weight_shape', async () => {
    const { format, modules } = await inspect(oracleFolder('checkpoints/rtn-w4a16-asym'))
    expect(format).toBe('pack-quantized')
    expect(modules.find(({ name }) => name === LINEAR)).toMatchObject({ kind: 'W4A16 g128 asym', shape: [128, 256] })
  })

  test('shows GPTQ and AWQ linears by their scheme and the shape of the weight', async () => {
    const gptq = { g_idx: ['I32', [256]], qweight: ['I32', [24, 128]], qzeros: ['I32', [2, 12]], scales: ['F16', [2, 128]] }
    const awq = { qweight: ['I32', [256, 16]], qzeros: ['I32', [2, 16]], scales: ['F16', [2, 128]] }
    const cases: [object, object, string][] = [
      [{ quant_method: 'gptq', bits: 3, group_size: 128, sym: false }, gptq, 'W3A16 g128 asym'],
      [{ quant_method: 'awq', bits: 4, group_size: 128, zero_point: true, version: 'gemm' }, awq, 'W4A16 g128 asym'],
    ]
    for (const [quantization, tensors, kind] of cases) {
      const { modules, notes } = await inspect(await checkpoint(quantization, tensors as Record<string, [DType, number[]]>))
      expect(modules).toMatchObject([{ name: LINEAR, shape: [128, 256], kind }])
      expect(notes).toEqual([])
    }
  })

  const foreign: [string, object, Record<string, [DType, number[]]>, string][] = [
    [
      'gptq',
      { quant_method: 'gptq', bits: 5 },
      { g_idx: ['I32', [256]], qweight: ['I32', [32, 128]], scales: ['F16', [2, 128]] },
      'I32 + F16',
    ],
    ['awq', { quant_method: 'awq', bits: 4, version: 'gemv' }, { qweight: ['I32', [256, 16]], scales: ['F16', [2, 128]] }, 'I32 + F16'],
    ['bitsandbytes', { quant_method: 'bitsandbytes', load_in_4bit: 'yes' }, { weight: ['U8', [16384, 1]] }, 'U8'],
    ['fp8', { quant_method: 'fp8', format: 'e4m3' }, { weight: ['F8_E4M3', [8, 8]], weight_scale_inv: ['F32', [1, 1]] }, 'F32 + F8_E4M3'],
    [
      'strange-quantized',
      { ...compressedTensors('strange-quantized', float8), transform_config: { R1: {} } },
      { weight: ['F8_E4M3', [8, 8]], weight_scale: ['F32', [1]] },
      'F32 + F8_E4M3',
    ],
    [
      'pack-quantized',
      { ...compressedTensors('pack-quantized', float8), config_groups: { g: { targets: ['re:('], weights: float8 } } },
      { weight: ['F8_E4M3', [8, 8]], weight_scale: ['F32', [1]] },
      'F32 + F8_E4M3',
    ],
    ['unknown', ['not', 'an', 'object'], { weight: ['I8', [8, 8]] }, 'I8'],
  ]
  test.each(foreign)('shows what it cannot read by the stored types, named, with a note: %s', async (name, quantization, tensors, kind) => {
    const { format, modules, notes } = await inspect(await checkpoint(quantization, tensors))
    expect({ format, kinds: modules.map((module) => module.kind) }).toEqual({ format: name, kinds: [kind] })
    expect(notes).toHaveLength(1)
    expect(notes[0]).toMatch(/^Cannot .*\. Modules are shown by the types and shapes that are stored\.$/)
  })

  test('takes the shape of the largest tensor where none is the weight', async () => {
    const { modules } = await inspect(await checkpoint({ quant_method: 'gptq' }, { g_idx: ['I32', [256]], qweight: ['I32', [32, 128]] }))
    expect(modules[0].shape).toEqual([32, 128])
  })

  test.each(['tiny', ...oracleNames('checkpoints').map((name) => `checkpoints/${name}`)])('gives the sizes of files: %s', async (name) => {
    const folder = oracleFolder(name)
    const { files, bytes } = await inspect(folder)
    expect(files).toEqual([{ name: 'model.safetensors', bytes: (await stat(join(folder, 'model.safetensors'))).size }])
    expect(files[0].bytes).toBeGreaterThan(bytes)
    expect(await readdir(folder)).toContain(files[0].name)
  })
})
