import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Kernels, SmallFloat, SweepInput, SweepResult } from '../../src/kernels/kernels.ts'
import { smallFloats } from '../../src/kernels/small-floats.ts'
import { RunError } from '../../src/util/errors.ts'
import { bytes, type Codes, codesOf, distance, generator, randomHessian } from './random.ts'
import { refineContract } from './refine-contract.ts'
import { roundContract } from './round-contract.ts'
import { roundGroupsContract } from './round-groups-contract.ts'
import { searchContract } from './search-contract.ts'

interface Golden {
  name: string
  rows: number
  columns: number
  groups: number
  float: SmallFloat | null
  min: number
  max: number
  h: number[]
  weight: number[]
  scale: number[]
  zeroPoint: number[] | null
  groupOf: number[]
  factor: number[]
  codes: number[]
  loss: number[]
}

/** Made by golden.py with torch in float64. */
const goldens: Golden[] = JSON.parse(readFileSync(new URL('./golden.json', import.meta.url), 'utf8'))

interface Shape {
  rows: number
  columns: number
  groups: number
  seed: number
  asymmetric: boolean
  shuffled: boolean
  codes: Codes
}

/** A sweep with scales of both signs; `shuffled` groups as act-order makes them. U is random, its diagonal near 1. */
function randomSweep({ rows, columns, groups, seed, asymmetric, shuffled, codes }: Shape): SweepInput {
  const next = generator(seed)
  const { float, min, max } = codesOf(codes)
  const factor = Float32Array.from({ length: columns * columns }, (_, at) => {
    const i = Math.floor(at / columns)
    const j = at % columns
    return j < i ? 0 : j === i ? 1 + 0.5 * next() : (0.5 * next()) / Math.sqrt(columns)
  })
  const groupOf = Int32Array.from({ length: columns }, (_, j) => Math.floor((j * groups) / columns))
  if (shuffled) {
    const keys = Float64Array.from({ length: columns }, next)
    const order = Array.from(groupOf.keys()).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0))
    groupOf.set(order.map((j) => Math.floor((j * groups) / columns)))
  }
  return {
    rows,
    columns,
    weight: Float32Array.from({ length: rows * columns }, next),
    factor,
    scale: Float32Array.from({ length: rows * groups }, () => ((1.2 + 0.5 * next()) / max) * (next() < -0.5 ? -1 : 1)),
    zeroPoint: asymmetric && !float ? Int8Array.from({ length: rows * groups }, () => Math.round(0.4 * max * next())) : null,
    groups,
    groupOf,
    float,
    min,
    max,
  }
}

function expectSame(found: SweepResult, expected: SweepResult): void {
  expect(bytes(found.codes).equals(bytes(expected.codes))).toBe(true)
  expect(bytes(found.loss).equals(bytes(expected.loss))).toBe(true)
}

/** max |UᵀU H - I|. */
function inverseError(u: Float32Array, h: Float32Array, n: number): number {
  let worst = 0
  for (let i = 0; i < n; i++) {
    const row = new Float64Array(n)
    for (let k = 0; k <= i; k++) for (let j = k; j < n; j++) row[j] = (row[j] ?? 0) + (u[k * n + i] ?? 0) * (u[k * n + j] ?? 0)
    for (let j = 0; j < n; j++) {
      let sum = i === j ? -1 : 0
      for (let k = 0; k < n; k++) sum += (row[k] ?? 0) * (h[k * n + j] ?? 0)
      worst = Math.max(worst, Math.abs(sum))
    }
  }
  return worst
}

const edges: [rows: number, columns: number][] = [1, 3, 17].flatMap((rows) =>
  [1, 31, 33, 200].map((columns): [number, number] => [rows, columns]),
)

