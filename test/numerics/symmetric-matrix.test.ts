import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { SymmetricMatrix } from '../../src/numerics/symmetric-matrix.ts'
import { seededUint32 } from '../../src/util/rng.ts'

/** A symmetric matrix with its bands. */
function example(cuts: readonly number[]): { n: number; dense: Float32Array; matrix: SymmetricMatrix } {
  const n = cuts[cuts.length - 1]
  const next = seededUint32(n)
  const dense = new Float32Array(n * n)
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) dense[i * n + j] = dense[j * n + i] = next() % 1000
  const bands = cuts.slice(1).map((to, i) => Float32Array.from(slice(dense, n, cuts[i], to, cuts[i], n)))
  return { n, dense, matrix: new SymmetricMatrix(cuts, bands) }
}

function slice(dense: Float32Array, n: number, top: number, bottom: number, left: number, right: number): number[] {
  return Array.from({ length: bottom - top }, (_, row) => [...dense.subarray((top + row) * n + left, (top + row) * n + right)]).flat()
}

/** Large arrays: toEqual would take a minute. */
function isSame(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, 0, a.byteLength).equals(Buffer.from(b.buffer, 0, b.byteLength))
}

const cutsOf = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 4 }).map((heights) => {
  const cuts = [0]
  for (const height of heights) cuts.push(cuts[cuts.length - 1] + height)
  return cuts
})

describe('SymmetricMatrix', () => {
  test('a block is that of the whole matrix, wherever bands begin', () => {
    const corners = fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat())
    fc.assert(
      fc.property(cutsOf, corners, (cuts, picks) => {
        const { n, dense, matrix } = example(cuts)
        const [a, b, c, d] = picks.map((pick) => pick % (n + 1))
        const [top, bottom, left, right] = [Math.min(a, b), Math.max(a, b), Math.min(c, d), Math.max(c, d)]
        expect(isSame(matrix.block(top, bottom, left, right), Float32Array.from(slice(dense, n, top, bottom, left, right)))).toBe(true)
      }),
    )
  })

  test('permuted has rows and columns in the order asked for', () => {
    fc.assert(
      fc.property(cutsOf, fc.integer(), (cuts, seed) => {
        const { n, dense, matrix } = example(cuts)
        const next = seededUint32(seed)
        const keys = Float64Array.from({ length: n }, () => next())
        const order = Int32Array.from(keys.keys()).sort((i, j) => keys[i] - keys[j])
        const expected = Float32Array.from(dense, (_, at) => dense[order[Math.floor(at / n)] * n + order[at % n]])
        expect(isSame(matrix.permuted(order), expected)).toBe(true)
      }),
    )
  })

  it('gives and takes its diagonal, and is divided as a whole', () => {
    const { n, dense, matrix } = example([0, 3, 4, 9])
    const diagonal = Float32Array.from({ length: n }, (_, j) => dense[j * n + j])
    expect(matrix.diagonal()).toEqual(diagonal)
    matrix.setDiagonal(diagonal.map((value) => value + 1))
    const raised = Float32Array.from(dense, (value, at) => (at % (n + 1) === 0 ? value + 1 : value))
    expect(matrix.block(0, n, 0, n)).toEqual(raised)
    matrix.divide(4)
    expect(matrix.block(0, n, 0, n)).toEqual(raised.map((value) => value / 4))
  })

  it('waits on a shelf and comes back, once', async () => {
    const { n, dense, matrix } = example([0, 3, 4, 9])
    const held = new Set<Float32Array>()
    const shelf = {
      put: async (values: Float32Array) => {
        held.add(values)
        return async () => {
          held.delete(values)
          return values
        }
      },
    }
    await matrix.restore()
    await matrix.park(shelf)
    await matrix.park(shelf)
    expect([...held].map(({ length }) => length)).toEqual([27, 6, 25])
    await matrix.restore()
    await matrix.restore()
    expect(held.size).toBe(0)
    expect(matrix.block(0, n, 0, n)).toEqual(dense)
  })

  it('refuses bands of another size', () => {
    expect(() => new SymmetricMatrix([0, 2], [new Float32Array(3)])).toThrow('band 0: it has 3 elements, expected 4')
  })
})
