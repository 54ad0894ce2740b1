import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isBfloat16 } from '../../src/engine/bfloat16.ts'
import { gramBands, readBands } from '../../src/engine/gram.ts'
import { linearInput, linearMatMul, linearMatrix, linearProduct } from '../../src/engine/mat-mul.ts'
import { openEngine } from '../../src/engine/open.ts'
import { roundsOutputs } from '../../src/engine/precision.ts'
import { applyLinears, disposeLinear, headTensors, linearTensors } from '../../src/models/weights.ts'
import { roundBf16 } from '../../src/numerics/bf16.ts'
import { hasBfloat16, random } from './engines.ts'

const [TOKENS, COLUMNS, ROWS] = [37, 96, 23]

/** x·wᵀ in float64 of values in bfloat16: [rows of x, rows of w]. */
function expected(x: Float32Array, w: Float32Array, columns: number): number[] {
  const [a, b] = [x.slice(), w.slice()]
  roundBf16(a)
  roundBf16(b)
  const out: number[] = []
  for (let i = 0; i < a.length; i += columns) {
    for (let j = 0; j < b.length; j += columns) {
      let sum = 0
      for (let k = 0; k < columns; k++) sum += a[i + k] * b[j + k]
      out.push(sum)
    }
  }
  return out
}

/** Equal but for the rounding of a result to bfloat16, and of a float32 sum where terms cancel. */
function expectRounded(actual: ArrayLike<number>, exact: readonly number[], terms: number): void {
  expect(actual.length).toBe(exact.length)
  for (const [i, value] of exact.entries())
    expect(Math.abs(actual[i] - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8 + terms * 2 ** -23)
  const rounded = Float32Array.from(actual)
  roundBf16(rounded)
  expect(rounded).toEqual(Float32Array.from(actual))
}

describe.runIf(hasBfloat16)('with bfloat16 products', () => {
  const x = random(TOKENS * COLUMNS, 1)
  const w = random(ROWS * COLUMNS, 2)
  const bias = random(ROWS, 3)
  const spec = { name: 'linear', rows: ROWS, columns: COLUMNS, bias: true }
  /** TensorFlow's own count, which has what tfjs knows nothing of. */
  const counted = () => [tf.memory().numTensors, (tf.backend() as unknown as { getNumOfTFTensors(): number }).getNumOfTFTensors()]
  let before: number[]

  beforeEach(async () => {
    await openEngine({ engine: 'native', threads: 2, precision: 'bfloat16' })
    before = counted()
  })
  afterEach(() => {
    expect(counted()).toEqual(before)
  })

  it('factors that are prepared give what linearMatMul gives', () => {
    tf.tidy(() => {
      const [input, weight] = [tf.tensor2d(x, [TOKENS, COLUMNS]), tf.tensor2d(w, [ROWS, COLUMNS])]
      const own = linearProduct(linearInput(input), linearMatrix(w, ROWS, COLUMNS))
      expect(own.dataSync()).toEqual(linearMatMul(input, weight, false, true).dataSync())
    })
  })

  it('inputs go through linears and a head, rounded where the processor rounds outputs', () => {
    const input = tf.tensor2d(x, [TOKENS, COLUMNS])
    const linears = [linearTensors(w, null, spec), headTensors(w, null, spec), linearTensors(w, bias, spec)]
    const outputs = applyLinears(input, linears)
    const exact = expected(x, w, COLUMNS)
    for (const y of outputs) expect(y.shape).toEqual([TOKENS, ROWS])
    if (roundsOutputs()) for (const y of outputs.slice(0, 2)) expectRounded(y.dataSync(), exact, COLUMNS)
    const [plain, , shifted] = outputs.map((y) => y.dataSync())
    expect(shifted).toEqual(plain.map((value, i) => Math.fround(value + bias[i % ROWS])))
    expect(input.dataSync()).toEqual(x)
    linears.forEach(disposeLinear)
    tf.dispose([input, ...outputs])
  })

  it('outputs that may be rounded are in bfloat16 where products are, but for those with a bias', () => {
    const input = tf.tensor2d(x, [TOKENS, COLUMNS])
    const linears = [linearTensors(w, null, spec), linearTensors(w, bias, spec)]
    const [plain, shifted] = applyLinears(input, linears)
    const [rounded, alsoShifted] = applyLinears(input, linears, true)
    expect([plain, shifted, alsoShifted].some(isBfloat16)).toBe(false)
    expect(isBfloat16(rounded)).toBe(roundsOutputs())
    // As inputs of the next linear both are the same.
    const square = linearTensors(random(ROWS * ROWS, 4), null, { ...spec, columns: ROWS })
    const next = [plain, rounded].map((own) => applyLinears(own, [square])[0])
    expect(next[1].dataSync()).toEqual(next[0].dataSync())
    ;[...linears, square].forEach(disposeLinear)
    tf.dispose([input, plain, shifted, rounded, alsoShifted, ...next])
  })

  it('leaves nothing behind when a product cannot be', () => {
    const input = tf.tensor2d(x, [COLUMNS, TOKENS])
    const linears = [linearTensors(w, bias, spec)]
    expect(() => applyLinears(input, linears)).toThrow()
    linears.forEach(disposeLinear)
    input.dispose()
  })

  it('sums of one band and of several are rounded ones', async () => {
    for (const columns of [96, 600]) {
      const values = random(TOKENS * columns, columns)
      const turned = values.map((_, at) => values[(at % TOKENS) * columns + Math.floor(at / TOKENS)])
      const bands = tf.tidy(() => gramBands(tf.tensor2d(values, [TOKENS, columns]), [], true))
      expect(bands.length).toBe(columns === 96 ? 1 : 2)
      const found = (await readBands(bands)).block(0, columns, 0, columns)
      if (roundsOutputs()) expectRounded(found, expected(turned, turned, TOKENS), TOKENS)
    }
  })
})
