import { describe, expect, test } from 'vitest'
import { chooseToken, type Sampling } from '../../../src/eval/generation/sample.ts'

const all: Sampling = { greedy: false, temperature: 1, topK: 0, topP: 1, seed: 7 }

/** Probabilities 0.5, 0.25, 0.125, 0.0625, 0.0625 at tokens 3, 0, 4, 1, 2. */
const logits = Float32Array.of(-2, -4, -4, -1, -3).map((power) => power * Math.LN2)

function shares(sampling: Partial<Sampling>, draws = 4000): number[] {
  const counts = [0, 0, 0, 0, 0]
  for (let step = 0; step < draws; step++) counts[chooseToken(logits, { ...all, ...sampling }, step)]++
  return counts.map((count) => count / draws)
}

function expectShares(found: number[], expected: number[]): void {
  for (const [id, share] of expected.entries()) {
    // Four standard deviations of 4000 draws; none at all where the share is all or nothing.
    expect(Math.abs(found[id] - share), `token ${id}`).toBeLessThanOrEqual(4 * Math.sqrt((share * (1 - share)) / 4000))
  }
}

describe('chooseToken', () => {
  test('draws each token as often as it is likely', () => expectShares(shares({}), [0.25, 0.0625, 0.0625, 0.5, 0.125]))
  test('divides by the temperature first', () =>
    expectShares(
      shares({ temperature: 0.5 }),
      [4, 0.25, 0.25, 16, 1].map((x) => x / 21.5),
    ))
  test('keeps the k most likely, and equals of the last', () => {
    expectShares(shares({ topK: 2 }), [1 / 3, 0, 0, 2 / 3, 0])
    expectShares(shares({ topK: 4 }), [0.25, 0.0625, 0.0625, 0.5, 0.125])
  })
  test('keeps the most likely that have the share together: as many as reach it', () => {
    expectShares(shares({ topP: 0.6 }), [1 / 3, 0, 0, 2 / 3, 0])
    expectShares(shares({ topP: 0.5 }), [0, 0, 0, 1, 0])
    expectShares(shares({ topP: 1e-6 }), [0, 0, 0, 1, 0])
    // Of the two that top-k leaves, the share is counted anew.
    expectShares(shares({ topK: 2, topP: 0.66 }), [0, 0, 0, 1, 0])
  })
  test('greedy takes the first of the largest', () => {
    expect(chooseToken(Float32Array.of(1, 5, Number.NaN, 5), { ...all, greedy: true }, 0)).toBe(1)
    expect(() => chooseToken(Float32Array.of(Number.NaN), all, 0)).toThrow('no logit is a number')
  })
  test('two models that differ a little mostly draw the same', () => {
    const other = logits.map((value, id) => value + 0.05 * Math.sin(id))
    let same = 0
    for (let step = 0; step < 1000; step++) if (chooseToken(logits, all, step) === chooseToken(other, all, step)) same++
    expect(same).toBeGreaterThan(950)
  })
})
