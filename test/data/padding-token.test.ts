import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { lacksPadding } from '../../src/data/padding-token.ts'
import { verify } from '../../src/eval/verify.ts'
import { DataError } from '../../src/util/errors.ts'
import { folderOf, temporaryFolder } from '../checkpoint/folders.ts'
import { copyModel } from '../e2e/model-copy.ts'
import { gpt2 } from '../eval/study/gpt2.ts'

const tokenizer = { 'tokenizer.json': {} }

describe('lacksPadding()', () => {
  test.each([
    [{}, false],
    [tokenizer, true],
    [{ ...tokenizer, 'tokenizer_config.json': { pad_token: null } }, true],
    [{ ...tokenizer, 'tokenizer_config.json': { pad_token: '<pad>' } }, false],
    [{ ...tokenizer, 'tokenizer_config.json': {}, 'special_tokens_map.json': { pad_token: { content: '<pad>' } } }, false],
  ])('%j: %s', async (files, expected) => {
    expect(await lacksPadding(await folderOf(files))).toBe(expected)
  })

  test('a file that is no JSON is named', async () => {
    const folder = await folderOf({ ...tokenizer, 'tokenizer_config.json': '{' })
    await expect(lacksPadding(folder)).rejects.toThrow(DataError)
    await expect(lacksPadding(folder)).rejects.toThrow('tokenizer_config.json')
  })
})

describe('verify()', () => {
  test('notes a tokenizer without padding token and points into the guide', async () => {
    const { problems, notes } = await verify(await gpt2())
    expect(problems).toEqual([])
    expect(notes).toEqual(["the tokenizer names no padding token, which programs that pad ask for. See 'llmpress explain padding'."])
  })

  test('calls a tokenizer that cannot be read a problem', async () => {
    const model = await copyModel(join(await temporaryFolder(), 'model'))
    await writeFile(join(model, 'tokenizer_config.json'), '{')
    expect((await verify(model)).problems).toEqual([expect.stringContaining('tokenizer_config.json')])
  })
})
