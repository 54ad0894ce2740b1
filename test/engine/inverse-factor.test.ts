import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it, vi } from 'vitest'
import { inverseFactor } from '../../src/engine/inverse-factor.ts'
import { hasNative, random, useEngine } from './engines.ts'

/** XᵀX / rows plus a little on the diagonal: what GPTQ factors. */
function hessian(n: number, rows: number): Float32Array {
  const x = random(n * rows, n)
  const h = new Float32Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0
      for (let r = 0; r < rows; r++) sum += x[r * n + i] * x[r * n + j]
      h[i * n + j] = sum / rows + (i === j ? 0.01 : 0)
    }
  }
  return h
}

/** The largest element of |UᵀU·H - I|, in float64. */
function deviation(u: Float32Array, h: Float32Array, n: number): number {
  const inverse = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) for (let k = 0; k < n; k++) inverse[i * n + j] += u[k * n + i] * u[k * n + j]
  let worst = 0
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = i === j ? -1 : 0
      for (let k = 0; k < n; k++) sum += inverse[i * n + k] * h[k * n + j]
      worst = Math.max(worst, Math.abs(sum))
    }
  }
  return worst
}

describe.runIf(hasNative)('inverseFactor on TensorFlow', () => {
  useEngine('native')

  it.each([1, 2, 33, 96])('gives an upper U with UᵀU·H = I for n = %i', async (n) => {
    const h = hessian(n, 2 * n)
    const kept = h.slice()
    const u = await inverseFactor(h, n)
    if (u === null) throw new Error('expected a factor')
    expect(deviation(u, kept, n)).toBeLessThan(1e-3)
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) expect(u[i * n + j] === 0).toBe(true)
    expect(u).toBe(h)
  })

  it('gives null for a matrix that is not positive definite', async () => {
    expect(await inverseFactor(Float32Array.of(1, 2, 2, 1), 2)).toBeNull()
    expect(await inverseFactor(Float32Array.of(1, 0, 0, Number.NaN), 2)).toBeNull()
  })

  it.each([192, 200, 383])('gives the same bytes where a matrix is not on the engine whole, from %i on', async (largestWhole) => {
    const n = 400
    const h = hessian(n, 420)
    const [whole, blocks] = [await inverseFactor(h.slice(), n), await inverseFactor(h.slice(), n, largestWhole)]
    expect(whole?.every((value, i) => value === blocks?.[i])).toBe(true)
  })

  it.each([8, 13, 20])('leaves no tensor on the engine when its operation %i fails', async (nth) => {
    const before = tf.memory().numTensors
    const backend = tf.backend() as unknown as { executeSingleOutput(...operands: unknown[]): unknown }
    const original = backend.executeSingleOutput
    let calls = 0
    const spy = vi.spyOn(backend, 'executeSingleOutput').mockImplementation(function (this: unknown, ...operands) {
      if (++calls === nth) throw new Error('out of memory')
      return original.apply(this, operands)
    })
    try {
      await expect(inverseFactor(hessian(400, 420), 400, 192)).rejects.toThrow('out of memory')
    } finally {
      spy.mockRestore()
    }
    expect(tf.memory().numTensors).toBe(before)
  })

  it('gives the same factor, but for last bits, where products with a triangle are by several blocks', { timeout: 60_000 }, async () => {
    const n = 2400
    const values = random(n * n, 3)
    const h = new Float32Array(n * n)
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) h[i * n + j] = h[j * n + i] = i === j ? 2 : (0.25 * values[i * n + j]) / Math.sqrt(n)
    const [whole, blocks] = [await inverseFactor(h.slice(), n), await inverseFactor(h.slice(), n, 1250)]
    if (whole === null || blocks === null) throw new Error('expected factors')
    expect(whole.reduce((worst, value, i) => Math.max(worst, Math.abs(value - blocks[i])), 0)).toBeLessThan(1e-6)
  })

  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors
    await inverseFactor(hessian(8, 16), 8)
    await inverseFactor(Float32Array.of(1, 2, 2, 1), 2)
    expect(tf.memory().numTensors).toBe(before)
  })
})
