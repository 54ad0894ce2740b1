import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import {
  absmaxDequantize,
  absmaxQuantize,
  dequantizeAsymmetric,
  dequantizeSymmetric,
  errorStatistics,
  groupDequantize,
  groupQuantize,
  quantizeAsymmetric,
  quantizeSymmetric,
  UserError,
  zeropointDequantize,
  zeropointQuantize,
} from '../../src/math.ts'

/** A lesson on quantization works its examples on this vector; codes and errors were computed with NumPy in float64. */
const VECTOR = [0.5, -1.2, 0.3, 2.1, -0.8]

const values = fc
  .array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 })
  .map((list) => Float32Array.from(list))
const weights = fc
  .array(fc.float({ noNaN: true, min: -4, max: 4 }), { minLength: 1, maxLength: 300 })
  .map((list) => Float32Array.from(list))
const bits = fc.integer({ min: 2, max: 8 })

function allFinite(list: ArrayLike<number>): boolean {
  return Array.from(list).every(Number.isFinite)
}

describe('absmaxQuantize', () => {
  it('gives the codes of the worked vector', () => {
    const { codes, multiplier, reconstruction } = absmaxQuantize(VECTOR)
    expect([...codes]).toEqual([30, -73, 18, 127, -48])
    expect(multiplier).toBeCloseTo(60.476, 3)
    expect(errorStatistics(VECTOR, reconstruction).meanAbsolute).toBeCloseTo(0.003937, 6)
  })

  it('takes a layer whose largest weight is negative to -127', () => {
    const { codes } = absmaxQuantize([-0.746094, 0.664062])
    expect([...codes]).toEqual([-127, 113])
  })

  it('is off by half a step at most, and never by more than float32 can tell', () => {
    fc.assert(
      fc.property(weights, (list) => {
        const { codes, multiplier, reconstruction } = absmaxQuantize(list)
        expect(reconstruction).toEqual(absmaxDequantize({ codes, multiplier }))
        expect(errorStatistics(list, reconstruction).largest).toBeLessThanOrEqual(0.5 / multiplier + 1e-6)
      }),
    )
  })
})

describe('zeropointQuantize', () => {
  it('gives the codes of the worked vector', () => {
    const { codes, multiplier, zeroPoint, reconstruction } = zeropointQuantize(VECTOR)
    expect([...codes]).toEqual([4, -128, -12, 127, -97])
    expect(zeroPoint).toBe(-35)
    expect(multiplier).toBeCloseTo(77.273, 3)
    expect(errorStatistics(VECTOR, reconstruction).meanAbsolute).toBeCloseTo(0.003294, 6)
  })

  test.each([
    [0, 0],
    [3, 3],
    [-3, -3],
    [0.25, 0.25098],
  ])('brings a constant %d back as %d', (constant, expected) => {
    const { codes, zeroPoint, reconstruction } = zeropointQuantize([constant, constant])
    expect(reconstruction[0]).toBeCloseTo(expected, 5)
    expect(reconstruction).toEqual(zeropointDequantize({ codes, multiplier: 255, zeroPoint }))
    expect(Math.abs(reconstruction[1] - constant)).toBeLessThanOrEqual(0.5 / 255)
    if (constant === 3) expect(zeroPoint).toBe(-893)
  })

  it('has the smallest value at -128', () => {
    fc.assert(
      fc.property(weights, (list) => {
        const { codes } = zeropointQuantize(list)
        const at = list.indexOf(Math.min(...list))
        expect(codes[at]).toBe(-128)
      }),
    )
  })
})

