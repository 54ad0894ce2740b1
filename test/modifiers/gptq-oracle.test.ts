import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import type { LinearSpec } from '../../src/models/architecture.ts'
import { allLinears, type OpenModel, readWeight } from '../../src/models/open-model.ts'
import { modifier as gptq } from '../../src/modifiers/gptq.ts'
import type { Linear } from '../../src/modifiers/modifier.ts'
import { modifier as rtn } from '../../src/modifiers/rtn.ts'
import { resolveArgs } from '../../src/schemes/args.ts'
import { findPreset } from '../../src/schemes/presets.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { scheme as schemeOf } from '../checkpoint/schemes.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { CALIBRATION, openForTest, TINY } from '../oneshot/runs.ts'
import { applyTo, linearOf, outputError, pipelineInputs, type Seen, secondMoments } from './stages.ts'

useEngine('wasm')

/** Output errors that GPTQ and rounding leave on the inputs of a stage, relative to the outputs. */
interface Errors {
  readonly spec: LinearSpec
  readonly gptq: number
  readonly rtn: number
  readonly report: Linear['report']
  /** The same error of another weight. */
  of(weight: Float32Array): number
}

/** Compresses the linears of a stage by both modifiers, from the original weights. */
async function errorsOf(
  original: OpenModel,
  { name, linears, input }: Seen,
  scheme: QuantizationScheme,
  options: object = {},
): Promise<Errors[]> {
  const specs = allLinears(original.model).filter((spec) => linears.includes(spec.name))
  const [swept, rounded]: Linear[][] = [[], []]
  for (const { name: linear, rows, columns } of specs) {
    const weight = await original.reader.readFloats(`${linear}.weight`)
    swept.push(linearOf(linear, rows, columns, weight))
    rounded.push(linearOf(linear, rows, columns, weight))
  }
  await applyTo(gptq.create(options as never), swept, scheme, input, name)
  await applyTo(rtn.create({} as never), rounded, scheme, input, name)
  const h = secondMoments(input, specs[0].columns)
  return specs.map((spec, i) => {
    const { weight, report } = swept[i]
    const total = outputError(new Float32Array(weight.length), weight, h)
    const of = (changed: Float32Array) => outputError(weight, changed, h) / total
    const [ours, plain] = [swept[i], rounded[i]].map(({ quantized }) => (quantized ? of(dequantize(quantized)) : Number.NaN))
    return { spec, gptq: ours, rtn: plain, report, of }
  })
}

/** By preset and linear: tr(E H Eᵀ) / tr(W H Wᵀ) of llm-compressor's result, each layer compressed alone; see make_gptq_floats.py. */
const floats: Record<string, Record<string, number>> = JSON.parse(readFileSync(oracleFolder('gptq-floats.json'), 'utf8'))

describe("GPTQModifier on the rows and inputs of llm-compressor's run", () => {
  test.each(['gptq-w4a16', 'gptq-w4a16-no-actorder', 'gptq-w8a16', 'gptq-w3a16-g64'])(
    '%s: the output error of every linear is at most 1.02 times the reference, and below plain rounding',
    async (name) => {
      const original = await openForTest(TINY)
      const reference = await openForTest(oracleFolder(`checkpoints/${name}`))
      const ratios: number[] = []
      for (const stage of await pipelineInputs(original, reference, CALIBRATION)) {
        const scheme = reference.compressed.get(stage.linears[0])?.scheme
        if (!scheme) throw new Error(`${stage.name} is not compressed`)
        for (const { spec, gptq, rtn, report, of } of await errorsOf(original, stage, scheme)) {
          ratios.push(gptq / of(await readWeight(reference, spec)))
          expect(gptq, spec.name).toBeLessThan(rtn)
          expect(report).toMatchObject({ method: 'GPTQ', damping: 0.01, errorOf: 'outputs' })
        }
      }
      console.info(`${name}: our error / the reference's by linear: ${ratios.map((ratio) => ratio.toFixed(4)).join(' ')}`)
      expect(ratios).toHaveLength(14)
      expect(Math.max(...ratios)).toBeLessThanOrEqual(1.02)
    },
  )

  test.each(Object.keys(floats))(
    '%s: the output error of every linear is at most 1.02 times the reference, and below plain rounding',
    async (preset) => {
      const original = await openForTest(TINY)
      const scheme = schemeOf({ weights: { ...resolveArgs(findPreset(preset).weights), actorder: 'static' } })
      const ratios: Record<'fast' | 'balanced', number[]> = { fast: [], balanced: [] }
      for (const stage of await pipelineInputs(original, original, CALIBRATION)) {
        for (const quality of ['fast', 'balanced'] as const) {
          for (const { spec, gptq, rtn, report } of await errorsOf(original, stage, scheme, { quality })) {
            ratios[quality].push(gptq / floats[preset][spec.name])
            expect(gptq, spec.name).toBeLessThan(rtn)
            expect(report).toMatchObject({ method: 'GPTQ', damping: 0.01, errorOf: 'outputs' })
          }
        }
      }
      for (const [quality, found] of Object.entries(ratios)) {
        console.info(`${preset}, ${quality}: our error / the reference's by linear: ${found.map((ratio) => ratio.toFixed(4)).join(' ')}`)
        expect(found).toHaveLength(14)
      }
      expect(Math.max(...ratios.balanced)).toBeLessThanOrEqual(1.02)
    },
  )
})
