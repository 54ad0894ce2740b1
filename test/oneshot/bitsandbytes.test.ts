import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { rebuild } from '../../src/oneshot/rebuild.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleNames, oracleRows, runForward, spread } from '../models/oracles.ts'
import { openForTest, sameBytes } from './runs.ts'

useEngine('wasm')

const ORIGINAL = oracleFolder('bitsandbytes/original')
const NAMES = oracleNames('bitsandbytes').filter((name) => name !== 'original')

/** The options that transformers was given, as it saved them. */
async function savedConfig(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).quantization_config
}

async function compressed(name: string): Promise<string> {
  const { _load_in_4bit, _load_in_8bit, quant_method, ...options } = await savedConfig(oracleFolder(`bitsandbytes/${name}`))
  const output = join(await temporaryFolder(), 'out')
  await oneshot({ model: ORIGINAL, recipe: { BitsAndBytesModifier: options }, output, threads: 2 })
  return output
}

describe('BitsAndBytesModifier beside transformers and bitsandbytes', () => {
  test.each(NAMES)('%s: every tensor has the bytes that they save', async (name) => {
    const [ours, theirs] = [await openForTest(await compressed(name)), await openForTest(oracleFolder(`bitsandbytes/${name}`))]
    expect([...ours.reader.tensors.keys()].sort()).toEqual([...theirs.reader.tensors.keys()].sort())
    for (const { name: tensor, dtype, shape } of theirs.reader.tensors.values()) {
      expect(ours.reader.info(tensor), tensor).toMatchObject({ dtype, shape })
      expect(sameBytes(await ours.reader.read(tensor), await theirs.reader.read(tensor)), tensor).toBe(true)
    }
  })

  test.each(NAMES)('%s: config.json says what theirs does, with a threshold that Python reads as a float', async (name) => {
    const output = await compressed(name)
    const theirs = await savedConfig(oracleFolder(`bitsandbytes/${name}`))
    const { llm_int8_skip_modules: skipped, ...others } = await savedConfig(output)
    expect({ ...others, llm_int8_skip_modules: theirs.llm_int8_skip_modules }).toEqual(theirs)
    expect(skipped === null).toBe(theirs.llm_int8_skip_modules === null)
    expect(await readFile(join(output, 'config.json'), 'utf8')).toMatch(/"llm_int8_threshold": \d+\.0/)
  })

  test.each(NAMES)('%s: logits are theirs', async (name) => {
    const folder = `bitsandbytes/${name}`
    const expected = oracleFloats(`${folder}/logits.safetensors`, 'logits')
    const rows = oracleRows(`${folder}/logits.safetensors`, 'input_ids')
    const { logits } = await runForward(oracleFolder(folder), rows)
    const tokens = rows.reduce((sum, { length }) => sum + length, 0)
    const vocab = expected.length / tokens
    const errors = Array.from({ length: tokens }, (_, t) =>
      largestDifference(logits.subarray(t * vocab, (t + 1) * vocab), expected.subarray(t * vocab, (t + 1) * vocab)),
    )
    // Where an input lies on the border between two codes, the last bit of a float decides: a few tokens show it.
    const exact = errors.filter((error) => error < 2e-5).length
    expect(exact).toBeGreaterThanOrEqual(name.startsWith('int8') ? 0.8 * tokens : tokens)
    expect(Math.max(...errors)).toBeLessThan(0.05 * spread(expected))
  })

  test.each(NAMES)('%s: is sound, can be made again, and says how', async (name) => {
    const output = await compressed(name)
    const { problems, linears } = await verify(output, { against: ORIGINAL })
    expect(problems).toEqual([])
    const errors = linears.flatMap(({ error }) => error ?? [])
    expect(Math.max(...errors)).toBeLessThan(name.startsWith('int8') ? 3e-4 : 0.03)
    expect(await rebuild(output, { against: ORIGINAL })).toMatchObject({ problems: [] })
  })
})
