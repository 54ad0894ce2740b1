import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Kernels, RefineInput, RefineResult, SmallFloat } from '../../src/kernels/kernels.ts'
import { smallFloats } from '../../src/kernels/small-floats.ts'
import type { FloatDType } from '../../src/numerics/dtype.ts'
import { roundToDtype } from '../../src/numerics/float-dtype.ts'
import { SymmetricMatrix } from '../../src/numerics/symmetric-matrix.ts'
import { bytes, type Codes, codesOf, generator } from './random.ts'

interface Goldens {
  rows: number
  columns: number
  weight: number[]
  /** The upper triangle, row by row. */
  hessian: number[]
  cases: {
    name: string
    groupSize: number
    float: SmallFloat | null
    min: number
    max: number
    scaleDtype: FloatDType | null
    codes: number[]
    scale: number[]
    zeroPoint: number[] | null
    /** Of every row before round 1, 2, 3, 4. */
    losses: number[][]
  }[]
}

/** Made by golden.py with torch in float64. */
const goldens: Goldens = JSON.parse(readFileSync(new URL('./golden-refine.json', import.meta.url), 'utf8'))

function symmetric(upper: readonly number[], n: number): SymmetricMatrix {
  const h = new Float32Array(n * n)
  let at = 0
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) h[i * n + j] = h[j * n + i] = upper[at++] ?? 0
  return new SymmetricMatrix([0, n], [h])
}

/** W - Q, in float64. */
function errorOf(
  { weight, zeroPoint, groupSize, float }: Omit<RefineInput, 'product'>,
  { codes, scale }: Pick<RefineResult, 'codes' | 'scale'>,
): Float64Array {
  const values = float ? smallFloats[float].decode(Uint8Array.from(codes)) : codes
  return Float64Array.from(weight, (w, at) => {
    const group = Math.floor(at / groupSize)
    return w - (values[at] - (zeroPoint?.[group] ?? 0)) * scale[group]
  })
}

/** (W - Q) H in float64, rounded. */
function productOf(input: Omit<RefineInput, 'product'>): Float32Array {
  const { rows, columns: n } = input
  const hessian = input.hessian.block(0, n, 0, n)
  const error = errorOf(input, input)
  const product = new Float32Array(rows * n)
  for (let row = 0; row < rows; row++) {
    const sums = new Float64Array(n)
    for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) sums[i] += error[row * n + j] * hessian[j * n + i]
    product.set(sums, row * n)
  }
  return product
}

/** (w - q)ᵀ H (w - q) of every row, in float64. */
function lossOf(input: RefineInput, found: Pick<RefineResult, 'codes' | 'scale'>): number[] {
  const { rows, columns } = input
  const hessian = input.hessian.block(0, columns, 0, columns)
  const error = errorOf(input, found)
  return Array.from({ length: rows }, (_, row) => {
    let loss = 0
    for (let i = 0; i < columns; i++) {
      let sum = 0
      for (let j = 0; j < columns; j++) sum += hessian[i * columns + j] * error[row * columns + j]
      loss += error[row * columns + i] * sum
    }
    return loss
  })
}

interface Shape {
  rows: number
  groups: number
  groupSize: number
  rounds: number
  seed: number
  asymmetric: boolean
  scaleDtype: FloatDType | null
  codes: Codes
}

/** H = XᵀX / T + 0.1 I of correlated X; codes by rounding, scales of both signs and some of them far off. */
function randomRefine({ rows, groups, groupSize, rounds, seed, asymmetric, scaleDtype, codes: kind }: Shape): RefineInput {
  const next = generator(seed)
  const columns = groups * groupSize
  const tokens = Math.ceil(columns / 2) + 1
  const x = Float32Array.from({ length: tokens * columns }, next)
  for (let at = 1; at < x.length; at++) x[at] += 0.7 * x[at - 1]
  const values = new Float32Array(columns ** 2)
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 0.1 : 0
      for (let t = 0; t < tokens; t++) sum += (x[t * columns + i] * x[t * columns + j]) / tokens
      values[i * columns + j] = values[j * columns + i] = sum
    }
  }
  const range = codesOf(kind)
  const { float, min, max } = range
  const weight = Float32Array.from({ length: rows * columns }, next)
  const scale = Float32Array.from({ length: rows * groups }, () => ((1 + 0.5 * next()) / -min) * (next() < 0 ? -1 : 1))
  if (scaleDtype) roundToDtype(scale, scaleDtype)
  const zeroPoint = asymmetric && !float ? Int8Array.from({ length: rows * groups }, () => Math.round(max * next())) : null
  const scaled = weight.map((w, at) => w / scale[Math.floor(at / groupSize)] + (zeroPoint?.[Math.floor(at / groupSize)] ?? 0))
  const codes = float ? smallFloats[float].encode(scaled) : Int8Array.from(scaled, (t) => Math.min(Math.max(Math.round(t), min), max))
  const hessian = new SymmetricMatrix([0, columns], [values])
  const input = { rows, columns, weight, hessian, codes, scale, zeroPoint, groupSize, ...range, rounds, scaleDtype }
  return { ...input, product: productOf(input) }
}

