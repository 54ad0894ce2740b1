import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isTable, type Matrices, type MatrixInput, rowBytes } from '../../src/kernels/matrices.ts'
import { encodeBf16 } from '../../src/numerics/bf16.ts'
import { fourBitValues, packFourBit } from '../../src/numerics/bitsandbytes-codes.ts'
import { packRows } from '../../src/numerics/int-pack.ts'
import { bytesOf } from '../../src/numerics/view.ts'
import { RunError } from '../../src/util/errors.ts'
import { bytes, generator } from './random.ts'

const FORMATS = ['f32', 'bf16', 'int8', 'int4', 'nf4', 'fp4'] as const

interface Shape {
  format: MatrixInput['format']
  rows: number
  columns: number
  groupSize?: number
  asymmetric?: boolean
  bias?: boolean
  seed?: number
}

function hasScales(format: MatrixInput['format']): boolean {
  return format !== 'f32' && format !== 'bf16'
}

/** A random matrix and what its elements are, in float64. */
function randomMatrix({ format, rows, columns, groupSize = columns, asymmetric = false, bias = false, seed = 1 }: Shape): {
  input: MatrixInput
  weight: Float64Array
} {
  const next = generator(seed)
  const table = isTable(format) ? fourBitValues(format) : null
  const groups = columns / groupSize
  const half = format === 'int4' ? 8 : 128
  const scale = hasScales(format) ? Float32Array.from({ length: rows * groups }, () => next() / half) : null
  const zeroPoint =
    hasScales(format) && !table && asymmetric ? Int8Array.from({ length: rows * groups }, () => Math.floor(next() * half)) : null
  const bf16 = encodeBf16(Float32Array.from({ length: rows * columns }, next))
  const floats = format === 'bf16' ? new Float32Array(Uint32Array.from(bf16, (bits) => bits << 16).buffer) : Float32Array.from(bf16, next)
  const codes = Int8Array.from(floats, () => Math.floor(table ? (next() + 1) * 8 : next() * half))
  const data = {
    ...{ f32: floats, bf16, int8: codes, int4: packRows(format === 'int4' ? codes : new Int8Array(codes.length), rows, columns, 4) },
    ...{ nf4: packFourBit(bytesOf(codes), 'nf4'), fp4: packFourBit(bytesOf(codes), 'fp4') },
  }
  const weight = Float64Array.from(floats, (value, at) => {
    const tile = Math.floor(at / columns) * groups + Math.floor((at % columns) / groupSize)
    if (table && scale) return table[codes[at]] * scale[tile]
    return scale ? (codes[at] - (zeroPoint?.[tile] ?? 0)) * scale[tile] : value
  })
  const input = { format, rows, columns, groupSize, scale, zeroPoint, data: bytesOf(data[format]) }
  return { input: { ...input, bias: bias ? Float32Array.from({ length: rows }, next) : null }, weight }
}

function vector(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, generator(seed))
}

