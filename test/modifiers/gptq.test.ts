import { describe, expect, test } from 'vitest'
import type { QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { modifier as gptq } from '../../src/modifiers/gptq.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { args, scheme } from '../checkpoint/schemes.ts'
import { random, useEngine } from '../engine/engines.ts'
import { applyTo, linearOf, outputError, secondMoments } from './stages.ts'

useEngine('wasm')

const W4 = scheme({ weights: args({ num_bits: 4, strategy: 'group', group_size: 32, actorder: 'static' }) })
const ROWS = 16
const COLUMNS = 64

/** Rounds a random matrix [16, 64], or of more rows, with GPTQ for the given inputs. */
async function round(
  input: Float32Array,
  options: object = {},
  engine: Partial<Engine> = {},
  rows = ROWS,
  change = (_: Float32Array) => {},
) {
  const values = random(rows * COLUMNS, 1)
  change(values)
  const linear = linearOf('model.layers.0.mlp.up_proj', rows, COLUMNS, values)
  await applyTo(gptq.create(options as never), [linear], W4, input, 'model.layers.0 · mlp inputs', engine)
  const { quantized, report } = linear
  if (!quantized || !report) throw new Error('nothing was compressed')
  const error = outputError(linear.weight, dequantize(quantized), secondMoments(input, COLUMNS))
  return { ...linear, quantized, report, error }
}

describe('GPTQModifier', () => {
  test('reports the output error of its codes and of plain rounding, relative to the outputs', async () => {
    const input = random(200 * COLUMNS, 2)
    const { weight, report, error } = await round(input)
    const total = outputError(new Float32Array(weight.length), weight, secondMoments(input, COLUMNS))
    expect(report).toMatchObject({ method: 'GPTQ', scheme: 'W4A16 g32', errorOf: 'outputs', damping: 0.01 })
    expect(report.error).toBeCloseTo(error / total, 5)
    expect(report.error).toBeLessThan(report.rtnError ?? 0)
    expect(report).not.toHaveProperty('deadColumns')
    expect(report).not.toHaveProperty('fallback')
  })

  test('judges a linear of many rows by some, and by those above all that have most of the outputs', async () => {
    const input = random(200 * COLUMNS, 2)
    const rows = 1000
    // One row has most of the outputs, and loses next to nothing: its weights are codes.
    const { weight, quantized, report } = await round(input, {}, {}, rows, (values) => {
      for (let i = 333 * COLUMNS; i < 334 * COLUMNS; i++) values[i] = i % 2 === 0 ? 70 : -70
    })
    const moments = secondMoments(input, COLUMNS)
    const dequantized = dequantize(quantized)
    const share = (from: number, to: number) => {
      const own = weight.slice(from * COLUMNS, to * COLUMNS)
      const lost = outputError(own, dequantized.slice(from * COLUMNS, to * COLUMNS), moments)
      return lost / outputError(new Float32Array(own.length), own, moments)
    }
    const all = share(0, rows)
    // Without that row it would be another figure altogether.
    expect(share(0, 333) / all).toBeGreaterThan(3)
    expect(Math.abs(report.error / all - 1)).toBeLessThan(0.1)
  })

  describe('of several linears of a stage', () => {
    const heights = [17, 5, 300, 40]
    const some = () => heights.map((rows, i) => linearOf(`model.layers.0.mlp.${i}`, rows, COLUMNS, random(rows * COLUMNS, 20 + i)))
    const input = random(200 * COLUMNS, 2)

    /** Compresses all at once and each by itself; the rows of each sweep of the first. */
    async function bothWays(schemes: readonly QuantizationScheme[], options: object): Promise<number[]> {
      const sweeps: number[] = []
      const together = some()
      await applyTo(gptq.create(options as never), together, schemes, input, 'together', {
        sweep: (kernels, problem) => {
          sweeps.push(problem.rows)
          return kernels.sweep(problem)
        },
      })
      for (const [i, linear] of some().entries()) {
        await applyTo(gptq.create(options as never), [linear], schemes[i % schemes.length], input, 'alone')
        expect(together[i].quantized).toEqual(linear.quantized)
        const [found, expected] = [together[i].report, linear.report]
        if (!found || !expected) throw new Error('nothing was reported')
        expect(found.error / expected.error).toBeCloseTo(1, 5)
        expect((found.rtnError ?? 0) / (expected.rtnError ?? 0)).toBeCloseTo(1, 5)
      }
      return sweeps
    }

    const asymmetric = scheme({ weights: args({ num_bits: 4, strategy: 'group', group_size: 32, symmetric: false, actorder: 'static' }) })
    test.each([
      ['W4A16', W4],
      ['W4A16 asymmetric', asymmetric],
      ['W8A16 by channel', scheme({ weights: args({ strategy: 'channel' }) })],
      ['FP8 by channel', scheme({ weights: args({ type: 'float', strategy: 'channel' }) })],
      ['FP8 by block', scheme({ weights: args({ type: 'float', strategy: 'block', block_structure: [16, 16] }) })],
    ])('%s: sweeps them as one matrix and gives each the codes and errors that it has by itself', async (_, own) => {
      for (const quality of ['fast', 'balanced']) expect(await bothWays([own], { quality })).toEqual([362])
    })

    test('sweeps by themselves those whose schemes differ', async () => {
      const natural = scheme({ weights: args({ num_bits: 4, strategy: 'group', group_size: 32 }) })
      expect(await bothWays([W4, asymmetric], { quality: 'fast' })).toEqual([317, 45])
      expect(await bothWays([W4, natural, W4, natural], { quality: 'fast' })).toEqual([317, 45])
    })
  })

  test('raises the damping where there are fewer tokens than columns, and records what it took', async () => {
    const { report } = await round(random(8 * COLUMNS, 3), { dampening_frac: 1e-9 })
    expect(report.method).toBe('GPTQ')
    expect(report.damping).toBeGreaterThan(1e-9)
    expect(report.error).toBeLessThan(report.rtnError ?? 0)
  })

  test('begins to dampen where none was asked for and the factor needs it', async () => {
    const { report } = await round(random(8 * COLUMNS, 3), { dampening_frac: 0 })
    expect(report).toMatchObject({ method: 'GPTQ', damping: 0.002 })
  })

  test('falls back to plain rounding, and says so, where no damping gives a factor', async () => {
    const { report } = await round(random(8 * COLUMNS, 3), {}, { inverseFactor: async () => null })
    expect(report).toMatchObject({ method: 'RTN', fallback: expect.stringContaining('not positive definite') })
    // Its scales are searched, those of the comparison come from minimum and maximum.
    expect(report.error).toBeLessThanOrEqual(report.rtnError ?? 0)
  })

  test('counts columns without input and rounds their weights to the nearest code', async () => {
    const dead = [3, 40]
    const input = random(200 * COLUMNS, 4).map((value, i) => (dead.includes(i % COLUMNS) ? 0 : value))
    const { weight, quantized, report } = await round(input, { quality: 'fast', scale_search: 'observer' })
    expect(report.deadColumns).toBe(2)
    expect(report.error).toBeLessThan(report.rtnError ?? 0)
    const values = dequantize(quantized)
    for (let row = 0; row < ROWS; row++) {
      for (const column of dead) {
        const i = row * COLUMNS + column
        const scale = quantized.scale[row * 2 + Math.floor(column / 32)]
        expect(Math.abs(values[i] - weight[i])).toBeLessThanOrEqual(scale / 2 + 1e-6)
      }
    }
  })

  test('names the stage and the channel of an input that is not a number', async () => {
    const input = random(200 * COLUMNS, 5)
    input[7 * COLUMNS + 11] = Number.NaN
    const failure = round(input)
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/model\.layers\.0 · mlp inputs: .*channel \d+ is NaN/)
  })

  test('refuses an order that would have to be stored', () => {
    expect(() => gptq.completes?.({ actorder: 'group' } as never, W4)).toThrow(UserError)
    expect(() => gptq.completes?.({ actorder: null } as never, W4)).toThrow('expected the same in both places')
  })
})
