import { describe, expect, test } from 'vitest'
import { inspect } from '../../src/eval/inspect.ts'
import { perplexity } from '../../src/eval/perplexity.ts'
import { verify } from '../../src/eval/verify.ts'
import { type OneshotOptions, oneshot } from '../../src/oneshot/oneshot.ts'
import { checkOneshot } from '../../src/oneshot/options.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { DataError, UserError } from '../../src/util/errors.ts'
import { TINY } from './runs.ts'

/** A function of the package as JavaScript without types may call it. */
type Loose = (...values: unknown[]) => Promise<unknown>

async function refusal(call: unknown, ...values: unknown[]): Promise<string> {
  const error = await (call as Loose)(...values).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(UserError)
  return (error as UserError).message
}

const valid = { model: TINY, recipe: 'W4A16' }

describe('checkOneshot()', () => {
  test('takes every option there is', () => {
    const all: Required<OneshotOptions> = {
      ...valid,
      output: 'out',
      overwrite: false,
      format: 'gptq',
      pushToHub: 'org/name',
      private: true,
      strict: true,
      allowFallback: true,
      maxMemory: '4GB',
      modifiers: ['./mine.js'],
      dataset: [[1, 2, 3]],
      datasetConfig: 'main',
      split: 'train',
      textColumn: 'text',
      rows: 'pack',
      numCalibrationSamples: 1,
      maxSeqLength: 2,
      seed: 2 ** 32 - 1,
      engine: 'auto',
      threads: 64,
      precision: 'bfloat16',
      stop: new AbortController().signal,
      restart: false,
      signal: new AbortController().signal,
      onProgress: () => {},
      onDownload: () => {},
      localFilesOnly: true,
    }
    expect(() => checkOneshot(all)).not.toThrow()
  })

  test('takes undefined for left out, and a recipe as an object', () => {
    expect(() => checkOneshot({ model: TINY, recipe: { rtn: {} }, output: undefined, signal: undefined })).not.toThrow()
  })
})

describe.each([
  ['oneshot', oneshot],
  ['planRun', planRun],
])('%s()', (name, call) => {
  test.each([[[]], [[null]], [[5]], [[[]]], [[() => {}]]])('refuses %j for its options', async (values) => {
    expect(await refusal(call, ...values)).toMatch(
      new RegExp(`^Cannot run ${name}: found .*, expected an object with model, recipe, output`),
    )
  })

  test.each([
    [{ model: undefined }, 'found no option model', 'checkpoint folder'],
    [{ model: 5 }, 'found 5 for the option model', 'checkpoint folder'],
    [{ model: '' }, "found '' for the option model", 'checkpoint folder'],
    [{ recipe: undefined }, 'found no option recipe', 'YAML text or an object'],
    [{ recipe: null }, 'found null for the option recipe', 'YAML text or an object'],
    [{ recipe: 7 }, 'found 7 for the option recipe', 'YAML text or an object'],
    [{ output: '' }, "found '' for the option output", 'the folder to write'],
    [{ output: 5 }, 'found 5 for the option output', 'the folder to write'],
    [{ overwrite: 'no' }, "found 'no' for the option overwrite", 'true or false'],
    [{ strict: 1 }, 'found 1 for the option strict', 'true or false'],
    [{ modifiers: './mine.js' }, "found './mine.js' for the option modifiers", 'a list'],
    [{ numCalibrationSamples: 0 }, 'found 0 for the option numCalibrationSamples', 'at least 1'],
    [{ maxSeqLength: 1 }, 'found 1 for the option maxSeqLength', 'at least 2'],
    [{ seed: 'x' }, "found 'x' for the option seed", 'a whole number from 0'],
    [{ seed: Number.NaN }, 'found NaN for the option seed', 'a whole number from 0'],
    [{ seed: 1.5 }, 'found 1.5 for the option seed', 'a whole number from 0'],
    [{ seed: -1 }, 'found -1 for the option seed', 'a whole number from 0'],
    [{ engine: 'cuda' }, "found 'cuda' for the option engine", '"wasm"'],
    [{ precision: 'fp8' }, "found 'fp8' for the option precision", '"float32" or "bfloat16"'],
    [{ threads: 0 }, 'found 0 for the option threads', 'from 1 to 64'],
    [{ threads: 1000 }, 'found 1000 for the option threads', 'from 1 to 64'],
    [{ signal: {} }, 'found {} for the option signal', 'an AbortSignal'],
    [{ signal: null }, 'found null for the option signal', 'an AbortSignal'],
    [{ onProgress: 3 }, 'found 3 for the option onProgress', 'a function'],
    [{ numCalibrationSample: 8 }, "found the option 'numCalibrationSample'", 'did you mean "numCalibrationSamples"?'],
    [{ zebra: 8 }, "found the option 'zebra'", 'expected one of model, recipe'],
  ])('refuses %o', async (more, found, expected) => {
    const message = await refusal(call, { ...valid, ...more })
    expect(message).toContain(`Cannot run ${name}: ${found}`)
    expect(message).toContain(expected)
  })

  test.each([[5], [{}], [new Set(['a text'])]])('refuses %o for the dataset with a DataError', async (dataset) => {
    await expect((call as Loose)({ ...valid, dataset })).rejects.toThrow(DataError)
  })
})

describe('oneshot() with a model, a recipe and options', () => {
  test('refuses options that are none', async () => {
    expect(await refusal(oneshot, TINY, 'W4A16', 5)).toMatch(/found number options, expected an object/)
    expect(await refusal(oneshot, TINY, 'W4A16', { seeed: 5 })).toMatch(/did you mean "seed"\?/)
  })
})

describe.each([
  ['verify', verify],
  ['inspect', inspect],
  ['perplexity', perplexity],
])('%s()', (name, call) => {
  test.each([[undefined], [null], [''], [5], [{}]])('refuses %o for the checkpoint', async (checkpoint) => {
    expect(await refusal(call, checkpoint, { dataset: 'docs-text' })).toMatch(
      new RegExp(`^Cannot run ${name}: found .*, expected a checkpoint folder, or org/name on the hub`),
    )
  })
})

describe('verify()', () => {
  test('refuses wrong options', async () => {
    expect(await refusal(verify, TINY, null)).toMatch(
      /found null, expected an object with against, target, localFilesOnly, onDownload, signal/,
    )
    expect(await refusal(verify, TINY, { against: '' })).toMatch(/for the option against/)
    expect(await refusal(verify, TINY, { agianst: TINY })).toMatch(/did you mean "against"\?/)
  })
})

describe('perplexity()', () => {
  test('refuses wrong options', async () => {
    expect(await refusal(perplexity, TINY)).toMatch(/found no options, expected an object with dataset/)
    expect(await refusal(perplexity, TINY, {})).toMatch(/found no option dataset/)
    expect(await refusal(perplexity, TINY, { dataset: 'docs-text', windows: 0 })).toMatch(/found 0 for the option windows/)
    expect(await refusal(perplexity, TINY, { dataset: 'docs-text', window: '9' })).toMatch(/found '9' for the option window/)
    expect(await refusal(perplexity, TINY, { dataset: 'docs-text', onLayer: 1 })).toMatch(/for the option onLayer/)
  })
})