/** What every implementation of `Matrices` has to do; with a `twin` it also gives the bytes of that. */
export function matricesContract(name: string, make: () => Promise<Matrices>, twin?: Matrices): void {
  describe(`${name} matrices`, () => {
    let matrices: Matrices
    beforeAll(async () => {
      matrices = await make()
    })
    afterAll(() => matrices.close())

    test.each(FORMATS)('multiply gives the products in float64 for %s, with groups, zero points and a bias', (format) => {
      const { input, weight } = randomMatrix({
        ...{ format, rows: 37, columns: 192, asymmetric: true, bias: true },
        groupSize: hasScales(format) ? 64 : 192,
      })
      const x = vector(5 * 192, 9)
      const [y] = matrices.multiply([matrices.add(input)], x, 5)
      expect(y.length).toBe(5 * 37)
      for (let token = 0; token < 5; token++) {
        for (let row = 0; row < 37; row++) {
          let sum = input.bias?.[row] ?? 0
          for (let j = 0; j < 192; j++) sum += weight[row * 192 + j] * x[token * 192 + j]
          expect(y[token * 37 + row]).toBeCloseTo(sum, 4)
        }
      }
    })

    test.each(FORMATS)('values gives what the elements of %s stand for, in float32', (format) => {
      const { input, weight } = randomMatrix({ format, rows: 3, columns: 40, asymmetric: true })
      expect(matrices.values(matrices.add(input))).toEqual(Float32Array.from(weight))
    })

    test('multiply answers for several matrices at once as for each alone, and for many tokens as for each', () => {
      const shapes = [FORMATS, FORMATS].flat().map((format, i) => randomMatrix({ format, rows: 20 + 9 * i, columns: 64, seed: i }))
      const numbers = shapes.map(({ input }) => matrices.add(input))
      const x = vector(70 * 64, 3)
      const together = matrices.multiply(numbers, x, 70)
      for (const [i, number] of numbers.entries()) {
        expect(matrices.multiply([number], x, 70)[0]).toEqual(together[i])
        const rows = shapes[i].input.rows
        const last = matrices.multiply([number], x.subarray(69 * 64), 1)[0]
        expect(last).toEqual(together[i].subarray(69 * rows))
      }
      expect(matrices.multiply([], x, 70)).toEqual([])
    })

    test.each(FORMATS)(
      'multiply by %s keeps 22 bits beside an element that is 1000 times as large, and shows what is no number',
      (format) => {
        const { input, weight } = randomMatrix({ format, rows: 9, columns: 2080, asymmetric: true, seed: 5 })
        const x = vector(2080, 4)
        x[7] = 1000
        const number = matrices.add({ ...input, data: input.data })
        const [y] = matrices.multiply([number], x, 1)
        for (let row = 0; row < 9; row++) {
          let [sum, size] = [0, 0]
          for (let j = 0; j < 2080; j++) {
            sum += weight[row * 2080 + j] * x[j]
            size += Math.abs(weight[row * 2080 + j] * x[j])
          }
          expect(Math.abs(y[row] - sum)).toBeLessThan(size * 2 ** -22)
        }
        for (const broken of [Number.NaN, Number.POSITIVE_INFINITY]) {
          x[3] = broken
          expect(matrices.multiply([number], x, 1)[0].every((value) => !Number.isFinite(value))).toBe(true)
        }
      },
    )

    test('add and multiply refuse arrays of the wrong size, by name', () => {
      const { input } = randomMatrix({ format: 'int8', rows: 2, columns: 64, groupSize: 32 })
      expect(() => matrices.add({ ...input, data: new Uint8Array(127) })).toThrow('data has 127 elements, expected 128')
      expect(() => matrices.add({ ...input, groupSize: 16 })).toThrow('groups of 16, expected all columns or a divisor')
      expect(() => matrices.add({ ...input, scale: null })).toThrow('found no scales')
      const nf4 = randomMatrix({ format: 'nf4', rows: 2, columns: 64 }).input
      expect(() => matrices.add({ ...nf4, zeroPoint: new Int8Array(2) })).toThrow(
        'found 64 columns and zero points, expected pairs of columns',
      )
      expect(() => matrices.add({ ...nf4, columns: 63, groupSize: 63, data: new Uint8Array(63) })).toThrow(
        'found 63 columns, expected pairs',
      )
      expect(() => matrices.multiply([matrices.add(input)], new Float32Array(63), 1)).toThrow(RunError)
    })

    if (!twin) return
    test('multiply gives the bytes of the reference for any shape, format and number of tokens', () => {
      const shape = fc.record({
        format: fc.constantFrom(...FORMATS),
        rows: fc.integer({ min: 1, max: 600 }),
        blocks: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 31, max: 70 })),
        cut: fc.integer({ min: 0, max: 31 }),
        tokens: fc.integer({ min: 1, max: 40 }),
        grouped: fc.boolean(),
        asymmetric: fc.boolean(),
        bias: fc.boolean(),
        seed: fc.integer(),
      })
      fc.assert(
        fc.property(shape, ({ format, rows, blocks, cut, tokens, grouped, asymmetric, bias, seed }) => {
          const columns = grouped ? 32 * blocks : 32 * blocks - (isTable(format) ? cut & ~1 : cut)
          const groupSize = grouped && hasScales(format) ? 32 : columns
          const { input } = randomMatrix({
            format,
            rows: tokens > 4 ? Math.ceil(rows / 20) : rows,
            columns,
            groupSize,
            asymmetric,
            bias,
            seed,
          })
          expect(input.data.length).toBe(input.rows * rowBytes(input))
          const x = vector(tokens * columns, seed + 1)
          const [found] = matrices.multiply([matrices.add(input)], x, tokens)
          const [expected] = twin.multiply([twin.add(input)], x, tokens)
          expect(bytes(found).equals(bytes(expected))).toBe(true)
        }),
        { numRuns: 60 },
      )
    })
  })
}
