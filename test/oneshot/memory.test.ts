import { describe, expect, it } from 'vitest'
import { forecastMemory, requireMemory } from '../../src/oneshot/memory.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { UserError } from '../../src/util/errors.ts'

const planned = () => planRun({ model: 'test/oracles/tiny', recipe: 'gptq-w4a16', output: 'unused' })

describe('forecastMemory()', () => {
  it('grows by the inner width and the residual with every token', async () => {
    const plan = await planned()
    const perToken = (forecastMemory(plan, 1000).engine - forecastMemory(plan, 0).engine) / 1000
    // The tiny model's widest stage is the MLP output: 256 columns beside a residual of 128.
    expect(perToken).toBe((256 + 128) * 4)
    await plan.close()
  })

  it('counts both models where the originals go beside, and the outputs that are worked out ahead', async () => {
    const recipe = { GPTQModifier: { scheme: 'W4A16', targets: 'Linear', ignore: ['lm_head'], quality: 'best' } }
    const plan = await planRun({ model: 'test/oracles/tiny', recipe, output: 'unused' })
    const perToken = (forecastMemory(plan, 1000).engine - forecastMemory(plan, 0).engine) / 1000
    expect(perToken).toBe((2 * (256 + 128) + 128) * 4)
    await plan.close()
  })
})

describe('requireMemory()', () => {
  it('names the number of rows that the wasm engine can hold', async () => {
    const plan = await planned()
    const refused = () => requireMemory(plan, 10_000, 10_000_000, 'wasm')
    expect(refused).toThrow(UserError)
    expect(refused).toThrow(/the wasm engine can hold.*--num-calibration-samples 2\d\d\d/)
    const fitting = /samples (\d+)/.exec(String((await Promise.resolve().then(refused).catch(String)) as string))?.[1]
    expect(() => requireMemory(plan, Number(fitting), Number(fitting) * 1000, 'wasm')).not.toThrow()
    await plan.close()
  })

  it('accepts what fits', async () => {
    const plan = await planned()
    expect(() => requireMemory(plan, 64, 64 * 256, 'wasm')).not.toThrow()
    await plan.close()
  })
})
