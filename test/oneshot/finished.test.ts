import { existsSync } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { defineModifier } from '../../src/modifiers/define.ts'
import { type OneshotOptions, oneshot } from '../../src/oneshot/oneshot.ts'
import type { RunRecord } from '../../src/report/record.ts'
import { UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { CALIBRATION, recipeOf, runTiny, tinyWith } from './runs.ts'

useEngine('wasm')

const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })
const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })

/** What a call says of what it does, and what it gives. */
async function called(recipe: string | object, options: Partial<OneshotOptions>): Promise<{ events: string[]; record: RunRecord }> {
  const events: string[] = []
  const record = await runTiny(recipe, { ...options, onProgress: ({ type }) => events.push(type) })
  return { events, record }
}

/** When each file was written last. */
async function times(folder: string): Promise<Record<string, number>> {
  const names = await readdir(folder)
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await stat(join(folder, name))).mtimeMs])))
}

describe('oneshot, called again where it has finished', () => {
  test.each([
    ['GPTQ', GPTQ],
    ['rounding, without data', RTN],
    ['rotations', { modifiers: [{ SpinQuantModifier: {} }, { QuantizationModifier: { scheme: 'W4A16', ignore: ['lm_head'] } }] }],
    // Lengths of its tensors are settled from the weights.
    ['double quantization', { modifiers: { BitsAndBytesModifier: { load_in_4bit: true, bnb_4bit_use_double_quant: true } } }],
  ])('%s: gives the record that stands there and computes nothing', async (_, recipe) => {
    const first = await runTiny(recipe)
    const before = await times(first.output)
    const { events, record } = await called(recipe, { output: first.output })
    expect(events.filter((type) => type !== 'warning')).toEqual(['plan', 'found', 'done'])
    expect(record).toEqual(JSON.parse(JSON.stringify(first)))
    expect(await times(first.output)).toEqual(before)
  })

  test.each([
    ['the recipe', { recipe: recipeOf('GPTQModifier', { scheme: 'W8A16' }) }],
    ['the recipe', { format: 'gptq' }],
    ['the calibration rows', { numCalibrationSamples: 15 }],
    ['the recipe', { recipe: RTN }],
  ] as const)('refuses the folder where %s differs, and leaves it', async (what, options) => {
    const { output } = await runTiny(GPTQ)
    const before = await times(output)
    const { recipe = GPTQ, ...others } = { recipe: undefined, ...options }
    const failure = runTiny(recipe, { output, ...others })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(/the folder is not empty \(README.md and \d+ more\).*--overwrite/)
    await expect(failure).rejects.toThrow(`Another run made what is there: ${what} differed.`)
    expect(await times(output)).toEqual(before)
  })

  test('refuses it where a file that goes with the model was changed', async () => {
    const model = await tinyWith({})
    const { output } = await runTiny(RTN, { model })
    await appendFile(join(model, 'tokenizer.json'), ' ')
    await expect(runTiny(RTN, { model, output })).rejects.toThrow(/Another run made what is there: tokenizer\.json differed\./)
  })

  test('refuses it where a linear was rounded plainly and that is not asked for', async () => {
    const { output } = await runTiny(RTN, {})
    const report = join(output, 'llmpress-report.json')
    const record = JSON.parse(await readFile(report, 'utf8')) as RunRecord
    record.linears[0].fallback = 'RTN: its modifier left it unchanged'
    await writeFile(report, JSON.stringify(record))
    await expect(runTiny(RTN, { output })).rejects.toThrow(/--allow-fallback \(\S+ was rounded plainly\) differed/)
    const { events } = await called(RTN, { output, allowFallback: true })
    expect(events).toContain('found')
  })

  test("refuses it where modifiers of the caller's own take part: what they do is in no record", async () => {
    const { output } = await runTiny(RTN)
    const own = defineModifier({
      names: ['OwnModifier'],
      description: 'Does nothing.',
      schema: { type: 'object', additionalProperties: false, properties: {} },
      quantizes: false,
      needs: () => 'weights',
      create: () => ({ async apply() {} }),
    })
    await expect(runTiny(RTN, { output, modifiers: [own] })).rejects.toThrow(/the folder is not empty/)
  })

  test.each([{}, { overwrite: true }])('does not follow a link in the place of its own folder (%o)', async (options) => {
    const { output } = await runTiny(RTN)
    const elsewhere = await temporaryFolder()
    await writeFile(join(elsewhere, 'thesis.txt'), '')
    await symlink(elsewhere, join(output, '.llmpress'))
    await expect(runTiny(RTN, { output, ...options })).rejects.toThrow(/Cannot use \S+\.llmpress: it is a link/)
    expect(await readdir(elsewhere)).toEqual(['thesis.txt'])
  })

  test('refuses it where the model was changed, the version or the engine is another', async () => {
    const model = await tinyWith({})
    const { output } = await runTiny(GPTQ, { model })
    const report = join(output, 'llmpress-report.json')
    const text = await readFile(report, 'utf8')
    const { detail } = (JSON.parse(text) as RunRecord).engine
    await writeFile(report, text.replace(`"detail": "${detail}"`, '"detail": "of another make"'))
    await expect(runTiny(GPTQ, { model, output })).rejects.toThrow(/the engine \(wasm, of another make then, wasm, .* now\) differed/)
    await writeFile(report, text.replace(/"llmpress": "[^"]*"/, '"llmpress": "0.0.1"'))
    await utimes(join(model, 'model.safetensors'), new Date(), new Date(0))
    await expect(runTiny(GPTQ, { model, output })).rejects.toThrow('the version of llmpress and the model differed')
  })

  test.each([
    ['a byte more', 'has \\d+ bytes, expected \\d+', (path: string) => appendFile(path, '!')],
    ['none any more', 'is gone', (path: string) => rm(path)],
  ])('refuses it where a file has %s', async (_, found, damage) => {
    for (const name of ['model.safetensors', 'tokenizer.json']) {
      const { output } = await runTiny(RTN)
      await damage(join(output, name))
      await expect(runTiny(RTN, { output })).rejects.toThrow(new RegExp(`it is no longer whole: ${name} ${found}\\.`))
    }
  })

  test('does it again under --overwrite; --restart alone is about stopped runs', async () => {
    const { output } = await runTiny(RTN)
    await expect(runTiny(RTN, { output, restart: true })).rejects.toThrow('the folder is not empty')
    const { events } = await called(RTN, { output, overwrite: true })
    expect(events).not.toContain('found')
    expect(events).toContain('layer:start')
  })

  test('a record that is none, or without its checkpoint, is a folder that holds something', async () => {
    const { output } = await runTiny(RTN)
    await rm(join(output, 'config.json'))
    await expect(runTiny(RTN, { output })).rejects.toThrow(/the folder is not empty.*in it\.$/)
    await writeFile(join(output, 'config.json'), '{}')
    await writeFile(join(output, 'llmpress-report.json'), '{"hashes": 7}')
    await expect(runTiny(RTN, { output })).rejects.toThrow(/the folder is not empty.*in it\.$/)
  })

  describe('with a staging folder beside the checkpoint', () => {
    const dead = JSON.stringify({ run: 'killed', pid: 2 ** 22 + 1, host: hostname(), started: null })

    /** A finished checkpoint with these files in its staging folder. */
    async function withStaging(files: Readonly<Record<string, string>>): Promise<string> {
      const { output, files: written } = await runTiny(RTN)
      await mkdir(join(output, '.llmpress'))
      const names = [...written.map(({ name }) => name), 'llmpress-report.json', 'report.html']
      const texts = { lock: dead, 'publishing.json': JSON.stringify(names), ...files }
      for (const [name, text] of Object.entries(texts)) if (text) await writeFile(join(output, '.llmpress', name), text)
      return output
    }

    test.each([
      ['killed before it was removed', { 'journal.json': '{}' }],
      ['killed while it was removed', {}],
      ['with its lock and tensors alone', { 'publishing.json': '', 'model.safetensors': 'half' }],
    ])('%s: removes it', async (_, files) => {
      const output = await withStaging(files)
      const { events } = await called(RTN, { output })
      expect(events).toContain('found')
      expect(existsSync(join(output, '.llmpress'))).toBe(false)
    })

    test('leaves what a run under --overwrite, that was stopped, can go on from', async () => {
      const output = await withStaging({ 'publishing.json': '', 'journal.json': '{}' })
      expect((await called(RTN, { output })).events).toContain('found')
      expect(await readdir(join(output, '.llmpress'))).toEqual(['journal.json'])
    })

    test('refuses the folder while another run writes there', async () => {
      const output = await withStaging({ 'publishing.json': '', lock: JSON.stringify({ ...JSON.parse(dead), pid: process.pid }) })
      await expect(runTiny(RTN, { output })).rejects.toThrow('is writing there')
    })

    test.each([
      ['', 'the folder is not empty'],
      ['--overwrite', null],
    ])('of a run that was killed at its end, another run %s leaves the checkpoint until it is replaced', async (flag, message) => {
      const output = await withStaging({})
      const before = await readFile(join(output, 'config.json'), 'utf8')
      const another = recipeOf('QuantizationModifier', { scheme: 'W8A16' })
      const stop = AbortSignal.abort()
      if (message) await expect(runTiny(another, { output })).rejects.toThrow(message)
      else await expect(runTiny(another, { output, overwrite: true, stop })).rejects.toThrow('Stopped before the first layer')
      expect(await readFile(join(output, 'config.json'), 'utf8')).toBe(before)
      expect((await called(RTN, { output })).events, flag).toContain('found')
    })
  })

  test('as a call with model and recipe, too, into the folder that the names give', async () => {
    const { output } = await runTiny(RTN)
    const types: string[] = []
    const { model } = await runTiny(RTN, { output })
    await oneshot(model, RTN, { output, dataset: CALIBRATION, onProgress: ({ type }) => types.push(type) })
    expect(types).toContain('found')
  })
})
