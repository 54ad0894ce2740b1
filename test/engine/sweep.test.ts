import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sweep } from '../../src/engine/sweep.ts'
import type { Kernels, SweepInput } from '../../src/kernels/kernels.ts'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { wasmKernels } from '../../src/kernels/wasm.ts'
import { bytes, type Codes, codesOf, generator, randomHessian } from '../kernels/random.ts'
import { hasNative, useEngine } from './engines.ts'

interface Shape {
  rows: number
  columns: number
  groups: number
  seed: number
  asymmetric: boolean
  ordered: boolean
  codes: Codes
}

const reference = referenceKernels()

/** A sweep with the factor of a random Hessian, in a random order where `ordered`. */
async function randomSweep({ rows, columns, groups, seed, asymmetric, ordered, codes }: Shape): Promise<SweepInput> {
  const next = generator(seed)
  const { float, min, max } = codesOf(codes)
  const factor = await reference.inverseFactor(randomHessian(columns, seed), columns)
  if (!factor) throw new Error('a positive definite matrix was refused')
  const keys = Float64Array.from({ length: columns }, next)
  const order = Int32Array.from(keys.keys())
  if (ordered) order.sort((a, b) => keys[a] - keys[b])
  return {
    rows,
    columns,
    weight: Float32Array.from({ length: rows * columns }, next),
    ...(ordered && { order }),
    factor,
    scale: Float32Array.from({ length: rows * groups }, () => ((1.2 + 0.5 * next()) / max) * (next() < -0.5 ? -1 : 1)),
    zeroPoint: asymmetric && !float ? Int8Array.from({ length: rows * groups }, () => Math.round(0.4 * max * next())) : null,
    groups,
    groupOf: order.map((column) => Math.floor((column * groups) / columns)),
    ...{ float, min, max },
  }
}

const sum = (values: Float32Array): number => values.reduce((all, value) => all + value, 0)

/** Blocks of 48 columns at most, 5000 elements at a time: several of both in small matrices. */
const small = { fewest: 1, block: 48, strip: 5000 }

