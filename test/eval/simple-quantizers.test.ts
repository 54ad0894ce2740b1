import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { simplyQuantized } from '../../src/eval/simple-quantizers.ts'
import { finiteRange } from '../../src/eval/tensor-ranges.ts'
import { absmaxQuantize } from '../../src/math/absmax.ts'
import { zeropointQuantize } from '../../src/math/zero-point.ts'
import { encodeFloats } from '../../src/numerics/float-dtype.ts'
import '../fixed-seed.ts'

const floats = fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1, maxLength: 200 })
const rangeOf = (values: Float32Array) => finiteRange(values, { name: 'w', file: 'f' })

describe('simplyQuantized()', () => {
  test('gives the reconstructions of llmpress/math, for any values and in any pieces', () => {
    fc.assert(
      fc.property(floats, fc.nat(200), (values, cut) => {
        const range = rangeOf(values)
        for (const [name, whole] of [
          ['absmax', absmaxQuantize(values)],
          ['zero-point', zeropointQuantize(values)],
        ] as const) {
          const pieces = [values.slice(0, cut), values.slice(cut)].map((piece) => simplyQuantized(piece, name, range, 'F32'))
          expect(pieces.flatMap((piece) => [...piece])).toEqual([...whole.reconstruction])
        }
      }),
    )
  })

  test('leaves 255 values by absmax and 256 by zero-point at most, in the type of the tensor', () => {
    fc.assert(
      fc.property(fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 300, maxLength: 2000 }), (values) => {
        const range = rangeOf(values)
        for (const dtype of ['F32', 'F16', 'BF16'] as const) {
          const [absmax, zeroPoint] = (['absmax', 'zero-point'] as const).map((name) => simplyQuantized(values, name, range, dtype))
          expect(new Set(absmax).size).toBeLessThanOrEqual(255)
          expect(new Set(zeroPoint).size).toBeLessThanOrEqual(256)
          expect(encodeFloats(absmax, dtype).byteLength).toBe(values.length * (dtype === 'F32' ? 4 : 2))
        }
      }),
      { numRuns: 20 },
    )
  })

  test('zeros stay zeros, and constants are at most half a code away', () => {
    const quantized = (value: number) =>
      (['absmax', 'zero-point'] as const).map((name) => simplyQuantized(Float32Array.of(value), name, { min: value, max: value }, 'F32')[0])
    expect(quantized(0)).toEqual([0, 0])
    for (const value of [3, -3, 0.25]) for (const left of quantized(value)) expect(Math.abs(left - value)).toBeLessThanOrEqual(0.5 / 255)
  })
})
