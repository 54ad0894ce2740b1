import { describe, expect, it } from 'vitest'
import { forecastMemory, placeRun, type RowsShape, requireScratch, shapeOf } from '../../src/oneshot/memory.ts'
import { type Plan, planRun } from '../../src/oneshot/plan.ts'
import { UserError } from '../../src/util/errors.ts'

const planned = (recipe: string | object = 'gptq-w4a16') => planRun({ model: 'test/oracles/tiny', recipe, output: 'unused' })

const rows = (tokens: number): RowsShape => ({ rows: tokens / 100, tokens, length: 100 })

/** Bytes that one more token takes. */
const perToken = (plan: Plan, parked: boolean) =>
  (forecastMemory(plan, rows(200_000), 'wasm', parked).total - forecastMemory(plan, rows(100_000), 'wasm', parked).total) / 100_000

const asked = (bytes: number) => ({ bytes, asked: true })

describe('forecastMemory()', () => {
  it('grows by the inner width and the residual with every token', async () => {
    const plan = await planned()
    // The tiny model's widest stage is the MLP output: 256 columns beside a residual of 128.
    expect(perToken(plan, false)).toBe((256 + 128) * 4)
    await plan.close()
  })

  it('counts both models where the originals go beside, and the outputs that are worked out ahead', async () => {
    const plan = await planned({ GPTQModifier: { scheme: 'W4A16', targets: 'Linear', ignore: ['lm_head'], quality: 'best' } })
    expect(perToken(plan, false)).toBe((2 * (256 + 128) + 128) * 4)
    await plan.close()
  })

  it('does not grow with the rows where they are parked', async () => {
    const plan = await planned()
    expect(perToken(plan, true)).toBe(0)
    await plan.close()
  })

  it('counts the codes of the layer that a stage is of, whether or not the first layer has some', async () => {
    const without = (ignore: string[]) =>
      planned({ QuantizationModifier: { scheme: 'W8A16', targets: 'Linear', ignore: ['lm_head', ...ignore] } })
    const plans = await Promise.all([[], ['re:.*layers\\.0\\..*'], ['re:.*layers\\..*o_proj$']].map(without))
    const [all, second, fewer] = plans.map((plan) => forecastMemory(plan, null, 'none', false).total)
    expect(second).toBe(all)
    // o_proj of one layer.
    expect(all - fewer).toBe(128 * 128)
    await Promise.all(plans.map((plan) => plan.close()))
  })

  it('counts second moments only for modifiers that measure them', async () => {
    const [gptq, rtn] = await Promise.all(['gptq-w4a16', 'FP8'].map((recipe) => planned(recipe)))
    const token = { rows: 1, tokens: 1, length: 1 }
    const squares = forecastMemory(gptq, token, 'wasm', false).total - forecastMemory(rtn, token, 'wasm', false).total
    expect(squares).toBeGreaterThan(256 ** 2 * 4)
    await Promise.all([gptq.close(), rtn.close()])
  })
})

describe('placeRun()', () => {
  it('keeps rows in memory where they fit', async () => {
    const plan = await planned()
    expect(placeRun(plan, rows(10_000), 'wasm', asked(2e9))).toMatchObject({ parked: false })
    await plan.close()
  })

  it('parks rows that do not fit, with the size of the scratch file', async () => {
    const plan = await planned()
    // 1.5 GB of stage inputs and residuals in the file; hidden states to go on from, twice, beside.
    const { parked, scratch, forecast } = placeRun(plan, rows(1_000_000), 'wasm', asked(1e9))
    expect(parked).toBe(true)
    expect(scratch).toBe(1_000_000 * 4 * (256 + 128 + 2 * 128))
    expect(forecast.total).toBeLessThan(1e9)
    await plan.close()
  })

  it('parks rows that a 32-bit memory cannot hold, whatever the machine has', async () => {
    const plan = await planned()
    expect(placeRun(plan, rows(10_000_000), 'wasm', asked(1e12))).toMatchObject({ parked: true })
    expect(placeRun(plan, rows(10_000_000), 'native', asked(1e12))).toMatchObject({ parked: false })
    await plan.close()
  })

  it('refuses what does not fit either way, naming the stage and the memory that would do', async () => {
    const plan = await planned()
    const refused = (budget: { bytes: number; asked: boolean }) => () => placeRun(plan, rows(10_000), 'wasm', budget)
    expect(refused(asked(1e8))).toThrow(UserError)
    expect(refused(asked(1e8))).toThrow(
      /^Cannot compress model\.layers\.0 · mlp inputs: it takes about \d+\.\d MB and 100\.0 MB are allowed, expected --max-memory 0\.\dGB or more\. See 'llmpress explain memory'\.$/,
    )
    expect(refused({ bytes: 1e8, asked: false })).toThrow('100.0 MB are in this machine, expected a machine with more memory.')
    await plan.close()
  })

  it('refuses a linear that is too large for a run without data', async () => {
    const plan = await planned('W4A16')
    expect(() => placeRun(plan, null, 'none', asked(1e7))).toThrow(/^Cannot compress model\.layers\.0 · mlp inputs: /)
    await plan.close()
  })
})

describe('requireScratch()', () => {
  it('refuses where the disk has no room for the scratch file', async () => {
    const plan = await planned()
    const placement = placeRun(plan, rows(1_000_000), 'wasm', asked(1e9))
    await expect(requireScratch(plan, placement)).resolves.toBeUndefined()
    const refused = requireScratch(plan, { ...placement, scratch: 1e18 })
    await expect(refused).rejects.toThrow(UserError)
    await expect(refused).rejects.toThrow(/are free on its disk, expected 1000000\.0 TB for what does not fit in memory beside/)
    await plan.close()
  })
})

describe('shapeOf()', () => {
  it('counts rows and tokens, and finds the longest row', () => {
    expect(shapeOf([new Int32Array(3), new Int32Array(5), new Int32Array(2)])).toEqual({ rows: 3, tokens: 10, length: 5 })
  })
})
