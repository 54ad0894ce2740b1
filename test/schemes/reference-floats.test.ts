import { describe, expect, test } from 'vitest'
import { resolveArgs } from '../../src/schemes/args.ts'
import { findPreset } from '../../src/schemes/presets.ts'
import { minMaxGrid, sharedGlobalScale } from '../../src/schemes/qparams.ts'
import { quantizeToGrid } from '../../src/schemes/quantize.ts'
import { bf16, readOracle, toBf16 } from './oracle.ts'

const original = readOracle('tiny/model.safetensors')

/** OCP E4M3, positive patterns. */
function e4m3(bits: number): number {
  const exponent = bits >> 3
  return exponent === 0 ? (bits & 7) * 2 ** -9 : (8 + (bits & 7)) * 2 ** (exponent - 10)
}

interface Linear {
  name: string
  weight: Float32Array
  rows: number
  columns: number
  stored(suffix: string): Uint8Array
}

function linearsOf(folder: string): Linear[] {
  const tensors = readOracle(`checkpoints/${folder}/model.safetensors`)
  return [...tensors.keys()]
    .filter((name) => name.endsWith('.weight_scale'))
    .map((key) => {
      const name = key.slice(0, -'.weight_scale'.length)
      const { bytes, shape } = original.get(`${name}.weight`) ?? { bytes: new Uint8Array(), shape: [0, 0] }
      const stored = (suffix: string) => tensors.get(`${name}.${suffix}`)?.bytes ?? new Uint8Array()
      return { name, weight: bf16(bytes), rows: shape[0], columns: shape[1], stored }
    })
}

const nibbles = (packed: Uint8Array) => Uint8Array.from({ length: packed.length * 2 }, (_, i) => (packed[i >> 1] >> (4 * (i & 1))) & 15)

/** The share of elements that are the same, over all linears. */
class Share {
  #same = 0
  #total = 0
  add(a: ArrayLike<number>, b: ArrayLike<number>): void {
    expect(a.length).toBe(b.length)
    for (let i = 0; i < a.length; i++) if (a[i] === b[i]) this.#same++
    this.#total += a.length
  }
  get value(): number {
    return this.#same / this.#total
  }
}

describe('plain rounding to small floats against llm-compressor 0.14 on the tiny model', () => {
  test('mxfp4a16: powers of two divide exactly, so every scale and code is the stored one', () => {
    const args = resolveArgs(findPreset('MXFP4A16').weights)
    const linears = linearsOf('mxfp4a16')
    expect(linears).toHaveLength(14)
    for (const { weight, rows, columns, stored } of linears) {
      const grid = minMaxGrid(weight, rows, columns, args, 'BF16')
      expect(grid.scaleDtype).toBe('U8')
      expect(grid.scale).toEqual(Float32Array.from(stored('weight_scale'), (exponent) => 2 ** (exponent - 127)))
      expect(quantizeToGrid(weight, rows, columns, args, grid).codes).toEqual(nibbles(stored('weight_packed')))
    }
  })

  test('nvfp4a16: on the stored grid the codes are the stored ones; our scales differ where bfloat16 rounds absmax / 6', () => {
    const args = resolveArgs(findPreset('NVFP4A16').weights)
    const linears = linearsOf('nvfp4a16')
    const scales = new Share()
    for (const { weight, rows, columns, stored } of linears) {
      const [globalScale] = new Float32Array(stored('weight_global_scale').buffer)
      const grid = minMaxGrid(weight, rows, columns, args, 'BF16', globalScale)
      const scale = Float32Array.from(stored('weight_scale'), e4m3)
      expect([grid.scaleDtype, grid.globalScale]).toEqual(['F8_E4M3', globalScale])
      for (const [i, s] of scale.entries()) expect(Math.abs(grid.scale[i] - s)).toBeLessThanOrEqual(s / 8)
      scales.add(grid.scale, scale)
      expect(quantizeToGrid(weight, rows, columns, args, { ...grid, scale }).codes).toEqual(nibbles(stored('weight_packed')))
    }
    expect(scales.value).toBeGreaterThan(0.97)
  })

  test('nvfp4a16: the global scale of fused linears is 2688 over their largest weight; the reference multiplies by a reciprocal, both in bfloat16', () => {
    const linears = linearsOf('nvfp4a16')
    const fused = [/layers\.1\.self_attn\.[qkv]_proj/, /layers\.1\.mlp\.(gate|up)_proj/, /layers\.1\.mlp\.down_proj/]
    for (const pattern of fused) {
      const group = linears.filter(({ name }) => pattern.test(name))
      const ours = sharedGlobalScale(group.map(({ weight }) => weight))
      for (const { stored } of group)
        expect(new Float32Array(stored('weight_global_scale').buffer)[0]).toBe(toBf16(2688 * toBf16(ours / 2688)))
    }
  })

  test.each([
    ['fp8-static', 'FP8', 0.96],
    ['fp8-block', 'FP8_BLOCK', 0.97],
  ])('%s: scales are the stored bytes; codes differ only where bfloat16 division rounds twice', (folder, preset, equal) => {
    const args = resolveArgs(findPreset(preset).weights)
    const codes = new Share()
    for (const { weight, rows, columns, stored } of linearsOf(folder)) {
      const grid = minMaxGrid(weight, rows, columns, args, 'BF16')
      expect(grid.scale).toEqual(bf16(stored('weight_scale')))
      codes.add(quantizeToGrid(weight, rows, columns, args, grid).codes, stored('weight'))
    }
    expect(codes.value).toBeGreaterThan(equal)
  })
})