const shapes = fc.record({
  rows: fc.integer({ min: 1, max: 40 }),
  groups: fc.integer({ min: 1, max: 5 }),
  groupSize: fc.integer({ min: 1, max: 40 }),
  rounds: fc.integer({ min: 0, max: 3 }),
  seed: fc.integer(),
  asymmetric: fc.boolean(),
  scaleDtype: fc.constantFrom<FloatDType | null>('F32', 'F16', 'BF16', null),
  codes: fc.constantFrom<Codes>(2, 3, 4, 8, 'E4M3', 'E2M1'),
})

/** H = I and one group of scale 1: codes of 4 bits move to the nearest of `weight`. */
function simple(weight: number[], codes: number[], more: Partial<RefineInput> = {}): RefineInput {
  const columns = weight.length
  const input = {
    rows: 1,
    columns,
    weight: Float32Array.from(weight),
    hessian: new SymmetricMatrix(
      [0, columns],
      [Float32Array.from({ length: columns ** 2 }, (_, at) => (at % (columns + 1) === 0 ? 1 : 0))],
    ),
    codes: Int8Array.from(codes),
    scale: Float32Array.of(1),
    zeroPoint: null,
    groupSize: columns,
    ...codesOf(4),
    rounds: 1,
    scaleDtype: 'F32' as const,
    ...more,
  }
  return { ...input, product: productOf(input) }
}

