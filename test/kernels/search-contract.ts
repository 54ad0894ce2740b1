import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Kernels, SearchInput } from '../../src/kernels/kernels.ts'
import { roundBf16 } from '../../src/numerics/bf16.ts'
import { bytes, generator } from './random.ts'

type Golden = Omit<SearchInput, 'weight' | 'importance' | 'scale' | 'zeroPoint'> & {
  name: string
  weight: number[]
  importance: number[] | null
  scale: number[]
  zeroPoint: number[] | null
  index: number[]
}

/** Made by golden.py with torch in float64. */
const goldens: Golden[] = JSON.parse(readFileSync(new URL('./golden-search.json', import.meta.url), 'utf8'))

interface Shape {
  rows: number
  groups: number
  groupSize: number
  candidates: number
  seed: number
  asymmetric: boolean
  weighted: boolean
  norm: number
  bits: number
  signed: boolean
}

function randomSearch({ rows, groups, groupSize, candidates, seed, asymmetric, weighted, norm, bits, signed }: Shape): SearchInput {
  const next = generator(seed)
  const columns = groups * groupSize
  const half = 2 ** (bits - 1)
  const count = rows * groups * candidates
  const scale = Float32Array.from({ length: count }, () => ((1 + 0.6 * next()) / half) * (next() < 0 ? -1 : 1))
  roundBf16(scale)
  return {
    rows,
    columns,
    weight: Float32Array.from({ length: rows * columns }, next),
    groupSize,
    importance: weighted ? Float32Array.from({ length: columns }, () => Math.abs(next())) : null,
    candidates,
    scale,
    zeroPoint: asymmetric && !signed ? Int8Array.from({ length: count }, () => Math.round(0.4 * half * next())) : null,
    signed,
    min: -half,
    max: half - 1,
    norm,
  }
}

/** Candidates 1 to `scale.length` for one row of one group, codes of 4 bits. */
function oneGroup(weight: number[], scale: number[], more: Partial<SearchInput> = {}): SearchInput {
  return {
    rows: 1,
    columns: weight.length,
    weight: Float32Array.from(weight),
    groupSize: weight.length,
    importance: null,
    candidates: scale.length,
    scale: Float32Array.from(scale),
    zeroPoint: null,
    min: -8,
    max: 7,
    norm: 2,
    ...more,
  }
}

