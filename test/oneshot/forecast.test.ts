import { describe, expect, test } from 'vitest'
import { countFlops } from '../../src/oneshot/flops.ts'
import { forecastRun } from '../../src/oneshot/forecast.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { UserError } from '../../src/util/errors.ts'
import { TINY } from './runs.ts'

const planned = (recipe: string | object) => planRun({ model: TINY, recipe, output: 'unused' })
const shape = { rows: 8, tokens: 512, length: 64 }

describe('countFlops()', () => {
  test('two for each weight and token, and attention, where nothing is measured', async () => {
    const plan = await planned('FP8')
    const weights = 2 * (128 * (128 + 64 + 64 + 128) + 3 * 128 * 256)
    expect(countFlops(plan, shape)).toBeCloseTo(2 * 512 * weights + 4 * 2 * 512 * 0.6 * 64 * 128, 0)
    await plan.close()
  })

  test('grows linearly with rows of one length beyond what a weight takes', async () => {
    const plan = await planned('gptq-w4a16')
    const [one, two, three] = [1, 2, 3].map((n) => countFlops(plan, { rows: 8 * n, tokens: 512 * n, length: 64 }))
    expect(three - two).toBeCloseTo(two - one, 0)
    expect(one).toBeGreaterThan(two - one)
    await plan.close()
  })
})

describe('forecastRun()', () => {
  test('foretells memory, scratch, output and time of a run with data', async () => {
    const plan = await planned('gptq-w4a16')
    const forecast = await forecastRun(plan, { engine: 'wasm', numCalibrationSamples: 8, maxSeqLength: 64, maxMemory: '2GB' })
    expect(forecast).toMatchObject({ rows: shape, engine: 'wasm', parked: false, output: plan.size.after, memory: { allowed: 2e9 } })
    expect(forecast.scratch).toBe(2 * 512 * 128 * 4)
    expect(forecast.time?.gflops).toBeGreaterThan(0)
    expect(forecast.time?.seconds).toBeCloseTo(countFlops(plan, shape) / ((forecast.time?.gflops ?? 0) * 1e9))
    await plan.close()
  })

  test('needs no engine and foretells no time where no data is needed', async () => {
    const plan = await planned('W4A16')
    expect(await forecastRun(plan)).toMatchObject({ rows: null, engine: 'none', scratch: 0, time: null })
    await plan.close()
  })

  test.each([
    ['memory that is not enough', { maxMemory: '10MB' }, /^Cannot compress model\.layers\.\d · .*expected --max-memory 0\.\dGB or more/],
    ['rows beyond the positions', { maxSeqLength: 257 }, 'the model has 256 positions'],
  ])('refuses %s', async (_, options, message) => {
    const plan = await planned('gptq-w4a16')
    const refused = forecastRun(plan, { engine: 'wasm', ...options })
    await expect(refused).rejects.toThrow(UserError)
    await expect(refused).rejects.toThrow(message)
    await plan.close()
  })
})
