import { describe, expect, test } from 'vitest'
import { keyFigures, verdictOn } from '../../src/report/verdict.ts'
import { recordOf } from './runs.ts'

describe('verdictOn()', () => {
  test('says what was saved and lost, and which linear is the worst', () => {
    const record = recordOf()
    record.linears[2].error = 0.03
    expect(verdictOn(record)).toEqual({
      grade: 'good',
      text: '2.50 times smaller. Half of the linears lose less than 1.00 % of their weights, as squared error; the worst is model.layers.1.self_attn.v_proj with 3.00 %. Nothing fell back, and nothing was warned of.',
    })
  })

  test('says what a method gains over plain rounding', () => {
    expect(verdictOn(recordOf({}, { errorOf: 'outputs', rtnError: 0.04 })).text).toContain(
      'The error is 75.0 % less than with plain rounding.',
    )
  })

  test('a fallback or a warning is worth a look, a linear that is lost is poor', () => {
    expect(verdictOn(recordOf({}, { fallback: 'RTN: no damping helped' }))).toMatchObject({ grade: 'check' })
    expect(verdictOn(recordOf({ warnings: ['odd'] })).text).toContain('But there is 1 warning: see below.')
    expect(verdictOn(recordOf({}, { error: 0.6 }))).toMatchObject({ grade: 'poor' })
  })
})

describe('keyFigures()', () => {
  test('leave out what was not measured', () => {
    expect(keyFigures(recordOf()).map(({ name }) => name)).toEqual(['Size', 'Median error', 'Worst linear', 'Linears', 'Time', 'Data'])
  })
})