describe('quantizeSymmetric', () => {
  it('gives the codes of the worked vector at 8 and 4 bits', () => {
    const eight = quantizeSymmetric(VECTOR)
    expect([...eight.codes]).toEqual([30, -73, 18, 127, -48])
    expect(eight.scale).toBeCloseTo(0.0165354, 7)
    expect(errorStatistics(VECTOR, dequantizeSymmetric(eight)).meanAbsolute).toBeCloseTo(0.003937, 6)
    const four = quantizeSymmetric(VECTOR, { bits: 4 })
    expect([...four.codes]).toEqual([2, -4, 1, 7, -3])
    expect(four.scale).toBeCloseTo(0.3, 12)
    expect(errorStatistics(VECTOR, dequantizeSymmetric(four)).meanAbsolute).toBeCloseTo(0.04, 6)
  })

  it('is off by half a step at most, at any width', () => {
    fc.assert(
      fc.property(weights, bits, (list, width) => {
        const quantized = quantizeSymmetric(list, { bits: width })
        expect(errorStatistics(list, dequantizeSymmetric(quantized)).largest).toBeLessThanOrEqual(quantized.scale / 2 + 1e-6)
      }),
    )
  })

  it('rounds halves to even, and clips before it casts', () => {
    expect([...quantizeSymmetric([0.5, -0.5, 1.5, -1.5, 2.5, -2.5], { scale: 1 }).codes]).toEqual([0, 0, 2, -2, 2, -2])
    expect([...quantizeSymmetric([300, -300, 127.5], { scale: 1 }).codes]).toEqual([127, -128, 127])
    expect([...quantizeSymmetric([9, -9], { scale: 1, bits: 4 }).codes]).toEqual([7, -8])
  })

  it('rounds its scale to the type that stores it before codes are computed', () => {
    const { scale, codes } = quantizeSymmetric([1, -0.1], { scaleDtype: 'BF16' })
    expect(scale).toBe(0.00787353515625)
    expect(codes[0]).toBe(127)
    expect(quantizeSymmetric([1e-20, -1e-20], { scaleDtype: 'F16' }).scale).toBe(2 ** -24)
    expect(quantizeSymmetric([3e38], { scaleDtype: 'F16' })).toMatchObject({ scale: 65504, codes: Int8Array.of(127) })
  })
})

describe('quantizeAsymmetric', () => {
  it('gives the codes of the worked vector', () => {
    const quantized = quantizeAsymmetric(VECTOR)
    expect([...quantized.codes]).toEqual([132, 0, 116, 255, 31])
    expect(quantized.zeroPoint).toBe(93)
    expect(quantized.scale).toBeCloseTo(0.0129412, 7)
    expect(errorStatistics(VECTOR, dequantizeAsymmetric(quantized)).meanAbsolute).toBeCloseTo(0.003294, 6)
  })

  // A layer of Llama 3.1 8B in the log of an INT8 tool, whose scales were float16.
  it('gives the scale, zero point and codes of a logged layer', () => {
    const { scale, zeroPoint, codes } = quantizeAsymmetric([-0.417969, 0.308594], { scaleDtype: 'F16' })
    expect(scale.toFixed(6)).toBe('0.002850')
    expect(zeroPoint).toBe(147)
    expect([...codes]).toEqual([0, 255])
  })

  it('has a zero point that is a code, and brings 0 back as 0, wherever the values lie', () => {
    fc.assert(
      fc.property(weights, bits, (list, width) => {
        const quantized = quantizeAsymmetric([...list, 0], { bits: width })
        expect(quantized.zeroPoint).toBeGreaterThanOrEqual(0)
        expect(quantized.zeroPoint).toBeLessThanOrEqual(2 ** width - 1)
        const back = dequantizeAsymmetric(quantized)
        expect(back[list.length]).toBe(0)
        expect(errorStatistics([...list, 0], back).largest).toBeLessThanOrEqual(quantized.scale + 1e-6)
      }),
    )
    expect(quantizeAsymmetric([3, 4])).toMatchObject({ zeroPoint: 0, codes: Uint8Array.of(191, 255) })
    expect(quantizeAsymmetric([-3, -4])).toMatchObject({ zeroPoint: 255, codes: Uint8Array.of(64, 0) })
  })

  it('saturates past a range that is given', () => {
    const { codes } = quantizeAsymmetric([-5, 0, 5], { range: { min: -1, max: 1 } })
    expect([...codes]).toEqual([0, 128, 255])
    expect(() => quantizeAsymmetric([1], { range: { min: 1, max: 0 } })).toThrow(UserError)
  })

  it('comes to the same values as zeropointQuantize, with codes 128 higher, where 0 is within', () => {
    fc.assert(
      fc.property(weights, (list) => {
        const both = Float32Array.from([...list, 1, -1])
        const [unsigned, signed] = [quantizeAsymmetric(both), zeropointQuantize(both)]
        // A zero point half way between two codes may fall to either side.
        if (unsigned.zeroPoint !== signed.zeroPoint + 128) return
        const [a, b] = [dequantizeAsymmetric(unsigned), signed.reconstruction]
        for (let i = 0; i < a.length; i++) expect(Math.abs(a[i] - b[i])).toBeLessThanOrEqual(unsigned.scale * 1.001)
      }),
    )
  })
})

