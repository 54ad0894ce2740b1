import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { closingReport } from '../../src/cli/tables.ts'
import { verify } from '../../src/eval/verify.ts'
import { defineModifier } from '../../src/modifiers/define.ts'
import { remarksOf } from '../../src/oneshot/remarks.ts'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { quantizeToGrid } from '../../src/schemes/quantize.ts'
import { RunError } from '../../src/util/errors.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, TINY, tinyWith } from './runs.ts'

useEngine('wasm')

const schema = { type: 'object', additionalProperties: false, properties: { scheme: { type: 'string' } } } as const

/** A modifier that compresses nothing, or into scales that are NaN, where a name matches; elsewhere it rounds. */
const faulty = (kind: 'idle' | 'NaN', where: RegExp) =>
  defineModifier({
    names: ['FaultyModifier'],
    description: 'Fails.',
    schema,
    quantizes: true,
    needs: () => 'weights',
    create: () => ({
      async apply(_, targets) {
        for (const [linear, { weights }] of targets) {
          const { name, weight, rows, columns, dtype } = linear
          if (!weights || (kind === 'idle' && where.test(name))) continue
          const grid = minMaxGrid(weight, rows, columns, weights, dtype)
          if (where.test(name)) grid.scale[0] = Number.NaN
          linear.quantized = quantizeToGrid(weight, rows, columns, weights, grid)
          linear.report = { name, method: 'faulty', scheme: '', error: 0, errorOf: 'weights', seconds: 0 }
        }
      },
    }),
  })

describe('oneshot', () => {
  test.each([
    ['idle', 'its modifier left it unchanged'],
    ['NaN', 'the result is not finite'],
  ] as const)('%s: is an error, and with allowFallback plain rounding that is told everywhere', async (kind, problem) => {
    const recipe = { modifiers: { FaultyModifier: { scheme: 'W8A16' } } }
    const modifiers = [faulty(kind, /layers\.1\.mlp/)]
    const failure = runTiny(recipe, { modifiers })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(problem)
    await expect(failure).rejects.toThrow('--allow-fallback rounds it plainly')
    const record = await runTiny(recipe, { modifiers, allowFallback: true })
    const fallen = record.linears.filter(({ fallback }) => fallback)
    expect(fallen.map(({ name, method }) => [name.replace(/.*\./, ''), method])).toEqual([
      ['gate_proj', 'RTN'],
      ['up_proj', 'RTN'],
      ['down_proj', 'RTN'],
    ])
    for (const { fallback, error } of fallen) {
      expect(fallback).toContain(`RTN: ${problem}`)
      expect(error).toBeGreaterThan(0)
      expect(error).toBeLessThan(0.001)
    }
    expect(record.warnings.filter((text) => text.includes(problem))).toHaveLength(3)
    expect(record.remarks).toEqual([
      expect.stringMatching(/^3 linears rounded plainly instead of what the recipe asks for \(model\.layers\.1/),
    ])
    expect(JSON.parse(await readFile(join(record.output, 'llmpress-report.json'), 'utf8'))).toMatchObject({ remarks: record.remarks })
    vi.stubEnv('FORCE_COLOR', '')
    expect(closingReport(record)).toContain(`Remarks\n  ${record.remarks[0]}`)
    vi.unstubAllEnvs()
    expect((await verify(record.output, { against: TINY })).problems).toEqual([])
  })

  test('counts scales that are too small for their type', async () => {
    const model = await tinyWith({})
    const name = 'model.layers.0.mlp.up_proj'
    await editWeights(model, (bytes) => {
      const start = tensorStart(bytes, `${name}.weight`)
      // 1e-4 in a row of bfloat16, whose scale in E4M3 under the global one of the layer is nothing.
      for (let i = 0; i < 128; i++) bytes.writeUInt16LE(0x2edb, start + 2 * i)
      return bytes
    })
    const record = await runTiny(recipeOf('QuantizationModifier', { scheme: 'NVFP4A16' }), { model })
    expect(record.linears.find((linear) => linear.name === name)?.clippedScales).toBe(8)
    expect(record.linears.filter(({ clippedScales }) => clippedScales)).toHaveLength(1)
    expect(record.remarks).toEqual([`1 linear with scales too small for their type, up to 8: what they scale became zero (${name})`])
  })

  test('tells which stages a transform left as they are, and why', async () => {
    const { skipped, remarks } = await runTiny('awq-w4a16-asym')
    expect(skipped).toEqual(
      [0, 1].map((layer) => expect.objectContaining({ by: 'AWQModifier', stage: `model.layers.${layer} · attention output` })),
    )
    expect(remarks).toContainEqual(expect.stringMatching(/^AWQModifier left 2 stages as they are: .*grouped-query attention/))
  })
})

test('remarksOf() says each kind once', () => {
  const report = { name: 'a', method: 'GPTQ', scheme: '', error: 0, errorOf: 'outputs', seconds: 0 } as const
  const linears = [
    { ...report, damping: 0.05, dampingAsked: 0.01 },
    { ...report, damping: 0.2, dampingAsked: 0.01, deadColumns: 3 },
    { ...report, damping: 0.01 },
  ]
  expect(remarksOf(linears, [])).toEqual([
    '2 linears with more damping than asked for, up to 0.2 (a)',
    '1 linear with input channels without any input on the calibration rows, up to 3 (a)',
  ])
  expect(remarksOf([report], [])).toEqual([])
})