/** What `refine` has to do; with a `twin` it also has to give the bytes of that. */
export function refineContract(opened: () => Kernels, twin?: Kernels): void {
  test.each(goldens.cases)('refine reaches the losses of torch in float64 within 0.1 %: $name', async (golden) => {
    const { rows, columns } = goldens
    const weight = Float32Array.from(goldens.weight)
    const hessian = symmetric(goldens.hessian, columns)
    for (const [rounds, expected] of golden.losses.entries()) {
      const input = {
        ...golden,
        rows,
        columns,
        weight,
        hessian,
        codes: golden.float ? Uint8Array.from(golden.codes) : Int8Array.from(golden.codes),
        scale: Float32Array.from(golden.scale),
        zeroPoint: golden.zeroPoint && Int8Array.from(golden.zeroPoint),
        rounds,
      }
      const { loss } = await opened().refine({ ...input, product: productOf(input) })
      for (const [row, value] of expected.entries()) expect(Math.abs((loss[row] ?? 0) / value - 1)).toBeLessThan(1e-3)
    }
  })

  test('refine never raises the loss of a row, reports it, and leaves codes and scales that can be stored', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const input = randomRefine(shape)
        let before = lossOf(input, input)
        for (const rounds of [1, 2, 3]) {
          const found = await opened().refine({ ...input, rounds })
          const loss = lossOf(input, found)
          for (const [row, value] of loss.entries()) {
            // H e is kept in float32 while the first of it, of bad scales, may be some thousand times larger than what is left.
            const slack = 1e-5 * ((before[row] ?? 0) + 1e-3)
            expect(value).toBeLessThanOrEqual((before[row] ?? 0) + slack)
            expect(Math.abs((found.loss[row] ?? Number.NaN) - value)).toBeLessThanOrEqual(1e-4 * (value + 1e-3))
          }
          if (!input.float) expect(found.codes.every((code) => input.min <= code && code <= input.max)).toBe(true)
          const stored = input.scaleDtype ? found.scale.slice() : input.scale
          if (input.scaleDtype) roundToDtype(stored, input.scaleDtype)
          expect(bytes(found.scale).equals(bytes(stored))).toBe(true)
          before = loss
        }
      }),
      { numRuns: 25 },
    )
  })

  test('refine without rounds hands codes and scales back and finds their loss', async () => {
    const { codes, scale, loss } = await opened().refine(simple([1.5, -2, 0.25], [1, -2, 1], { rounds: 0 }))
    expect(Array.from(codes)).toEqual([1, -2, 1])
    expect(Array.from(scale)).toEqual([1])
    expect(Array.from(loss)).toEqual([0.25 + 0.5625])
  })

  test('refine fits the scale, rounded to its type, then rounds each code half to even within its range', async () => {
    // Least squares: 1.3 to any precision; bfloat16 has 1.296875 next to it.
    const exact = simple([1.3, 2.6, -3.9], [1, 2, -3])
    expect((await opened().refine(exact)).scale[0]).toBeCloseTo(1.3, 5)
    expect((await opened().refine({ ...exact, scaleDtype: 'BF16' })).scale[0]).toBe(1.296875)
    expect((await opened().refine({ ...exact, scaleDtype: 'F16' })).scale[0]).toBe(1.2998046875)
    // A scale that fits already: codes alone.
    const codes = await opened().refine(simple([7, 20, -20, 2.5, 3.5, 0], [7, 7, -8, 0, 0, 3], { min: -8, max: 7, scaleDtype: 'BF16' }))
    expect(codes.loss[0]).toBeLessThan(13 ** 2 + 12 ** 2 + 2.5 ** 2 + 3.5 ** 2 + 9)
    expect(Array.from(codes.codes.subarray(0, 3))).toEqual([7, 7, -8])
  })

  test('refine keeps a scale that would more than double, lose its sign or vanish, and one of codes that are all zero', async () => {
    // Codes that cannot move, so that only scales could.
    const still = { min: 1, max: 1 }
    expect((await opened().refine(simple([2.5, 2.5], [1, 1], still))).scale[0]).toBe(1)
    expect((await opened().refine(simple([-1, -1], [1, 1], still))).scale[0]).toBe(1)
    expect((await opened().refine(simple([0.4, 0.4], [1, 1], still))).scale[0]).toBe(1)
    expect((await opened().refine(simple([1.9, 1.9], [1, 1], still))).scale[0]).toBeCloseTo(1.9, 4)
    const tiny = { ...still, scaleDtype: 'F16' as const, scale: Float32Array.of(2 ** -24) }
    expect((await opened().refine(simple([2 ** -25, 2 ** -25], [1, 1], tiny))).scale[0]).toBe(2 ** -24)
    const empty = await opened().refine(simple([3, 3], [0, 0], { min: 0, max: 0 }))
    expect([empty.scale[0], empty.loss[0]]).toEqual([1, 18])
  })

  test('refine takes zero points off before and puts them back after, with scales of either sign', async () => {
    const { codes, loss } = await opened().refine(simple([-3, 2, 1], [0, 0, 0], { scale: Float32Array.of(-1), zeroPoint: Int8Array.of(2) }))
    expect(Array.from(codes)).toEqual([5, 0, 1])
    expect(loss[0]).toBeCloseTo(0, 6)
  })

  test('refine moves float codes to the nearest float, half to even, and leaves scales that are to stay', async () => {
    const values = [0.25, 0.75, -2.5, 3.4, 7, -0.1]
    const float = { ...codesOf('E2M1'), codes: new Uint8Array(values.length), scaleDtype: null }
    const { codes, scale, loss } = await opened().refine(simple(values, [], float))
    expect(Array.from(codes)).toEqual([0, 2, 12, 5, 7, 0])
    expect(Array.from(scale)).toEqual([1])
    expect(loss[0]).toBeCloseTo(0.25 ** 2 * 2 + 0.5 ** 2 + 0.4 ** 2 + 1 + 0.1 ** 2, 6)
    const negative = { ...float, codes: Uint8Array.of(8), rounds: 0 }
    expect(Array.from((await opened().refine(simple([-0.1], [], negative))).codes)).toEqual([8])
  })

  test('refine leaves its inputs as they are', async () => {
    const shape = { rows: 5, groups: 2, groupSize: 12, rounds: 2, seed: 5, asymmetric: true, scaleDtype: 'BF16' as const, codes: 4 }
    const input = randomRefine(shape)
    await opened().refine(input)
    expect(input).toEqual(randomRefine(shape))
  })

  test('refine shows a NaN weight in the loss of its row and of no other', async () => {
    const shape = { rows: 5, groups: 2, groupSize: 12, rounds: 2, seed: 5, asymmetric: false, scaleDtype: 'F32' as const, codes: 4 }
    const input = randomRefine(shape)
    const weight = input.weight.fill(Number.NaN, 2 * 24 + 3, 2 * 24 + 4)
    const { loss } = await opened().refine({ ...input, product: productOf({ ...input, weight }) })
    expect(Array.from(loss, Number.isNaN)).toEqual([false, false, true, false, false])
  })

  test('refine refuses sizes and Hessians that make no sense, by name', async () => {
    const input = simple([1, 2, 3], [1, 2, 3])
    const kernels = opened()
    await expect(kernels.refine({ ...input, groupSize: 2 })).rejects.toThrow('groups of 2, expected a divisor of the 3 columns')
    await expect(kernels.refine({ ...input, product: new Float32Array(2) })).rejects.toThrow('product has 2 values, expected 3')
    await expect(kernels.refine({ ...input, rounds: -1 })).rejects.toThrow('rounds is -1, expected 0 or more')
    await expect(kernels.refine({ ...input, max: 200 })).rejects.toThrow('codes -8 to 200')
    await expect(kernels.refine({ ...input, float: 'E2M1' })).rejects.toThrow('codes -8 to 7, expected -6 to 6 for E2M1')
    const hessian = new SymmetricMatrix([0, 3], [input.hessian.block(0, 3, 0, 3).fill(0, 4, 5)])
    await expect(kernels.refine({ ...input, hessian })).rejects.toThrow('the diagonal of the Hessian at column 1 is 0')
  })

  if (!twin) return
  test('refine gives the bytes of the reference for any shape, scheme and type of scale', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const input = randomRefine(shape)
        const [found, expected] = [await opened().refine(input), await twin.refine(input)]
        for (const key of ['codes', 'scale', 'loss'] as const) expect(bytes(found[key]).equals(bytes(expected[key]))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })
}