/** What `searchScales` has to do; with a `twin` it also has to give the bytes of that. */
export function searchContract(opened: () => Kernels, twin?: Kernels): void {
  test.each(goldens)('searchScales finds the candidate of least error in float64: $name', async (golden) => {
    const index = await opened().searchScales({
      ...golden,
      weight: Float32Array.from(golden.weight),
      importance: golden.importance && Float32Array.from(golden.importance),
      scale: Float32Array.from(golden.scale),
      zeroPoint: golden.zeroPoint && Int8Array.from(golden.zeroPoint),
    })
    expect(Array.from(index)).toEqual(golden.index)
  })

  test('searchScales: a negative scale wins where only its larger side reaches the weight', async () => {
    // 8 = -8 * -1, while 7 is the largest code of the scale 1.
    expect(Array.from(await opened().searchScales(oneGroup([8, 3, -2], [1, -1])))).toEqual([1])
    expect(Array.from(await opened().searchScales(oneGroup([8, 3, -2], [1, 2, 3], { signed: true })))).toEqual([3])
  })

  test('searchScales gives with `signed` what the negated scales behind the others give', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 9 }), fc.constantFrom(2, 3, 4, 8), async (seed, candidates, bits) => {
        const shape = { rows: 3, groups: 2, groupSize: 40, candidates, seed, asymmetric: false, weighted: true, norm: 2, bits }
        const input = randomSearch({ ...shape, signed: true })
        const scale = Float32Array.from({ length: 2 * input.scale.length }, (_, at) => {
          const s = input.scale[Math.floor(at / (2 * candidates)) * candidates + (at % candidates)]
          return at % (2 * candidates) < candidates ? s : -s
        })
        const both = await opened().searchScales({ ...input, signed: false, candidates: 2 * candidates, scale })
        expect(await opened().searchScales(input)).toEqual(both)
      }),
    )
  })

  test('searchScales: of equally good candidates the first wins, in whatever vector it lies', async () => {
    for (const first of [0, 3, 4, 9, 17]) {
      const scale = Array.from({ length: 24 }, (_, k) => (k < first ? 3 : k % 2 ? 1 : 0.5))
      expect(Array.from(await opened().searchScales(oneGroup([1, -2, 3], scale)))).toEqual([first])
    }
  })

  test('searchScales: importance and norm decide between many small errors and one large', async () => {
    // Scale 1 leaves 0.4 on the first weight alone, scale 1.4 leaves 0.4, 0.4 and 0.2 on the others.
    const input = oneGroup([1.4, 1, 1, 3], [1, 1.4])
    expect(Array.from(await opened().searchScales(input))).toEqual([0])
    const importance = Float32Array.of(10, 1, 1, 1)
    expect(Array.from(await opened().searchScales({ ...input, importance }))).toEqual([1])
    // 2 x 1.5 = 3 beats 2 in sum, 2 x 1.5³ = 6.75 against 8 in cubes: codes may only be 0 here.
    const flat = { min: 0, max: 0, columns: 4, groupSize: 2, weight: Float32Array.of(1.5, 1.5, 2, 0) }
    const both = { ...oneGroup([], [1, 1]), ...flat, scale: Float32Array.of(1, 1, 1, 1) }
    expect(Array.from(await opened().searchScales({ ...both, norm: 3 }))).toEqual([0, 0])
  })

  test('searchScales never chooses a candidate whose error is not finite, and the first where all are such', async () => {
    const input = oneGroup([1, 2], [Number.NaN, Infinity, 0.9, 1])
    for (const norm of [2, 2.4, 3]) {
      expect(Array.from(await opened().searchScales({ ...input, norm }))).toEqual([3])
      expect(Array.from(await opened().searchScales({ ...input, norm, weight: Float32Array.of(1, Number.NaN) }))).toEqual([0])
    }
  })

  test('searchScales refuses sizes, importances and norms that make no sense, by name', async () => {
    const input = oneGroup([1, 2, 3], [1, 2])
    const kernels = opened()
    await expect(kernels.searchScales({ ...input, groupSize: 2 })).rejects.toThrow('groups of 2, expected a divisor of the 3 columns')
    await expect(kernels.searchScales({ ...input, candidates: 0 })).rejects.toThrow('candidates is 0, expected 1 or more')
    await expect(kernels.searchScales({ ...input, candidates: 3 })).rejects.toThrow('scale has 2 values, expected 3')
    await expect(kernels.searchScales({ ...input, zeroPoint: new Int8Array(1) })).rejects.toThrow('zeroPoint has 1 values, expected 2')
    await expect(kernels.searchScales({ ...input, importance: Float32Array.of(1, -1, 1) })).rejects.toThrow(
      'the importance of column 1 is -1, expected 0 or more',
    )
    await expect(kernels.searchScales({ ...input, norm: 0.5 })).rejects.toThrow('norm is 0.5, expected 1 to 8')
    const negated = { ...input, signed: true }
    await expect(kernels.searchScales({ ...negated, zeroPoint: new Int8Array(2) })).rejects.toThrow('negated scales with zero points')
    await expect(kernels.searchScales({ ...negated, min: -4 })).rejects.toThrow('negated scales with codes -4 to 7')
    await expect(kernels.searchScales({ ...input, min: 8 })).rejects.toThrow('codes 8 to 7')
  })

  if (!twin) return
  test('searchScales gives the bytes of the reference for any shape, scheme, norm and number of candidates', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 40 }),
      groups: fc.integer({ min: 1, max: 4 }),
      groupSize: fc.integer({ min: 1, max: 40 }),
      candidates: fc.integer({ min: 1, max: 30 }),
      seed: fc.integer(),
      asymmetric: fc.boolean(),
      weighted: fc.boolean(),
      norm: fc.oneof(fc.constantFrom(2, 2.4, 3), fc.double({ min: 1, max: 8, noNaN: true })),
      bits: fc.constantFrom(2, 3, 4, 8),
      signed: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(shape, async (value) => {
        const input = randomSearch(value)
        expect(bytes(await opened().searchScales(input)).equals(bytes(await twin.searchScales(input)))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })
}
