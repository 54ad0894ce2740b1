import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openModel } from '../../src/models/open-model.ts'
import { runCli } from '../e2e/run-cli.ts'

const TOOL = fileURLToPath(new URL('../../tools/make-random-checkpoint.js', import.meta.url))

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'llmpress-random-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function make(name: string, ...args: string[]): Promise<string> {
  const out = join(dir, name)
  await promisify(execFile)(process.execPath, [TOOL, '--out', out, ...args])
  return out
}

describe('make-random-checkpoint.js', () => {
  test('makes a checkpoint that opens and calibrates', async () => {
    const model = await make('tiny', '--shape', 'tiny', '--layers', '3')
    const source = await openModel(model)
    expect(source.model).toMatchObject({ layers: 3, hidden: 128, vocab: 4096, tied: true })
    await source.close()
    const flags = ['--recipe', 'gptq-w4a16', '--num-calibration-samples', '4', '--max-seq-length', '64', '--quiet']
    const { code, stderr } = await runCli(['oneshot', model, ...flags, '--output', join(dir, 'tiny-out')])
    expect(stderr).toBe('')
    expect(code).toBe(0)
  })

  test('weights are normal with deviation 0.02, norms are 1', async () => {
    const { reader, close } = await openModel(await make('moments', '--shape', 'tiny', '--layers', '1'))
    const values = await reader.readFloats('model.embed_tokens.weight')
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length
    const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length)
    expect(Math.abs(mean)).toBeLessThan(2e-4)
    expect(deviation).toBeCloseTo(0.02, 3)
    expect((await reader.readFloats('model.norm.weight')).every((x) => x === 1)).toBe(true)
    await close()
  })

  test('a layer has the same weights beside more layers, others for another seed', async () => {
    const weights = async (name: string, ...args: string[]) => {
      const { reader, close } = await openModel(await make(name, '--shape', 'tiny', ...args))
      const bytes = Buffer.from(await reader.read('model.layers.0.mlp.up_proj.weight'))
      await close()
      return bytes.toString('base64')
    }
    const one = await weights('one', '--layers', '1')
    expect(await weights('two', '--layers', '2')).toBe(one)
    expect(await weights('other', '--layers', '1', '--seed', '7')).not.toBe(one)
  })

  test.each([
    ['an unknown shape', ['--shape', 'huge'], 'expected --shape tiny, small, smollm2-135m, llama-3-8b'],
    ['no layers', ['--shape', 'tiny', '--layers', '0'], 'expected a whole number of at least 1'],
  ])('refuses %s', async (_, args, message) => {
    await expect(make('refused', ...args)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
    await expect(readFile(join(dir, 'refused', 'config.json'))).rejects.toThrow('ENOENT')
  })
})
