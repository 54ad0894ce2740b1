import { readFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { roundScales } from '../../src/numerics/scale-dtype.ts'
import { type PartialArgs, resolveArgs } from '../../src/schemes/args.ts'
import { observedGrid } from '../../src/schemes/observed-grid.ts'
import { findPreset } from '../../src/schemes/presets.ts'
import { type Grid, minMaxGrid } from '../../src/schemes/qparams.ts'
import { dequantize, quantizeToGrid, relativeError } from '../../src/schemes/quantize.ts'
import { RunError } from '../../src/util/errors.ts'
import { bf16, readOracle } from './oracle.ts'

interface Case {
  tensor: string
  args: PartialArgs
  importance: boolean
  scale: string
  zeroPoint: string | null
}

const tiny = readOracle('tiny/model.safetensors')
const cases: Case[] = JSON.parse(readFileSync(new URL('../oracles/observers.json', import.meta.url), 'utf8'))
const kernels = referenceKernels()
afterAll(() => kernels.close())

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

function tensorOf(name: string): { weight: Float32Array; rows: number; columns: number } {
  const { bytes: stored, shape } = tiny.get(name) ?? { bytes: new Uint8Array(), shape: [0, 0] }
  return { weight: bf16(stored), rows: shape[0], columns: shape[1] }
}

const importanceOf = (columns: number) => Float32Array.from({ length: columns }, (_, column) => 1 + (column % 7))

describe('observedGrid against llm-compressor 0.14 in float32', () => {
  test.each(cases.map((entry) => [`${JSON.stringify(entry.args)}`, entry] as const))('%s', async (_, entry) => {
    const { weight, rows, columns } = tensorOf(entry.tensor)
    const args = resolveArgs(entry.args)
    const importance = entry.importance ? importanceOf(columns) : null
    const grid = await observedGrid(kernels, { weight, rows, columns, dtype: 'F32' }, args, importance)
    const theirs: Grid = {
      ...grid,
      scale: new Float32Array(bytes(entry.scale).buffer),
      zeroPoint: entry.zeroPoint === null ? null : new Int8Array(bytes(entry.zeroPoint).buffer),
    }
    expect(grid.zeroPoint).toEqual(theirs.zeroPoint)
    expect(grid.scale).toHaveLength(theirs.scale.length)
    for (const [t, scale] of theirs.scale.entries()) expect(Math.abs(grid.scale[t] - scale)).toBeLessThanOrEqual(2e-6 * scale)
    const unsearched = minMaxGrid(weight, rows, columns, args, 'F32')
    expect(grid.scale).not.toEqual(unsearched.scale)
  })
})

const { weight: K, rows, columns } = tensorOf('model.layers.1.self_attn.k_proj.weight')
const errorOf = (args: QuantizationArgs, grid: Grid) => relativeError(K, dequantize(quantizeToGrid(K, rows, columns, args, grid)))

describe('observedGrid', () => {
  test.each([
    ['NVFP4A16', 'nvfp4_expanded_mse'],
    ['NVFP4A16', 'mse'],
    ['MXFP4A16', 'mse'],
  ])('%s: what %s finds is stored as the scheme says and errs less than minimum and maximum', async (preset, observer) => {
    const args = resolveArgs({ ...findPreset(preset).weights, observer, observer_kwargs: { norm: 2 } })
    const plain = minMaxGrid(K, rows, columns, args, 'BF16')
    const grid = await observedGrid(kernels, { weight: K, rows, columns, dtype: 'BF16' }, args, null)
    const rounded = grid.scale.slice()
    roundScales(rounded, plain.scaleDtype)
    expect([grid.scaleDtype, grid.scaleShape, grid.globalScale]).toEqual([plain.scaleDtype, plain.scaleShape, plain.globalScale])
    expect(rounded).toEqual(grid.scale)
    expect(errorOf(args, grid)).toBeLessThan(errorOf(args, plain))
  })

  test.each<[PartialArgs, Float32Array | null, RegExp]>([
    [{ group_size: 32 }, null, /found no inputs/],
    [{ group_size: 32 }, new Float32Array(3), /found 3 input channels, expected 128/],
    [{ group_size: 32 }, new Float32Array(128), /all zero/],
    [{ group_size: 32 }, new Float32Array(128).fill(Number.NaN), /not finite/],
    [{ strategy: 'tensor' }, importanceOf(128), /strategy tensor/],
  ])('imatrix_mse without usable statistics weighs all inputs alike, or is an error if strict: %o', async (parts, importance, message) => {
    const argsOf = (observer: string, kwargs: object) => resolveArgs({ ...parts, num_bits: 4, observer, observer_kwargs: { ...kwargs } })
    const gridOf = (args: QuantizationArgs) => observedGrid(kernels, { weight: K, rows, columns, dtype: 'F32' }, args, importance)
    // The steps of imatrix_mse: 0 to 19 of 20.
    const alike = await gridOf(argsOf('mse', { maxshrink: 1, grid: 20, norm: 3 }))
    expect((await gridOf(argsOf('imatrix_mse', {}))).scale).toEqual(alike.scale)
    const strict = gridOf(argsOf('imatrix_mse', { strict: true }))
    await expect(strict).rejects.toThrow(RunError)
    await expect(strict).rejects.toThrow(message)
  })
})
