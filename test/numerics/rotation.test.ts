import { describe, expect, test } from 'vitest'
import { type Rotation, type RotationType, rotateColumns, rotateRows, rotationOf } from '../../src/numerics/rotation.ts'
import { seededUint32 } from '../../src/util/rng.ts'

const TYPES: RotationType[] = ['hadamard', 'random-hadamard', 'random-matrix']

function known(type: RotationType, size: number, seed = 0): Rotation {
  const rotation = rotationOf(type, size, seed)
  if (!rotation) throw new Error(`no rotation of ${size}`)
  return rotation
}

/** Q [size, size]: what the rows of the identity become. */
function matrixOf({ size, rotate }: Rotation): Float64Array {
  const identity = new Float64Array(size * size)
  for (let i = 0; i < size; i++) identity[i * size + i] = 1
  rotate(identity)
  return identity
}

function random(length: number): Float32Array {
  const next = seededUint32(length)
  return Float32Array.from({ length }, () => next() / 2 ** 31 - 1)
}

function largestDifference(a: Float32Array, b: (i: number) => number): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b(i))), 0)
}

describe('rotationOf', () => {
  test('hadamard of a power of two is Sylvester’s matrix: the sign is the parity of the bits that row and column share', () => {
    const q = matrixOf(known('hadamard', 16))
    const parity = (n: number): number => (n === 0 ? 0 : (n & 1) ^ parity(n >> 1))
    expect([...q]).toEqual(Array.from(q, (_, at) => (parity((at >> 4) & at & 15) ? -0.25 : 0.25)))
  })

  test.each(TYPES.flatMap((type) => [8, 12, 24, 36, 64, 144].map((size) => [type, size] as const)))(
    '%s of %d is orthogonal',
    (type, size) => {
      const q = matrixOf(known(type, size))
      let worst = 0
      for (let i = 0; i < size; i++) {
        for (let j = 0; j <= i; j++) {
          let sum = 0
          for (let k = 0; k < size; k++) sum += q[i * size + k] * q[j * size + k]
          worst = Math.max(worst, Math.abs(sum - (i === j ? 1 : 0)))
        }
      }
      expect(worst).toBeLessThan(1e-13)
    },
  )

  test.each(TYPES)('%s spreads one outlier over all channels: no element of the result is above an eighth of it', (type) => {
    const vector = new Float64Array(576)
    vector[100] = 1
    known(type, 576).rotate(vector)
    expect(vector.every((value) => Math.abs(value) < 0.125)).toBe(true)
  })

  test('random types follow the seed; hadamard does not', () => {
    const same = (type: RotationType) =>
      Buffer.from(matrixOf(known(type, 24, 1)).buffer).equals(Buffer.from(matrixOf(known(type, 24, 2)).buffer))
    expect(TYPES.map(same)).toEqual([true, false, false])
  })

  test('is null where no Hadamard matrix is known, but for random-matrix', () => {
    expect(TYPES.map((type) => rotationOf(type, 172, 0)?.size)).toEqual([undefined, undefined, 172])
  })
})

describe('rotateColumns and rotateRows', () => {
  const [rows, columns] = [48, 24]
  const w = random(rows * columns)

  test.each(TYPES)('%s: W Q is the product with the matrix', (type) => {
    const rotation = known(type, columns)
    const q = matrixOf(rotation)
    const rotated = w.slice()
    rotateColumns(rotated, rotation)
    const expected = (i: number) => {
      let sum = 0
      for (let k = 0; k < columns; k++) sum += w[Math.floor(i / columns) * columns + k] * q[k * columns + (i % columns)]
      return sum
    }
    expect(largestDifference(rotated, expected)).toBeLessThan(1e-6)
  })

  test.each(TYPES)('%s: Qᵀ W is the product with the matrix, block by block where it is smaller than the rows', (type) => {
    const rotation = known(type, 12)
    const q = matrixOf(rotation)
    const rotated = w.slice()
    rotateRows(rotated, columns, rotation)
    const expected = (i: number) => {
      const row = Math.floor(i / columns)
      const top = row - (row % 12)
      let sum = 0
      for (let k = 0; k < 12; k++) sum += q[k * 12 + row - top] * w[(top + k) * columns + (i % columns)]
      return sum
    }
    expect(largestDifference(rotated, expected)).toBeLessThan(1e-6)
  })
})
