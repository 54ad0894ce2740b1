import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeFourBit,
  encodeFourBit,
  type FourBitType,
  fourBitValues,
  packFourBit,
  unpackFourBit,
} from '../../src/numerics/bitsandbytes-codes.ts'
import { decodeDynamic, dynamicMap, encodeDynamic } from '../../src/numerics/dynamic-map.ts'
import { torchMean } from '../../src/numerics/torch-mean.ts'
import '../fixed-seed.ts'

interface Blocks {
  kind: FourBitType
  values: number[]
  packed: number[]
  absmax: number[]
}

/** Made by bitsandbytes_values.py beside it. */
const oracle = JSON.parse(readFileSync(new URL('bitsandbytes_values.json', import.meta.url), 'utf8')) as {
  nf4: number[]
  fp4: number[]
  map: number[]
  means: { values: number[]; mean: number }[]
  blocks: Blocks[]
  short: Blocks[]
  dynamic: { values: number[]; codes: number[]; absmax: number[]; decoded: number[] }
}

const TYPES: readonly FourBitType[] = ['nf4', 'fp4']
const over = (values: readonly number[], divisor: number) => Float32Array.from(values, (value) => value / divisor)

describe('4-bit types of bitsandbytes', () => {
  test.each(TYPES)('%s has the values of its quant_map', (type) => {
    expect([...fourBitValues(type)].map((value) => value + 0)).toEqual(oracle[type].map((value) => value + 0))
  })

  test.each([...oracle.blocks, ...oracle.short])(
    '$kind, $values.length values: codes and magnitudes are those of its kernels',
    ({ kind, values, packed, absmax }) => {
      const found = encodeFourBit(over(values, 1013), kind, 64)
      expect([...packFourBit(found.codes, kind)]).toEqual(packed)
      expect([...found.absmax]).toEqual(absmax.map(Math.fround))
    },
  )

  test.each(TYPES)('%s: no other code is nearer, whatever the block', (type) => {
    const table = fourBitValues(type)
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e4, max: 1e4 })
    fc.assert(
      fc.property(fc.array(finite, { minLength: 8, maxLength: 8 }), (values) => {
        const { codes, absmax } = encodeFourBit(Float32Array.from(values), type, 8)
        const decoded = decodeFourBit(codes, type)
        for (const [i, value] of values.entries()) {
          if (absmax[0] < 1e-30) continue
          const scaled = value / absmax[0]
          const best = table.reduce((least, candidate) => Math.min(least, Math.abs(candidate - scaled)), Infinity)
          expect(Math.abs(decoded[i] - scaled)).toBeLessThanOrEqual(best + 1e-6)
        }
      }),
    )
  })

  test('packs the first code high, and back', () => {
    expect([...packFourBit(Uint8Array.of(1, 2, 15, 0), 'nf4')]).toEqual([0x12, 0xf0])
    fc.assert(
      fc.property(fc.uint8Array({ max: 15 }), fc.constantFrom(...TYPES), (codes, type) => {
        expect(unpackFourBit(packFourBit(codes, type), codes.length)).toEqual(codes)
      }),
    )
  })

  test('a block of zeros stays one', () => {
    for (const type of TYPES) {
      const { codes, absmax } = encodeFourBit(new Float32Array(64), type, 64)
      expect([...decodeFourBit(codes, type)].every((value) => value === 0)).toBe(true)
      expect([...absmax]).toEqual([0])
    }
  })
})

describe('the dynamic map', () => {
  test('has the values of create_dynamic_map', () => {
    expect([...dynamicMap()]).toEqual(oracle.map)
  })

  test('codes, magnitudes and what they stand for are those of quantize_blockwise', () => {
    const { values, codes, absmax, decoded } = oracle.dynamic
    const found = encodeDynamic(Float32Array.from(values))
    expect([...found.codes]).toEqual(codes)
    expect([...found.absmax]).toEqual(absmax)
    expect([...decodeDynamic(found.codes, found.absmax, dynamicMap())]).toEqual(decoded)
  })
})

test.each(oracle.means)("torchMean() of $values.length values is torch's", ({ values, mean }) => {
  expect(torchMean(over(values, 4099))).toBe(mean)
})
