import { describe, expect, test } from 'vitest'
import { leversOf } from '../../../src/modifiers/gptq/quality.ts'

describe('leversOf()', () => {
  test('each level does what the one before it does, and more', () => {
    const [fast, balanced, best] = (['fast', 'balanced', 'best'] as const).map((quality) => leversOf({ quality }))
    expect(fast).toMatchObject({
      scaleSearch: 'conditional_variance',
      signedScales: false,
      refinementRounds: 0,
      inputTarget: 0,
      residualTarget: 0,
    })
    expect(balanced).toEqual({ ...fast, signedScales: true, refinementRounds: 3 })
    expect(best).toEqual({ ...balanced, inputTarget: expect.any(Number), residualTarget: expect.any(Number) })
    expect(Math.min(best.inputTarget, best.residualTarget)).toBeGreaterThan(0)
  })

  test('balanced is what happens when nothing is said', () => {
    expect(leversOf({})).toEqual(leversOf({ quality: 'balanced' }))
  })

  test.each([
    ['scale_search', 'scaleSearch', 'observer'],
    ['signed_scales', 'signedScales', false],
    ['refinement_rounds', 'refinementRounds', 0],
    ['input_target', 'inputTarget', 0],
    ['residual_target', 'residualTarget', 0],
  ] as const)('%s is an option of its own, zero and false too; null leaves it to the level', (option, lever, value) => {
    expect(leversOf({ quality: 'best', [option]: value })).toEqual({ ...leversOf({ quality: 'best' }), [lever]: value })
    expect(leversOf({ quality: 'best', [option]: null })).toEqual(leversOf({ quality: 'best' }))
  })
})