describe('groupQuantize', () => {
  it('gives the scales and codes of the worked vector', () => {
    const { codes, scales } = groupQuantize(VECTOR, { groupSize: 2 })
    expect([...codes]).toEqual([3, -7, 1, 7, -7, 0])
    expect([...scales].map((scale) => scale.toFixed(6))).toEqual(['0.171429', '0.300000', '0.114286'])
  })

  test.each([
    [1, 127],
    [127, 1],
    [128, 0],
    [129, 127],
    [300, 84],
  ])('fills %d values up with %d zeros, and cuts them off again', (length, padding) => {
    const list = Float32Array.from({ length }, (_, i) => Math.sin(i))
    const quantized = groupQuantize(list)
    expect(quantized.codes.length - length).toBe(padding)
    expect([...quantized.codes.subarray(length)].every((code) => code === 0)).toBe(true)
    expect(quantized.scales).toHaveLength(Math.ceil(length / 128))
    expect(groupDequantize(quantized)).toHaveLength(length)
  })

  it('keeps the shape, and does in each group what quantizeSymmetric does', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 40 }), bits, (list, groupSize, width) => {
        const quantized = groupQuantize(list, { groupSize, bits: width, shape: [1, list.length] })
        expect(quantized.shape).toEqual([1, list.length])
        const back = groupDequantize(quantized)
        for (let start = 0; start < list.length; start += groupSize) {
          const own = quantizeSymmetric(list.subarray(start, start + groupSize), { bits: width })
          expect(back.subarray(start, start + groupSize)).toEqual(dequantizeSymmetric(own))
        }
      }),
    )
  })

  it('loses less than one scale for all where one value is large', () => {
    const list = Float32Array.from({ length: 512 }, (_, i) => (i === 7 ? 40 : Math.sin(i)))
    const lost = (approximation: Float32Array) => errorStatistics(list, approximation).meanAbsolute
    expect(lost(groupDequantize(groupQuantize(list)))).toBeLessThan(lost(dequantizeSymmetric(quantizeSymmetric(list, { bits: 4 }))) / 2)
  })

  it('refuses shapes and sizes that do not fit', () => {
    expect(() => groupQuantize([1, 2, 3], { shape: [2, 2] })).toThrow('found 3 values, expected 4')
    expect(() => groupQuantize([1, 2, 3, 4], { shape: [-2, -2] })).toThrow('[-2,-2]')
    expect(() => groupQuantize([1], { groupSize: 0 })).toThrow('groups of 0')
    expect(() => groupQuantize([1], { groupSize: 1e12 })).toThrow('groups of 1000000000000')
  })
})

describe('errorStatistics', () => {
  it('gives mean, square and largest error with its place', () => {
    expect(errorStatistics([1, 2, 4], [1, 2.5, 3])).toEqual({
      meanAbsolute: 0.5,
      meanSquare: 1.25 / 3,
      largest: 1,
      at: 2,
      relative: 1.25 / 21,
    })
    expect(errorStatistics([0, 0], [0, 0]).relative).toBe(0)
    expect(() => errorStatistics([1], [1, 2])).toThrow(UserError)
  })
})

describe('every quantizer', () => {
  const all = [absmaxQuantize, zeropointQuantize, quantizeSymmetric, quantizeAsymmetric, groupQuantize]

  test.each(all)('%o takes zeros to zeros', (quantize) => {
    const quantized = quantize(new Float32Array(5))
    const back =
      'reconstruction' in quantized
        ? quantized.reconstruction
        : 'shape' in quantized
          ? groupDequantize(quantized)
          : 'zeroPoint' in quantized
            ? dequantizeAsymmetric(quantized)
            : dequantizeSymmetric(quantized)
    expect([...back].every((value) => value === 0)).toBe(true)
  })

  test.each(all)('%o gives numbers for any finite float32, the largest and the smallest among them', (quantize) => {
    fc.assert(
      fc.property(values, (list) => {
        const quantized = quantize(list)
        const back =
          'reconstruction' in quantized
            ? quantized.reconstruction
            : 'shape' in quantized
              ? groupDequantize(quantized)
              : 'zeroPoint' in quantized
                ? dequantizeAsymmetric(quantized)
                : dequantizeSymmetric(quantized)
        expect(allFinite(back)).toBe(true)
        for (const part of Object.values(quantized)) expect(typeof part !== 'number' || Number.isFinite(part)).toBe(true)
      }),
    )
  })

  test.each(all)('%o refuses no values, NaN and infinities, naming the element', (quantize) => {
    expect(() => quantize([])).toThrow('found no values')
    expect(() => quantize([1, Number.NaN])).toThrow('found NaN at element 1')
    expect(() => quantize([Number.NEGATIVE_INFINITY])).toThrow(UserError)
    expect(() => quantize([1e39])).toThrow('found 1e+39 at element 0')
  })

  test.each([1, 9, 4.5])('refuses %d bits', (width) => {
    for (const quantize of [quantizeSymmetric, quantizeAsymmetric, groupQuantize])
      expect(() => quantize([1], { bits: width })).toThrow('from 2 to 8')
  })
})
