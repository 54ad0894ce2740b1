import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Kernels, RoundGroupsInput, RoundGroupsResult } from '../../src/kernels/kernels.ts'
import { bytes, type Codes, codesOf, generator } from './random.ts'

interface Shape {
  rows: number
  groups: number
  groupSize: number
  /** Of scales; their ratios lie from 1.2 down to 0.5. */
  candidates: number
  codes: Codes
  signed: boolean
  scaleDtype: RoundGroupsInput['scaleDtype']
  /** Power of ten of the weights. */
  size: number
  /** How weights lie: evenly, with a few large ones, of few values, with groups of zeros, of one kind after the other. */
  kind: 'even' | 'heavy' | 'few' | 'zeros'
  seed: number
}

function randomGroups({ rows, groups, groupSize, candidates, codes, signed, scaleDtype, size, kind, seed }: Shape): RoundGroupsInput {
  const next = generator(seed)
  const { float, min, max } = codesOf(codes)
  const isSearched = codes === 2 || codes === 3 || codes === 4
  const unit = 10 ** size
  const draw = {
    even: next,
    heavy: () => Math.tan(1.5 * next()),
    few: () => Math.round(8 * next()) / 8,
    zeros: () => (next() < 0.9 ? 0 : next()),
  }[kind]
  return {
    rows,
    columns: groups * groupSize,
    weight: Float32Array.from({ length: rows * groups * groupSize }, () => draw() * unit),
    groupSize,
    ratios: isSearched ? [1, ...Array.from({ length: candidates - 1 }, () => 0.85 + 0.35 * next())] : [1],
    signed: isSearched && signed,
    ...{ scaleDtype, float, min, max },
  }
}

const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 20 }),
  groups: fc.integer({ min: 1, max: 4 }),
  groupSize: fc.constantFrom(8, 16, 24, 32, 64, 72, 128, 2056),
  candidates: fc.integer({ min: 1, max: 32 }),
  codes: fc.constantFrom<Codes>(2, 3, 4, 8, 'E4M3', 'E2M1'),
  signed: fc.boolean(),
  scaleDtype: fc.constantFrom('F32' as const, 'F16' as const, 'BF16' as const),
  size: fc.oneof({ weight: 3, arbitrary: fc.integer({ min: -4, max: 1 }) }, { weight: 1, arbitrary: fc.integer({ min: -44, max: 38 }) }),
  kind: fc.constantFrom('even' as const, 'heavy' as const, 'few' as const, 'zeros' as const),
  seed: fc.integer(),
})

const all = ({ codes, scale, loss, power }: RoundGroupsResult) => [codes, scale, loss, power].map((array) => bytes(array).toString('hex'))

/** What `roundGroups` has to do; with a `twin` it also has to give the bytes of that. */
export function roundGroupsContract(opened: () => Kernels, twin?: Kernels): void {
  test('roundGroups chooses no scale that errs more than another of its candidates', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const input = randomGroups({ ...shape, size: 0, codes: 4 })
        const best = await opened().roundGroups(input)
        for (const ratio of input.ratios) {
          const single = await opened().roundGroups({ ...input, ratios: [ratio] })
          // Groups of a row choose for themselves, so its sum is least too.
          for (const [row, loss] of best.loss.entries()) expect(loss).toBeLessThanOrEqual(single.loss[row] * (1 + 1e-4))
        }
      }),
      { numRuns: 20 },
    )
  })

  test('roundGroups: a negated scale wins where only its larger side reaches the weight, and not where both do', async () => {
    const problem = { rows: 1, columns: 8, groupSize: 8, ratios: [16 / 15], scaleDtype: 'F32' as const, ...codesOf(4), signed: true }
    const larger = await opened().roundGroups({ ...problem, weight: Float32Array.of(7.5, 3, -2, 0, 0, 0, 0, 0) })
    expect(larger.scale[0]).toBeGreaterThan(0)
    const reached = { ...problem, ratios: [15 / 16], weight: Float32Array.of(8, 3, -2, 1, 0, 0, 0, 0) }
    expect(Array.from((await opened().roundGroups(reached)).scale)).toEqual([-1])
    expect(Array.from((await opened().roundGroups(reached)).codes)).toEqual([-8, -3, 2, -1, 0, 0, 0, 0])
  })

  test('roundGroups: a weight that is not finite shows in the sums of its row alone', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const weight = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i))
      weight[17] = bad
      const problem = { rows: 3, columns: 16, weight, groupSize: 8, scaleDtype: 'BF16' as const, ...codesOf(4) }
      for (const search of [
        { ratios: [1], signed: false },
        { ratios: [1, 0.9, 0.8], signed: true },
      ]) {
        const { loss } = await opened().roundGroups({ ...problem, ...search })
        expect([...loss].map(Number.isFinite)).toEqual([true, false, true])
      }
    }
  })

  test('roundGroups refuses sizes and searches that it has not, by name', async () => {
    const weight = new Float32Array(48)
    const input = { rows: 3, columns: 16, weight, groupSize: 8, scaleDtype: 'BF16' as const, ...codesOf(4), ratios: [1], signed: true }
    const refused = (change: Partial<RoundGroupsInput>) => expect(opened().roundGroups({ ...input, ...change })).rejects
    await refused({ groupSize: 3 }).toThrow('groups of 3, expected a divisor of the 16 columns')
    await refused({ groupSize: 4 }).toThrow('groups of 4, expected a multiple of 8')
    await refused({ weight: new Float32Array(2) }).toThrow('weight has 2 values, expected 48')
    await refused({ ratios: [] }).toThrow('expected 1 to 32 above 0 and below 2')
    await refused({ ratios: [1, 0] }).toThrow('ratios 1, 0, expected 1 to 32')
    await refused(codesOf(8)).toThrow('a search with codes -128 to 127')
    await refused({ ...codesOf('E4M3'), signed: false, ratios: [1, 0.9] }).toThrow('a search with codes -448 to 448')
  })

  if (!twin) return
  test('roundGroups gives the bytes of the reference for any shape, size, type of scales and number of candidates', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const input = randomGroups(shape)
        expect(all(await opened().roundGroups(input))).toEqual(all(await twin.roundGroups(input)))
      }),
      { numRuns: 300 },
    )
  })
}