describe.runIf(hasNative)('sweep on TensorFlow', () => {
  useEngine('native')
  let kernels: Kernels
  beforeAll(async () => {
    kernels = await wasmKernels({ threads: 2 })
  })
  afterAll(() => kernels.close())

  it('gives the codes and losses of the kernel but for few, for any shape, scheme and order', async () => {
    const shape = fc.record({
      rows: fc.integer({ min: 1, max: 70 }),
      columns: fc.integer({ min: 1, max: 260 }),
      groups: fc.integer({ min: 1, max: 5 }),
      seed: fc.integer(),
      asymmetric: fc.boolean(),
      ordered: fc.boolean(),
      codes: fc.constantFrom<Codes>(2, 3, 4, 8, 'E4M3', 'E2M1'),
    })
    let [differing, all] = [0, 0]
    await fc.assert(
      fc.asyncProperty(shape, async (value) => {
        const input = await randomSweep({ ...value, groups: Math.min(value.groups, value.columns) })
        const [found, plain] = [await sweep(kernels, input, small), await kernels.sweep(input)]
        expect(found.codes.constructor).toBe(plain.codes.constructor)
        expect(found.codes.length).toBe(plain.codes.length)
        const differ = found.codes.filter((code, at) => code !== plain.codes[at]).length
        // A weight that is rounded to another code moves the later ones of its row, so one row in a few hundred differs in many.
        const rows = new Set(
          [...found.codes.keys()].filter((at) => found.codes[at] !== plain.codes[at]).map((at) => Math.floor(at / value.columns)),
        )
        expect(rows.size).toBeLessThanOrEqual(Math.max(1, 0.1 * value.rows))
        if (differ === 0)
          for (const [row, loss] of plain.loss.entries()) expect(Math.abs(found.loss[row] - loss)).toBeLessThanOrEqual(1e-4 * loss)
        differing += differ
        all += found.codes.length
      }),
      { numRuns: 60 },
    )
    expect(differing / all).toBeLessThan(5e-3)
  })

  it.each([4, 'E4M3'] as const)('loses as much as the kernel, codes %s', async (codes) => {
    const input = await randomSweep({ rows: 256, columns: 256, groups: 4, seed: 5, asymmetric: true, ordered: true, codes })
    const [found, plain] = [await sweep(kernels, input, small), await kernels.sweep(input)]
    expect(Math.abs(sum(found.loss) / sum(plain.loss) - 1)).toBeLessThan(1e-3)
  })

  it('gives the same bytes with the kernels in plain TypeScript', async () => {
    const input = await randomSweep({ rows: 37, columns: 203, groups: 3, seed: 3, asymmetric: true, ordered: true, codes: 4 })
    const [found, expected] = [await sweep(kernels, input, small), await sweep(reference, input, small)]
    expect(bytes(found.codes).equals(bytes(expected.codes))).toBe(true)
    expect(bytes(found.loss).equals(bytes(expected.loss))).toBe(true)
  })

  it('gives rows the codes that they have among fewer', async () => {
    const [rows, columns] = [672, 1024]
    const input = await randomSweep({ rows, columns, groups: 8, seed: 6, asymmetric: true, ordered: true, codes: 4 })
    const { codes } = await sweep(kernels, input)
    for (const [top, bottom] of [
      [0, 512],
      [512, 640],
      [640, 672],
    ]) {
      const of = <T extends Float32Array | Int8Array>(values: T, width: number) => values.subarray(top * width, bottom * width) as T
      const { weight, scale, zeroPoint, groups } = input
      const some = { weight: of(weight, columns), scale: of(scale, groups), zeroPoint: zeroPoint && of(zeroPoint, groups) }
      const alone = await sweep(kernels, { ...input, ...some, rows: bottom - top })
      expect(bytes(alone.codes).equals(bytes(codes.subarray(top * columns, bottom * columns)))).toBe(true)
    }
  })

  it('leaves small matrices to the kernel', async () => {
    const input = await randomSweep({ rows: 19, columns: 100, groups: 1, seed: 4, asymmetric: false, ordered: true, codes: 4 })
    expect(await sweep(kernels, input)).toEqual(await kernels.sweep(input))
  })

  it('shows a NaN weight in the loss of its row and of no other', async () => {
    const input = await randomSweep({ rows: 5, columns: 100, groups: 1, seed: 7, asymmetric: false, ordered: true, codes: 4 })
    input.weight[2 * 100 + 4] = Number.NaN
    const { loss } = await sweep(kernels, input, small)
    expect(Array.from(loss, Number.isNaN)).toEqual([false, false, true, false, false])
  })

  it('leaves no tensor behind, nor where the kernel fails', async () => {
    const before = tf.memory().numTensors
    const input = await randomSweep({ rows: 70, columns: 150, groups: 1, seed: 8, asymmetric: false, ordered: true, codes: 4 })
    await sweep(kernels, input, small)
    expect(tf.memory().numTensors).toBe(before)
    await expect(sweep(kernels, { ...input, max: 255 }, small)).rejects.toThrow('codes -8 to 255')
    let calls = 0
    const failing: Kernels = {
      ...reference,
      sweep: (part) => (++calls === 3 ? Promise.reject(new Error('out of order')) : reference.sweep(part)),
    }
    await expect(sweep(failing, input, small)).rejects.toThrow('out of order')
    expect(tf.memory().numTensors).toBe(before)
  })

  it('gives the same bytes for 1, 2 and 4 threads', { timeout: 120_000 }, async () => {
    const dist = (path: string) => JSON.stringify(new URL(`../../dist/${path}`, import.meta.url).href)
    const program = (threads: number) => `
      import { createHash } from 'node:crypto'
      import { openEngine } from ${dist('engine/open.js')}
      import { openKernels } from ${dist('kernels/open.js')}
      const threads = ${threads}
      const { sweep } = await openEngine({ engine: 'native', threads })
      const kernels = await openKernels({ threads })
      const [rows, columns] = [300, 1040]
      const weight = Float32Array.from({ length: rows * columns }, (_, at) => Math.sin(at))
      const factor = Float32Array.from({ length: columns ** 2 }, (_, at) => {
        const [i, j] = [Math.floor(at / columns), at % columns]
        return i > j ? 0 : i === j ? 2 : Math.cos(i * j) / 32
      })
      const groupOf = new Int32Array(columns)
      const scale = new Float32Array(rows).fill(1 / 7)
      const input = { rows, columns, weight, factor, scale, zeroPoint: null, groups: 1, groupOf, float: null, min: -8, max: 7 }
      const { codes, loss } = await sweep(kernels, input)
      console.log(createHash('sha256').update(codes).update(loss).digest('hex'))
      await kernels.close()
    `
    const found = []
    for (const threads of [1, 2, 4]) {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program(threads)])
      found.push(stdout)
    }
    expect(found[0]).toMatch(/^[0-9a-f]{64}\n$/)
    expect(new Set(found).size).toBe(1)
  })
})
