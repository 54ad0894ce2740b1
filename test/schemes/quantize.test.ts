import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type PartialArgs, resolveArgs } from '../../src/schemes/args.ts'
import { codeRange, gridShape } from '../../src/schemes/grid.ts'
import { type Grid, minMaxGrid } from '../../src/schemes/qparams.ts'
import { assertFinite, dequantize, quantizeToGrid, relativeError } from '../../src/schemes/quantize.ts'

function rounded(weight: Float32Array, rows: number, columns: number, partial: PartialArgs) {
  const args = resolveArgs(partial)
  return quantizeToGrid(weight, rows, columns, args, minMaxGrid(weight, rows, columns, args, 'F32'))
}

describe('minMaxGrid', () => {
  test('divides the largest magnitude by 7.5 for int4, 127.5 for int8, 448 for float8', () => {
    const weight = Float32Array.of(-15, 3, 7.5, 1)
    const scale = (partial: PartialArgs) => [...minMaxGrid(weight, 1, 4, resolveArgs(partial), 'F32').scale]
    expect(scale({ num_bits: 4 })).toEqual([2])
    expect(scale({ num_bits: 8 })).toEqual([Math.fround(15 / 127.5)])
    expect(scale({ type: 'float' })).toEqual([Math.fround(15 / 448)])
    expect(scale({ num_bits: 4, group_size: 2 })).toEqual([2, 1])
  })

  test('asymmetric ranges start or end at zero and have signed zero points', () => {
    const grid = minMaxGrid(
      Float32Array.of(0, 15, -30, 0, -5, 10),
      3,
      2,
      resolveArgs({ num_bits: 4, group_size: -1, symmetric: false }),
      'F32',
    )
    expect([...grid.scale]).toEqual([1, 2, 1])
    expect([...(grid.zeroPoint ?? [])]).toEqual([-8, 7, -3])
  })

  test('a tile of zeros has the epsilon of the stored type as its scale', () => {
    const zeros = new Float32Array(4)
    const args = resolveArgs({ num_bits: 4, group_size: -1, symmetric: false })
    expect([...minMaxGrid(zeros, 2, 2, args, 'BF16').scale]).toEqual([0.0078125, 0.0078125])
    expect(minMaxGrid(zeros, 2, 2, args, 'F16').scale[0]).toBe(2 ** -10)
    expect(minMaxGrid(zeros, 2, 2, args, 'F32').scale[0]).toBe(2 ** -23)
    expect([...(minMaxGrid(zeros, 2, 2, args, 'BF16').zeroPoint ?? [])]).toEqual([-8, -8])
  })

  test('blocks at the edges cover what is left of the matrix', () => {
    const weight = Float32Array.from({ length: 15 }, (_, i) => i)
    const grid = minMaxGrid(weight, 3, 5, resolveArgs({ type: 'float', strategy: 'block', block_structure: [2, 4] }), 'F32')
    expect(grid.scaleShape).toEqual([2, 2])
    expect([...grid.scale].map((s) => Math.round(s * 448))).toEqual([8, 9, 13, 14])
  })
})

describe('quantizeToGrid', () => {
  test('clamps, then rounds halves to even', () => {
    const grid: Grid = { scale: Float32Array.of(1), scaleShape: [1], scaleDtype: 'F32', zeroPoint: null, globalScale: null }
    const { codes } = quantizeToGrid(Float32Array.of(0.5, 1.5, -0.5, -2.5, 7.4, 9, -9), 1, 7, resolveArgs({ num_bits: 4 }), grid)
    expect([...codes]).toEqual([0, 2, 0, -2, 7, 7, -8])
  })

  const matrix = fc.record({
    rows: fc.integer({ min: 1, max: 5 }),
    groups: fc.integer({ min: 1, max: 3 }),
    // Below about 1e-38 a float32 scale has no digits left, and a step is as large as what it divides.
    values: fc.array(
      fc.float({ min: -100, max: 100, noNaN: true }).map((value) => (Math.abs(value) < 1e-30 ? 0 : value)),
      { minLength: 60, maxLength: 60 },
    ),
    bits: fc.integer({ min: 2, max: 8 }),
    symmetric: fc.boolean(),
    strategy: fc.constantFrom<PartialArgs>(
      { group_size: 4 },
      { group_size: -1 },
      { strategy: 'tensor' },
      { strategy: 'block', block_structure: [2, 3] },
    ),
  })

  test('no weight moves further than the step allows: half a step, or one where symmetric codes end early', () => {
    fc.assert(
      fc.property(matrix, ({ rows, groups, values, bits, symmetric, strategy }) => {
        const columns = groups * 4
        const weight = Float32Array.from(values.slice(0, rows * columns))
        const quantized = rounded(weight, rows, columns, { ...strategy, num_bits: bits, symmetric })
        const { rowSpan, columnSpan, gridColumns } = gridShape(quantized.args, rows, columns)
        const { min, max } = codeRange(quantized.args)
        const values8 = dequantize(quantized)
        for (let i = 0; i < weight.length; i++) {
          const tile = Math.floor(Math.floor(i / columns) / rowSpan) * gridColumns + Math.floor((i % columns) / columnSpan)
          const step = quantized.scale[tile]
          expect(quantized.codes[i]).toBeGreaterThanOrEqual(min)
          expect(quantized.codes[i]).toBeLessThanOrEqual(max)
          // The zero point is itself rounded, which costs up to half a step at the ends; 1e-4 is for float32.
          expect(Math.abs(values8[i] - weight[i])).toBeLessThanOrEqual(step * (1 + 1e-4))
        }
      }),
    )
  })

  test('what is already on the grid stays where it is', () => {
    fc.assert(
      fc.property(matrix, ({ rows, groups, values, bits, symmetric, strategy }) => {
        const columns = groups * 4
        const first = rounded(Float32Array.from(values.slice(0, rows * columns)), rows, columns, { ...strategy, num_bits: bits, symmetric })
        expect(quantizeToGrid(dequantize(first), rows, columns, first.args, first).codes).toEqual(first.codes)
      }),
    )
  })
})

test('relativeError is zero for equal matrices, one for zeros, and defined for a matrix of zeros', () => {
  expect(relativeError(Float32Array.of(3, 4), Float32Array.of(3, 4))).toBe(0)
  expect(relativeError(Float32Array.of(3, 4), Float32Array.of(0, 0))).toBe(1)
  expect(relativeError(new Float32Array(2), new Float32Array(2))).toBe(0)
})

test('assertFinite names the tensor and the element', () => {
  assertFinite(Float32Array.of(1, -3e38), 'a.weight')
  expect(() => assertFinite(Float32Array.of(1, Number.NaN), 'a.weight')).toThrow(/Cannot quantize a\.weight: found NaN at element 1/)
  expect(() => assertFinite(Float32Array.of(-Infinity), 'a.weight')).toThrow(/found -Infinity at element 0/)
})

test('gridShape refuses a group size that does not divide or is not settled', () => {
  expect(() => gridShape(resolveArgs({ group_size: 128 }), 1, 576)).toThrow(/576 columns.*128/)
  expect(() => gridShape(resolveArgs({ group_size: 'auto' }), 1, 576)).toThrow(/group size null/)
})
