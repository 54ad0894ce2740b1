import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine/open.ts'
import { applyLlmInt8, disposeLlmInt8, llmInt8Batch, llmInt8Tensors, multiplyLlmInt8 } from '../../src/eval/llm-int8.ts'
import { referenceMatrices } from '../../src/kernels/reference-matrices.ts'
import { bytesOf } from '../../src/numerics/view.ts'
import { oracleFloats } from '../models/oracles.ts'

const FILE = 'bitsandbytes/int8-linears.safetensors'
const [ROWS, COLUMNS, TOKENS] = [10, 192, 5]

/** Products on the engine that is open. */
function onEngine(
  codes: Float32Array,
  magnitudes: Float32Array,
  bias: Float32Array | null,
  x: Float32Array,
  threshold: number,
): Float32Array {
  const columns = codes.length / magnitudes.length
  const linear = llmInt8Tensors(codes, { magnitudes, bias }, { rows: magnitudes.length, columns })
  const y = tf.tidy(() => applyLlmInt8(llmInt8Batch(x, x.length / columns, columns, threshold), linear).dataSync<'float32'>())
  disposeLlmInt8(linear)
  return y.slice()
}

/** Products by the kernels' matrices. */
function byMatrices(
  codes: Float32Array,
  magnitudes: Float32Array,
  bias: Float32Array | null,
  x: Float32Array,
  threshold: number,
): Float32Array {
  const [rows, columns] = [magnitudes.length, codes.length / magnitudes.length]
  const matrices = referenceMatrices()
  const form = { rows, columns, format: 'int8', groupSize: columns, zeroPoint: null, bias: null } as const
  const number = matrices.add({ ...form, data: bytesOf(Int8Array.from(codes)), scale: new Float32Array(rows).fill(1) })
  const multiply = (both: Float32Array, tokens: number) => matrices.multiply([number], both, tokens)
  return multiplyLlmInt8(x, x.length / columns, threshold, [{ magnitudes, bias }], multiply)[0]
}

describe.each([
  ['on the engine', onEngine],
  ['by the matrices', byMatrices],
])('a linear of LLM.int8 %s', (_, product) => {
  beforeAll(async () => {
    await openEngine({ engine: 'wasm' })
  })

  test.each([0, 6, 12])('is what bitsandbytes computes with a threshold of %d, to the bit where no column is left', (threshold) => {
    const read = (name: string) => oracleFloats(FILE, name)
    const [codes, magnitudes, bias] = [read('codes'), read('magnitudes'), read('bias')]
    expect(codes.length).toBe(ROWS * COLUMNS)
    const found = product(codes, magnitudes, bias, read('x'), threshold)
    const expected = read(`y.${threshold}`)
    expect(found.length).toBe(TOKENS * ROWS)
    if (threshold !== 6) expect(found).toEqual(expected)
    else for (const [i, y] of found.entries()) expect(Math.abs(y - expected[i])).toBeLessThan(4e-6)
  })

  test('gives exact sums of the largest codes, of columns enough for more than 2^24', () => {
    const columns = 3000
    const codes = new Float32Array(2 * columns).fill(127)
    codes[columns] = -126
    const found = product(codes, Float32Array.of(1, 1), null, new Float32Array(columns).fill(1), 0)
    const expected = [columns * 127 * 127, (columns - 1) * 127 * 127 - 126 * 127].map((sum) =>
      Math.fround(Math.fround(sum) * Math.fround(6.200124e-5)),
    )
    expect([...found]).toEqual(expected)
  })
})
