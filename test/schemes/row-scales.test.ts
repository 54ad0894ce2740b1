import fc from 'fast-check'
import { expect, test } from 'vitest'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../../src/schemes/quantize.ts'
import { rowScales } from '../../src/schemes/row-scales.ts'
import { args } from '../checkpoint/schemes.ts'
import { random } from '../engine/engines.ts'

const side = fc.integer({ min: 1, max: 40 })
const schemes = fc.oneof(
  fc.constantFrom(
    args({ strategy: 'tensor' }),
    args({ strategy: 'channel', symmetric: false }),
    args({ type: 'float', strategy: 'channel' }),
  ),
  fc.tuple(side, side).map(([height, width]) => args({ strategy: 'block', block_structure: [height, width], symmetric: false })),
  fc.tuple(side, side).map(([height, width]) => args({ type: 'float', strategy: 'block', block_structure: [height, width] })),
  fc.constant(args({ type: 'float', num_bits: 4, strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' })),
  fc.constant(args({ num_bits: 4, strategy: 'group', group_size: 16, symmetric: false })),
)

test('rowScales gives every element the scale and zero point that dequantize takes for it, in groups that divide the columns', () => {
  fc.assert(
    fc.property(schemes, side, fc.integer({ min: 1, max: 5 }), (scheme, rows, wide) => {
      const columns = scheme.group_size ? 16 * wide : 7 * wide
      const weight = random(rows * columns, rows + columns)
      const grid = minMaxGrid(weight, rows, columns, scheme, 'F32')
      const { groups, groupSize, scale, zeroPoint } = rowScales(scheme, rows, columns, grid)
      expect([groups * groupSize, scale.length, zeroPoint?.length ?? scale.length]).toEqual([columns, rows * groups, rows * groups])
      expect(zeroPoint === null).toBe(scheme.symmetric)
      const quantized = quantizeToGrid(weight, rows, columns, scheme, grid)
      const units = dequantize({ ...quantized, scale: grid.scale.map(() => grid.globalScale ?? 1), zeroPoint: null })
      const found = units.map((unit, at) => {
        const group = Math.floor(at / groupSize)
        return (unit - (zeroPoint?.[group] ?? 0)) * scale[group]
      })
      expect(found).toEqual(dequantize(quantized))
    }),
  )
})
