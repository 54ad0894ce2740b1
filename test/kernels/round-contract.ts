import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Kernels, RoundInput, RoundResult } from '../../src/kernels/kernels.ts'
import { smallFloats } from '../../src/kernels/small-floats.ts'
import { bytes, type Codes, codesOf, generator } from './random.ts'

interface Shape {
  rows: number
  columns: number
  rowSpan: number
  columnSpan: number
  codes: Codes
  asymmetric: boolean
  seed: number
}

/** Weights of which some are clipped, some zero; scales of both signs. */
function randomRound({ rows, columns, rowSpan, columnSpan, codes, asymmetric, seed }: Shape): RoundInput {
  const next = generator(seed)
  const { float, min, max } = codesOf(codes)
  const tiles = Math.ceil(rows / rowSpan) * Math.ceil(columns / columnSpan)
  return {
    ...{ rows, columns, rowSpan, columnSpan, float, min, max, values: true },
    weight: Float32Array.from({ length: rows * columns }, () => (next() < -0.9 ? 0 : next())),
    scale: Float32Array.from({ length: tiles }, () => ((1 + 0.4 * next()) / max) * (next() < -0.5 ? -1 : 1)),
    zeroPoint: asymmetric && !float ? Int8Array.from({ length: tiles }, () => Math.round(max * next())) : null,
  }
}

const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 40 }),
  columns: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(64, 128)),
  rowSpan: fc.constantFrom(1, 3, 8, 100),
  columnSpan: fc.constantFrom(1, 3, 4, 16, 32, 1000),
  codes: fc.constantFrom<Codes>(2, 3, 4, 8, 'E4M3', 'E2M1'),
  asymmetric: fc.boolean(),
  seed: fc.integer(),
})

/** The value nearest to w / s among all codes, by trying every one; the even code of two equally near. */
function nearestByTrial({ float, min, max }: RoundInput, ratio: number): number {
  const values = float ? smallFloats[float].decode(Uint8Array.from({ length: float === 'E4M3' ? 256 : 16 }, (_, bits) => bits)) : null
  const codes = values ? [...values.keys()] : Array.from({ length: max - min + 1 }, (_, i) => min + i)
  const numbers = codes.filter((code) => !values || !Number.isNaN(values[code]))
  const [first, ...rest] = numbers
  const numberOf = (code: number) => (values ? values[code] : code)
  const least = rest.reduce((best, code) => {
    const gain = Math.abs(numberOf(best) - ratio) - Math.abs(numberOf(code) - ratio)
    return gain > 0 || (gain === 0 && code % 2 === 0 && numberOf(code) !== numberOf(best)) ? code : best
  }, first)
  return numberOf(least)
}

/** What `roundWeights` has to do; with a `twin` it also has to give the bytes of that. */
export function roundContract(opened: () => Kernels, twin?: Kernels): void {
  test('roundWeights takes every weight to the nearest of all codes, says what they stand for and what was lost', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const input = randomRound(shape)
        const { rows, columns, rowSpan, columnSpan, weight, scale, zeroPoint } = input
        const { codes, values, loss, power } = await opened().roundWeights(input)
        for (let row = 0; row < rows; row++) {
          let [lost, all] = [0, 0]
          for (let column = 0; column < columns; column++) {
            const at = row * columns + column
            const tile = Math.floor(row / rowSpan) * Math.ceil(columns / columnSpan) + Math.floor(column / columnSpan)
            const z = zeroPoint?.[tile] ?? 0
            const q = nearestByTrial(input, Math.fround(Math.fround(weight[at] / scale[tile]) + z))
            const stored = input.float ? smallFloats[input.float].decode(Uint8Array.of(codes[at]))[0] : codes[at]
            expect(stored + 0).toBe(q + 0)
            expect(values?.[at]).toBeCloseTo((q - z) * scale[tile], 6)
            lost += (weight[at] - (q - z) * scale[tile]) ** 2
            all += weight[at] ** 2
          }
          expect(loss[row]).toBeCloseTo(lost, 5)
          expect(power[row]).toBeCloseTo(all, 5)
        }
      }),
      { numRuns: 40 },
    )
  })

  test('roundWeights: a weight that is not finite shows in the sums of its row alone', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const input = randomRound({ rows: 3, columns: 8, rowSpan: 1, columnSpan: 8, codes: 4, asymmetric: false, seed: 1 })
      input.weight[11] = bad
      const { power } = await opened().roundWeights(input)
      expect([...power].map(Number.isFinite)).toEqual([true, false, true])
    }
  })

  test('roundWeights refuses sizes that do not fit, by name', async () => {
    const input = randomRound({ rows: 3, columns: 8, rowSpan: 1, columnSpan: 4, codes: 4, asymmetric: true, seed: 1 })
    const refused = (change: Partial<RoundInput>) => expect(opened().roundWeights({ ...input, ...change })).rejects
    await refused({ columnSpan: 0 }).toThrow('columnSpan is 0, expected 1 or more')
    await refused({ rowSpan: 2 }).toThrow('scale has 6 values, expected 4')
    await refused({ weight: new Float32Array(2) }).toThrow('weight has 2 values, expected 24')
    await refused({ zeroPoint: new Int8Array(1) }).toThrow('zeroPoint has 1 values, expected 6')
    await refused({ float: 'E4M3', min: -448, max: 448 }).toThrow('E4M3 with zero points, expected none')
  })

  if (!twin) return
  test('roundWeights gives the bytes of the reference for any shape and kind of codes', async () => {
    const all = ({ codes, values, loss, power }: RoundResult) =>
      [codes, values, loss, power].map((array) => (array ? bytes(array).toString('hex') : null))
    await fc.assert(
      fc.asyncProperty(shapes, fc.boolean(), async (shape, values) => {
        const input = { ...randomRound(shape), values }
        expect(all(await opened().roundWeights(input))).toEqual(all(await twin.roundWeights(input)))
      }),
      { numRuns: 100 },
    )
  })
}