/** What every implementation of `Kernels` has to do; `make` opens one. With a `twin` it also has to give the bytes of that. */
export function kernelContract(name: string, make: () => Promise<Kernels>, twin?: Kernels): void {
  describe(`${name} kernels`, () => {
    let kernels: Kernels
    beforeAll(async () => {
      kernels = await make()
    })
    afterAll(() => kernels.close())

    test.each(goldens)('sweep gives the codes and losses of float64 GPTQ: $name', async (golden) => {
      const h = Float32Array.from(golden.h)
      const factor = await kernels.inverseFactor(h, golden.columns)
      expect(factor).not.toBeNull()
      if (!factor) return
      expect(distance(factor, golden.factor)).toBeLessThan(1e-5)
      const { codes, loss } = await kernels.sweep({
        rows: golden.rows,
        columns: golden.columns,
        weight: Float32Array.from(golden.weight),
        factor,
        scale: Float32Array.from(golden.scale),
        zeroPoint: golden.zeroPoint && Int8Array.from(golden.zeroPoint),
        groups: golden.groups,
        groupOf: Int32Array.from(golden.groupOf),
        float: golden.float,
        min: golden.min,
        max: golden.max,
      })
      expect(Array.from(codes)).toEqual(golden.codes)
      expect(distance(loss, golden.loss)).toBeLessThan(1e-4)
    })

    test('sweep rounds halves to even, clamps, and takes the zero point off again', async () => {
      const w = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 100, -100]
      const n = w.length
      const factor = Float32Array.from({ length: n * n }, (_, at) => (at % (n + 1) === 0 ? 1 : 0))
      const input = { rows: 1, columns: n, weight: Float32Array.from(w), factor, groups: 1, groupOf: new Int32Array(n), ...codesOf(4) }
      const plain = await kernels.sweep({ ...input, scale: Float32Array.of(1), zeroPoint: null })
      expect(Array.from(plain.codes)).toEqual([0, 2, 2, 0, -2, -2, 7, -8])
      expect(plain.loss[0]).toBe(6 * 0.25 + 93 ** 2 + 92 ** 2)
      const shifted = await kernels.sweep({ ...input, scale: Float32Array.of(-1), zeroPoint: Int8Array.of(1) })
      expect(Array.from(shifted.codes)).toEqual([0, 0, -2, 2, 2, 4, -8, 7])
    })

    test.each(['E4M3', 'E2M1'] as const)(
      'sweep rounds to %s as its codec does: middles, what is next to them, subnormals, beyond',
      async (float) => {
        const { encode, decode, max } = smallFloats[float]
        const values = decode(Uint8Array.from({ length: 256 }, (_, bits) => bits)).filter((value) => Number.isFinite(value))
        const sorted = [...new Set(values)].sort((a, b) => a - b)
        const middles = sorted.slice(1).map((value, i) => (value + sorted[i]) / 2)
        const edges = [...sorted, ...middles, 2 * max, -1e30, 1e-30, -1e-30, 0, -0]
        const next = generator(1)
        const weight = Float32Array.from([
          ...edges.flatMap((value) => [value, value * (1 + 2 ** -23), value * (1 - 2 ** -24)]),
          ...Array.from({ length: 500 }, () => next() * max * 1.1),
          ...Array.from({ length: 500 }, () => next() * 2 ** (8 * next())),
        ])
        const [rows, scale] = [weight.length, new Float32Array(weight.length)]
        for (const size of [1, -1, Math.fround(0.0371)]) {
          const input = { rows, columns: 1, weight, factor: Float32Array.of(1), scale: scale.fill(size), zeroPoint: null, groups: 1 }
          const { codes, loss } = await kernels.sweep({ ...input, groupOf: Int32Array.of(0), ...codesOf(float) })
          const expected = encode(weight.map((w) => w / size))
          expect(codes).toBeInstanceOf(Uint8Array)
          expect(bytes(codes).equals(bytes(expected))).toBe(true)
          const lost = decode(expected).map((q, i) => Math.fround(weight[i] - Math.fround(q * size)) ** 2)
          expect(bytes(loss).equals(bytes(lost))).toBe(true)
        }
      },
    )

    test('sweep hands the error of a column to the later ones only', async () => {
      const input = {
        rows: 1,
        columns: 3,
        weight: Float32Array.of(0.75, 0, 0),
        factor: Float32Array.of(0.5, 1, -1, 0, 1, 0, 0, 0, 1),
        scale: Float32Array.of(1),
        zeroPoint: null,
        groups: 1,
        groupOf: new Int32Array(3),
        ...codesOf(4),
      }
      const { codes, loss } = await kernels.sweep(input)
      // e_0 = (0.75 - 1) / 0.5 = -0.5, so w_1 becomes 0.5 (half to even: 0) and w_2 becomes -0.5 (0).
      expect(Array.from(codes)).toEqual([1, 0, 0])
      expect(loss[0]).toBe(0.75)
      expect(Array.from(input.weight)).toEqual([0.75, 0, 0])
    })

    test('sweep gives the errors of its columns where they are wanted, in sweep order', async () => {
      const factor = Float32Array.of(0.5, 1, -1, 0, 1, 0, 0, 0, 1)
      const problem = { rows: 2, columns: 3, factor, scale: Float32Array.of(1, 1), zeroPoint: null, groups: 1, groupOf: new Int32Array(3) }
      const errors = new Float32Array(6).fill(Number.NaN)
      await kernels.sweep({ ...problem, weight: Float32Array.of(0.75, 0, 0, 0, 0.25, 0), ...codesOf(4), errors })
      expect(Array.from(errors)).toEqual([-0.5, 0.5, -0.5, 0, 0.25, 0])
      const weight = Float32Array.of(0, 0, 0.75, 0, 0, 0.25)
      await kernels.sweep({ ...problem, weight, order: Int32Array.of(2, 0, 1), ...codesOf(4), errors })
      expect(Array.from(errors)).toEqual([-0.5, 0.5, -0.5, 0.5, -0.5, 0.5])
    })

    test.each([4, 'E2M1'] as const)('sweep in an order is the sweep of columns put in it, for codes %s', async (codes) => {
      const input = randomSweep({ rows: 37, columns: 9, groups: 1, seed: 11, asymmetric: false, shuffled: false, codes })
      const order = Int32Array.of(4, 0, 8, 2, 7, 1, 3, 6, 5)
      const moved = <T extends Float32Array | Int8Array | Uint8Array>(x: T): T => x.map((_, at) => x[at - (at % 9) + order[at % 9]]) as T
      const found = await kernels.sweep({ ...input, order })
      const expected = await kernels.sweep({ ...input, weight: moved(input.weight) })
      expect(moved(found.codes)).toEqual(expected.codes)
      expect(found.loss).toEqual(expected.loss)
    })

    test('sweep shows a NaN weight in the loss of its row and of no other', async () => {
      const input = randomSweep({ rows: 5, columns: 9, groups: 1, seed: 7, asymmetric: false, shuffled: false, codes: 4 })
      input.weight[2 * 9 + 4] = Number.NaN
      const { loss } = await kernels.sweep(input)
      expect(Array.from(loss, Number.isNaN)).toEqual([false, false, true, false, false])
    })

    test.each([1, 2, 31, 33, 64, 65, 200])('inverseFactor of %i columns is upper triangular with UᵀU H = I', async (n) => {
      const h = randomHessian(n, n)
      const u = await kernels.inverseFactor(h, n)
      if (!u) throw new Error('a positive definite matrix was refused')
      for (let i = 0; i < n; i++) expect(u.subarray(i * n, i * n + i).every((value) => Object.is(value, 0))).toBe(true)
      // U is rounded to float32 (6e-8); entries of inverse(H) reach 10, sums run over n.
      expect(inverseError(u, h, n)).toBeLessThan(2e-5)
    })

    test('inverseFactor keeps its accuracy where float32 sums would not: condition number 1e7', async () => {
      const n = 80
      const h = new Float32Array(n * n)
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) h[i * n + j] = 0.999 + (i === j ? 1e-5 : 0)
      const u = await kernels.inverseFactor(h, n)
      if (!u) throw new Error('a positive definite matrix was refused')
      // inverse(a 11ᵀ + d I) = I / d - a 11ᵀ / (d (d + a n)), so U_00² = the first entry of it; d is what float32 left of 1e-5.
      const a = h[1] ?? 0
      const d = (h[0] ?? 0) - a
      expect((u[0] ?? 0) ** 2 / (1 / d - a / (d * (d + a * n)))).toBeCloseTo(1, 5)
    })

    test('inverseFactor is null for what is not positive definite: zero, negative, indefinite, late pivot, NaN, infinite', async () => {
      const n = 70
      const broken = (change: (h: Float32Array) => void): Promise<Float32Array | null> => {
        const h = randomHessian(n, 1)
        change(h)
        return kernels.inverseFactor(h, n)
      }
      expect(await kernels.inverseFactor(new Float32Array(n * n), n)).toBeNull()
      expect(await kernels.inverseFactor(Float32Array.of(-1), 1)).toBeNull()
      expect(await kernels.inverseFactor(Float32Array.of(1, 2, 2, 1), 2)).toBeNull()
      expect(await broken((h) => h.fill(-1, 0, 1))).toBeNull()
      expect(await broken((h) => h.fill(-1, n * n - 1))).toBeNull()
      expect(await broken((h) => h.fill(Number.NaN, 5 * n + 5, 5 * n + 6))).toBeNull()
      expect(await broken((h) => h.fill(Number.NaN, 9 * n + 5, 9 * n + 6))).toBeNull()
      expect(await broken((h) => h.fill(Infinity, 5 * n + 5, 5 * n + 6))).toBeNull()
      expect(await broken(() => undefined)).not.toBeNull()
    })

    test('calls at once do not disturb each other', async () => {
      const inputs = [3, 40, 17].map((rows) =>
        randomSweep({ rows, columns: 50, groups: 2, seed: rows, asymmetric: true, shuffled: true, codes: 4 }),
      )
      const h = randomHessian(50, 3)
      const [u, ...swept] = await Promise.all([kernels.inverseFactor(h, 50), ...inputs.map((input) => kernels.sweep(input))])
      expect(u).toEqual(await kernels.inverseFactor(h, 50))
      for (const [i, input] of inputs.entries()) expect(swept[i]).toEqual(await kernels.sweep(input))
    })

    test('sweep and inverseFactor refuse arrays of the wrong size, by name', async () => {
      const input = randomSweep({ rows: 2, columns: 4, groups: 2, seed: 1, asymmetric: true, shuffled: false, codes: 4 })
      await expect(kernels.sweep({ ...input, weight: new Float32Array(7) })).rejects.toThrow('weight has 7 values, expected 8')
      await expect(kernels.sweep({ ...input, groupOf: Int32Array.of(0, 0, 2, 1) })).rejects.toThrow(
        'column 2 is in group 2, expected 0 to 1',
      )
      await expect(kernels.sweep({ ...input, order: Int32Array.of(0, 1, 1, 2) })).rejects.toThrow('order has column 1 twice')
      await expect(kernels.sweep({ ...input, order: Int32Array.of(0, 1, 4, 2) })).rejects.toThrow('order has column 4, expected')
      await expect(kernels.sweep({ ...input, errors: new Float32Array(9) })).rejects.toThrow('errors has 9 values, expected 8')
      await expect(kernels.sweep({ ...input, max: 255 })).rejects.toThrow('codes -8 to 255')
      const float = { ...input, float: 'E4M3' as const }
      await expect(kernels.sweep(float)).rejects.toThrow('codes -8 to 7, expected -448 to 448 for E4M3')
      await expect(kernels.sweep({ ...float, ...codesOf('E4M3') })).rejects.toThrow('E4M3 with zero points, expected none')
      await expect(kernels.inverseFactor(new Float32Array(3), 2)).rejects.toThrow('h has 3 values, expected 4')
    })

    test('close is final: later calls are refused', async () => {
      const own = await make()
      await own.close()
      await expect(own.inverseFactor(Float32Array.of(1), 1)).rejects.toThrow(RunError)
    })
    searchContract(() => kernels, twin)
    refineContract(() => kernels, twin)
    roundContract(() => kernels, twin)
    roundGroupsContract(() => kernels, twin)
    if (twin) equalityContract(() => kernels, twin)
  })
}

