import { describe, expect, test } from 'vitest'
import { allLinears, readWeight } from '../../src/models/open-model.ts'
import { modifier as gptq } from '../../src/modifiers/gptq.ts'
import type { Linear } from '../../src/modifiers/modifier.ts'
import { modifier as rtn } from '../../src/modifiers/rtn.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFolder } from '../models/oracles.ts'
import { CALIBRATION, openForTest, TINY } from '../oneshot/runs.ts'
import { applyTo, linearOf, outputError, pipelineInputs, secondMoments } from './stages.ts'

useEngine('wasm')

describe("GPTQModifier on the rows and inputs of llm-compressor's run", () => {
  test.each(['gptq-w4a16', 'gptq-w4a16-no-actorder', 'gptq-w8a16', 'gptq-w3a16-g64'])(
    '%s: the output error of every linear is at most 1.02 times the reference, and below plain rounding',
    async (name) => {
      const original = await openForTest(TINY)
      const reference = await openForTest(oracleFolder(`checkpoints/${name}`))
      const ratios: number[] = []
      for (const { name: stage, linears: names, input } of await pipelineInputs(original, reference, CALIBRATION)) {
        const scheme = reference.compressed.get(names[0])?.scheme
        const specs = allLinears(original.model).filter((spec) => names.includes(spec.name))
        if (!scheme) throw new Error(`${stage} is not compressed`)
        const [swept, rounded]: Linear[][] = [[], []]
        for (const { name: linear, rows, columns } of specs) {
          const weight = await original.reader.readFloats(`${linear}.weight`)
          swept.push(linearOf(linear, rows, columns, weight))
          rounded.push(linearOf(linear, rows, columns, weight))
        }
        await applyTo(gptq.create({} as never), swept, scheme, input, stage)
        await applyTo(rtn.create({} as never), rounded, scheme, input, stage)
        const h = secondMoments(input, specs[0].columns)
        for (const [i, spec] of specs.entries()) {
          const error = (changed: Float32Array) => outputError(swept[i].weight, changed, h)
          const [ours, plain] = [swept[i], rounded[i]].map(({ quantized }) => (quantized ? error(dequantize(quantized)) : Number.NaN))
          ratios.push(ours / error(await readWeight(reference, spec)))
          expect(ours, spec.name).toBeLessThan(plain)
          expect(swept[i].report).toMatchObject({ method: 'GPTQ', damping: 0.01, errorOf: 'outputs' })
        }
      }
      console.info(`${name}: our error / the reference's by linear: ${ratios.map((ratio) => ratio.toFixed(4)).join(' ')}`)
      expect(ratios).toHaveLength(14)
      expect(Math.max(...ratios)).toBeLessThanOrEqual(1.02)
    },
  )
})
