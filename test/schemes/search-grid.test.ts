import { afterAll, describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { resolveArgs } from '../../src/schemes/args.ts'
import { type Grid, minMaxGrid } from '../../src/schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../../src/schemes/quantize.ts'
import { type GridSearch, RATIOS12, searchGrid } from '../../src/schemes/search-grid.ts'

const kernels = referenceKernels()
afterAll(() => kernels.close())

const [ROWS, COLUMNS] = [24, 64]
/** Heavy tails, so that clipping pays. */
const WEIGHT = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.tan(Math.sin(i * 12.9898) * 1.5) * 0.02)
const IMPORTANCE = Float32Array.from({ length: COLUMNS }, (_, column) => 1 + (column % 5))

const search = (args: QuantizationArgs, options: GridSearch) =>
  searchGrid(kernels, { weight: WEIGHT, rows: ROWS, columns: COLUMNS, dtype: 'BF16' }, args, options)

function errors(args: QuantizationArgs, grid: Grid, norm: number, importance: Float32Array | null): Float64Array {
  const back = dequantize(quantizeToGrid(WEIGHT, ROWS, COLUMNS, args, grid))
  const sums = new Float64Array((ROWS * COLUMNS) / 16)
  WEIGHT.forEach((w, i) => {
    sums[Math.floor(i / 16)] += Math.abs(back[i] - w) ** norm * (importance?.[i % COLUMNS] ?? 1)
  })
  return sums
}

describe('searchGrid', () => {
  test.each([
    [true, false],
    [true, true],
    [false, false],
  ])('symmetric %s, signed %s: no tile errs more than with any single ratio', async (symmetric, signed) => {
    const args = resolveArgs({ num_bits: 3, group_size: 16, symmetric })
    const options = { ratios: RATIOS12, signed, importance: IMPORTANCE, norm: 2 }
    const best = errors(args, await search(args, options), 2, IMPORTANCE)
    for (const ratio of RATIOS12) {
      const single = errors(args, await search(args, { ...options, signed: false, ratios: [ratio] }), 2, IMPORTANCE)
      for (const [t, error] of best.entries()) expect(error).toBeLessThanOrEqual(single[t] * (1 + 1e-5))
    }
  })

  test('a ratio of one alone is minimum and maximum', async () => {
    for (const symmetric of [true, false]) {
      const args = resolveArgs({ num_bits: 4, group_size: 16, symmetric })
      expect(await search(args, { ratios: [1], norm: 2 })).toEqual(minMaxGrid(WEIGHT, ROWS, COLUMNS, args, 'BF16'))
    }
  })

  test('signed scales are taken where the larger end is the positive one', async () => {
    const args = resolveArgs({ num_bits: 2, group_size: 16 })
    const { scale } = await search(args, { ratios: RATIOS12, signed: true, norm: 2 })
    expect(scale.some((s) => s < 0)).toBe(true)
    expect(scale.some((s) => s > 0)).toBe(true)
    expect((await search(args, { ratios: RATIOS12, norm: 2 })).scale.every((s) => s > 0)).toBe(true)
  })

  test.each([true, false])('the kernels and the plain loops find the same (symmetric %s)', async (symmetric) => {
    const options = { ratios: RATIOS12, signed: true, importance: IMPORTANCE, norm: 2.4 }
    const byKernel = await search(resolveArgs({ num_bits: 4, group_size: 16, symmetric }), options)
    const plain = await search(resolveArgs({ num_bits: 4, strategy: 'block', block_structure: [1, 16], symmetric }), options)
    expect(byKernel).toEqual(plain)
  })

  test('one scale for the tensor', async () => {
    const grid = await search(resolveArgs({ type: 'float' }), { ratios: RATIOS12, norm: 2 })
    expect(grid.scaleShape).toEqual([1])
    expect(grid.scale).toHaveLength(1)
  })
})
