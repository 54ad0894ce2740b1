import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { rebuild } from '../../src/oneshot/rebuild.ts'
import { CheckpointError, UserError } from '../../src/util/errors.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { runCli } from '../e2e/run-cli.ts'
import { useEngine } from '../engine/engines.ts'
import { CALIBRATION, recipeOf, runTiny, TINY } from './runs.ts'

useEngine('wasm')

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })
const dataset = CALIBRATION

describe('rebuild()', () => {
  test.each([
    ['rounding', RTN, 0],
    ['rounding, the last layer alone', RTN, 'model.layers.1'],
    ['rounding of the head', { modifiers: { QuantizationModifier: { scheme: 'W8A16' } } }, 'lm_head'],
    ['GPTQ', GPTQ, 0],
    ['GPTQ, up to the last layer', GPTQ, '1'],
    ['SmoothQuant and GPTQ', 'smoothquant-gptq-w8a8', 1],
    ['rotations', { modifiers: [{ SpinQuantModifier: {} }, { QuantizationModifier: { scheme: 'W4A16', ignore: ['lm_head'] } }] }, 1],
    [
      'a quantized cache',
      recipeOf('QuantizationModifier', {
        scheme: 'FP8',
        kv_cache_scheme: { num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true },
      }),
      1,
    ],
  ] as const)('%s: gives the bytes of the checkpoint', async (_, recipe, layer) => {
    const { output } = await runTiny(recipe)
    const before = tf.memory().numTensors
    const found = await rebuild(output, { layer, dataset, threads: 1 })
    expect(found).toMatchObject({ model: TINY, problems: [], notes: [] })
    expect(found.tensors).toBeGreaterThan(0)
    expect(found.same).toBe(found.tensors)
    expect(tf.memory().numTensors).toBe(before)
  })

  test('names the tensors whose bytes are others, compressed or copied', async () => {
    const { output } = await runTiny(RTN)
    const changed = ['model.layers.0.mlp.up_proj.weight_packed', 'model.layers.0.input_layernorm.weight']
    await editWeights(output, (bytes) => {
      for (const name of changed) bytes[tensorStart(bytes, name)] ^= 1
      return bytes
    })
    expect((await rebuild(output)).problems).toEqual([
      `${changed[0]} has other bytes than its rebuilt form`,
      `${changed[1]} has other bytes than the original`,
    ])
    expect((await rebuild(output, { layer: 1 })).problems).toEqual([])
  })

  test('says what differs between then and now', async () => {
    const { output } = await runTiny(RTN)
    const path = join(output, 'llmpress-report.json')
    const report = JSON.parse(await readFile(path, 'utf8'))
    report.llmpress = '0.0.1'
    report.hashes = { model: 'x', recipe: 'y', data: 'none' }
    await writeFile(path, JSON.stringify(report))
    const notes = [expect.stringContaining('the run was of llmpress 0.0.1'), 'the recipe gives another plan now']
    // A copy of the original has other times of change, and the same bytes.
    expect((await rebuild(output)).notes).toEqual(notes)
    report.sources[1].sha256 = 'z'
    await writeFile(path, JSON.stringify(report))
    expect((await rebuild(output)).notes).toEqual([
      ...notes,
      'the original is not the one that the run read: other bytes in model.safetensors',
    ])
    report.sources = [null, { name: 1 }]
    await writeFile(path, JSON.stringify(report))
    expect((await rebuild(output)).notes.at(-1)).toMatch(/other bytes in config\.json, model\.safetensors$/)
  })

  test('refuses other rows than those of the run, rows that it does not have, and layers that are not there', async () => {
    const { output } = await runTiny(GPTQ)
    await expect(rebuild(output)).rejects.toThrow('the calibration rows were given in code, expected them in the option dataset')
    await expect(rebuild(output, { dataset: CALIBRATION.slice(1) })).rejects.toThrow('the calibration rows are not those of the run')
    await expect(rebuild(output, { dataset, layer: 2 })).rejects.toThrow('found none of that name, expected 0 to 1')
    await expect(rebuild(output, { dataset, layer: 'lm_head' })).rejects.toThrow('found that it is not compressed')
    await expect(rebuild(output, { dataset, layer: '' })).rejects.toThrow(UserError)
  })

  test('refuses a checkpoint without a report, or with one that lacks what it takes', async () => {
    await expect(rebuild(TINY)).rejects.toThrow(CheckpointError)
    const { output } = await runTiny(RTN)
    await writeFile(join(output, 'llmpress-report.json'), JSON.stringify({ llmpress: '0.1.0', model: 7, engine: {} }))
    await expect(rebuild(output)).rejects.toThrow('found no "model", expected a text')
  })
})

describe('llmpress verify --rebuild', () => {
  test('reads the rows again that the report names, and says that the bytes are the same', async () => {
    const { output } = await runTiny(GPTQ, { dataset: 'docs-text', numCalibrationSamples: 4, maxSeqLength: 64 })
    const { code, stdout } = await runCli(['verify', output, '--rebuild'])
    expect(stdout).toMatch(/^Rebuilt model\.layers\.0 from .*tiny: the same bytes in \d+ tensors$/m)
    expect(code).toBe(0)
  })

  test('fails where they are not', async () => {
    const { output } = await runTiny(RTN)
    await editWeights(output, (bytes) => {
      bytes[tensorStart(bytes, 'model.layers.1.mlp.up_proj.weight_packed')] ^= 1
      return bytes
    })
    const { code, stdout, stderr } = await runCli(['verify', output, '--rebuild', 'model.layers.1'])
    expect(stdout).toMatch(/^Rebuilt model\.layers\.1 from .*: other bytes in 1 of \d+ tensors$/m)
    expect(stderr).toMatch(/^error: Cannot vouch for .*: found 3 problems/)
    expect(code).toBe(1)
  })
})
