import type { SmallFloat, SweepInput } from '../../src/kernels/kernels.ts'

/** What codes can be: integers of so many bits, or small floats. */
export type Codes = number | SmallFloat

/** The fields of kernel inputs that say so. */
export function codesOf(codes: Codes): Pick<SweepInput, 'float' | 'min' | 'max'> {
  if (codes === 'E4M3') return { float: codes, min: -448, max: 448 }
  if (codes === 'E2M1') return { float: codes, min: -6, max: 6 }
  return { float: null, min: -(2 ** (codes - 1)), max: 2 ** (codes - 1) - 1 }
}

/** Numbers in -1 .. 1 from a seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1
  }
}

/** XᵀX / n + 0.1 I [n, n]: symmetric to the bit and positive definite. */
export function randomHessian(n: number, seed: number): Float32Array {
  const next = generator(seed)
  const x = Float32Array.from({ length: n * n }, next)
  const h = new Float32Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 0.1 : 0
      for (let k = 0; k < n; k++) sum += ((x[k * n + i] ?? 0) * (x[k * n + j] ?? 0)) / n
      h[i * n + j] = sum
      h[j * n + i] = sum
    }
  }
  return h
}

/** The bytes, so that -0 and 0 differ and any difference shows. */
export const bytes = (array: Float32Array | Float64Array | Int8Array | Uint8Array | Int32Array): Buffer =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength)

/** The largest |found - expected| / (1 + |expected|). */
export function distance(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = 0
  for (let i = 0; i < expected.length; i++) {
    const gap = Math.abs((found[i] ?? Number.NaN) - (expected[i] ?? Number.NaN)) / (1 + Math.abs(expected[i] ?? 0))
    if (!(gap <= worst)) worst = gap
  }
  return worst
}