/** Equality with the twin, byte for byte. */
function equalityContract(opened: () => Kernels, twin: Kernels): void {
  test.each(edges)('sweep of %i x %i gives the bytes of the reference', async (rows, columns) => {
    const shape = { rows, columns, groups: Math.min(3, columns), seed: rows + columns, asymmetric: true, shuffled: true }
    for (const codes of [4, 'E4M3'] as const) {
      const input = randomSweep({ ...shape, codes })
      expectSame(await opened().sweep(input), await twin.sweep(input))
    }
  })

  test('sweep gives the bytes of the reference for any shape, scheme and order of groups', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 70 }),
      columns: fc.integer({ min: 1, max: 150 }),
      groups: fc.integer({ min: 1, max: 5 }),
      seed: fc.integer(),
      asymmetric: fc.boolean(),
      shuffled: fc.boolean(),
      codes: fc.constantFrom<Codes>(2, 3, 4, 8, 'E4M3', 'E2M1'),
    })
    await fc.assert(
      fc.asyncProperty(shape, async (value) => {
        const input = randomSweep(value)
        const [found, expected] = [new Float32Array(input.weight.length), new Float32Array(input.weight.length)]
        expectSame(await opened().sweep({ ...input, errors: found }), await twin.sweep({ ...input, errors: expected }))
        expect(bytes(found).equals(bytes(expected))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('inverseFactor gives the bytes of the reference for any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 200 }), fc.integer(), async (n, seed) => {
        const h = randomHessian(n, seed)
        const [found, expected] = [await opened().inverseFactor(h, n), await twin.inverseFactor(h, n)]
        if (!found || !expected) throw new Error('a positive definite matrix was refused')
        expect(bytes(found).equals(bytes(expected))).toBe(true)
      }),
      { numRuns: 20 },
    )
  })
}
