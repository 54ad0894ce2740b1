import { createHash } from 'node:crypto'
import { openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { CheckpointError, RunError } from '../../src/util/errors.ts'
import { folderOf, temporaryFolder } from '../checkpoint/folders.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, TINY } from './runs.ts'

useEngine('wasm')

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })
const CODES = 'model.layers.0.mlp.up_proj.weight_packed'

describe('the record of a run', () => {
  test('has the SHA-256 of every file but itself, and of model, recipe and rows', async () => {
    const { output, files, hashes, sources, data } = await runTiny(GPTQ)
    expect(files.map(({ name }) => name).sort()).toEqual(
      (await readdir(output)).filter((name) => !['llmpress-report.json', 'report.html'].includes(name)).sort(),
    )
    for (const { name, sha256 } of files) {
      expect(sha256, name).toBe(
        createHash('sha256')
          .update(await readFile(join(output, name)))
          .digest('hex'),
      )
    }
    for (const hash of Object.values(hashes)) expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(sources.map(({ name }) => name)).toEqual(['config.json', 'model.safetensors'])
    for (const { name, bytes, sha256 } of sources) {
      const content = await readFile(join(TINY, name))
      expect({ bytes, sha256 }, name).toEqual({ bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') })
    }
    const other = await runTiny(GPTQ, { numCalibrationSamples: 15 })
    expect(other.hashes).toEqual({ ...hashes, data: other.hashes.data })
    expect(other.hashes.data).not.toBe(hashes.data)
    expect(data?.request).toEqual({ dataset: null, numCalibrationSamples: 16, maxSeqLength: 256 })
  })

  test('has the hash of the rows as none where there are none', async () => {
    expect((await runTiny(RTN)).hashes.data).toBe('none')
  })
})

describe('oneshot, reading its files back', () => {
  test('refuses codes that are not those it made, keeps what it has, and leaves no checkpoint', async () => {
    const output = join(await temporaryFolder(), 'out')
    const failure = runTiny(RTN, {
      output,
      onProgress: (event) => {
        if (event.type !== 'layer:start' || event.index !== 1) return
        const path = join(output, '.llmpress', 'model.safetensors')
        const file = openSync(path, 'r+')
        const header = Buffer.alloc(1 << 16)
        readSync(file, header, 0, header.length, 0)
        writeSync(file, Buffer.of(0xff, 0xff), 0, 2, tensorStart(header, CODES))
      },
    })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/Cannot vouch for model\.layers\.0\.mlp\.up_proj: its codes in model\.safetensors read back/)
    expect(readdirSync(join(output, '..'))).toEqual([])
  })
})

describe('verify', () => {
  test('says which files and which codes are not those that the run wrote', async () => {
    const { output } = await runTiny(RTN)
    const sound = await verify(output)
    expect(sound).toMatchObject({ problems: [], files: sound.files })
    expect(sound.files).toBe((await readdir(output)).length - 2)
    await editWeights(output, (bytes) => {
      bytes[tensorStart(bytes, CODES)] ^= 1
      return bytes
    })
    await appendFile(join(output, 'tokenizer_config.json'), ' ')
    await appendFile(join(output, 'README.md'), 'What it is good for.')
    await rm(join(output, 'recipe.yaml'))
    const { problems, notes, files } = await verify(output)
    expect(problems).toHaveLength(4)
    expect(problems).toContainEqual(
      expect.stringMatching(/^model\.safetensors is not the file that the run wrote: its SHA-256 is [0-9a-f]{64},/),
    )
    expect(problems).toContainEqual(expect.stringMatching(/^tokenizer_config\.json is not the file/))
    expect(problems).toContainEqual(expect.stringMatching(/^recipe\.yaml, which llmpress-report\.json lists, cannot be read/))
    expect(problems).toContainEqual('model.layers.0.mlp.up_proj has other codes than the run made')
    expect(notes).toEqual(['README.md is not as the run wrote it'])
    expect(files).toBe(Number(sound.files) - 4)
  })

  test('opens no file outside the folder that a report names', async () => {
    const { output } = await runTiny(RTN)
    const files = ['../secret', '/etc/hostname', '..', 'a\\b', 7].map((name) => ({ name, sha256: '0'.repeat(64) }))
    await writeFile(join(output, 'llmpress-report.json'), JSON.stringify({ files }))
    const { problems, files: checked } = await verify(output)
    expect(problems).toEqual([])
    expect(checked).toBeUndefined()
  })

  test('says of a folder whose run has not finished that it has not, and how to go on', async () => {
    const output = join(await temporaryFolder(), 'out')
    await mkdir(join(output, '.llmpress'), { recursive: true })
    for (const attempt of [() => verify(output), () => planRun({ model: output, recipe: 'W4A16' })]) {
      const failure = attempt()
      await expect(failure).rejects.toThrow(CheckpointError)
      await expect(failure).rejects.toThrow(/found a run that has not finished.*The command that began it goes on/)
    }
  })

  test('notes that a checkpoint is about to be replaced', async () => {
    const folder = await folderOf({ 'config.json': await readFile(join(TINY, 'config.json')) })
    await writeFile(join(folder, 'model.safetensors'), await readFile(join(TINY, 'model.safetensors')))
    await mkdir(join(folder, '.llmpress'))
    expect((await verify(folder)).notes).toEqual([expect.stringContaining('a run that has not finished is to replace this checkpoint')])
  })
})
