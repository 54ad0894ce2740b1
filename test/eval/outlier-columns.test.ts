import { expect, test } from 'vitest'
import { multiplyLlmInt8 } from '../../src/eval/llm-int8.ts'
import { addOutliers, outlierSentence, type SeenOutliers } from '../../src/eval/outlier-columns.ts'
import { quantizeLlmInt8Inputs } from '../../src/schemes/bitsandbytes.ts'

const [TOKENS, COLUMNS, PLANTED] = [8, 32, 7]

/** Values within 1 and one column of 50s, through LLM.int8 by an identity: the mean squared error, and the columns that were left. */
function through(threshold: number): { error: number; left: number[] } {
  const x = Float32Array.from({ length: TOKENS * COLUMNS }, (_, i) => (i % COLUMNS === PLANTED ? 50 : Math.sin(i * i)))
  const identity = { magnitudes: new Float32Array(COLUMNS).fill(1), bias: null }
  const [found] = multiplyLlmInt8(x, TOKENS, threshold, [identity], (codes) => [codes.map((value) => 127 * value)])
  const error = found.reduce((sum, value, i) => sum + (value - x[i]) ** 2, 0) / x.length
  const { isOutlier } = quantizeLlmInt8Inputs(x, TOKENS, COLUMNS, threshold)
  return { error, left: [...isOutlier].flatMap((one, c) => (one ? [c] : [])) }
}

test('a column of 50s is the one that is left, and without a threshold the others pay for it', () => {
  const [six, off, above] = [through(6), through(0), through(51)]
  expect(six.left).toEqual([PLANTED])
  expect([off.left, above.left]).toEqual([[], []])
  expect(six.error).toBeLessThan(1e-5)
  expect(off.error).toBeGreaterThan(100 * six.error)
  expect(above.error).toBe(off.error)
})

test('columns of several batches are counted once', () => {
  const seen: SeenOutliers = new Map()
  for (const batch of [
    [1, 0, 0],
    [1, 0, 1],
  ])
    addOutliers(seen, 'q', Uint8Array.from(batch))
  expect([...(seen.get('q') ?? [])]).toEqual([1, 0, 1])
})

test('a line says how many there are and where most are', () => {
  expect(outlierSentence({ threshold: 6, columns: 0, of: 64, linears: {} })).toMatch(/left 0 of 64 columns/)
  expect(outlierSentence({ threshold: 6, columns: 4, of: 64, linears: { a: 1, b: 3 } })).toMatch(
    /left 4 of 64 .*in 2 linears; b has the most, 3/,
  )
  expect(outlierSentence({ threshold: 0, columns: 0, of: 64, linears: {} })).toContain('threshold 0 leaves no column')
})
