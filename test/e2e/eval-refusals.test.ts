import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { folderOf } from '../checkpoint/folders.ts'
import { copyModel, editWeights, TINY, tensorStart } from './model-copy.ts'
import { runCli } from './run-cli.ts'

test.each([['--form', 'windows'], ['--form', 'text'], []])('eval refuses a text of white space: %s %s', async (...form) => {
  const text = join(await folderOf({ 'blank.txt': ' \n\n \t\n'.repeat(50) }), 'blank.txt')
  const { code, stdout, stderr } = await runCli(['eval', TINY, '--perplexity', text, ...form])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^error: Cannot make a row from .*blank\.txt: found nothing but white space, expected a text/m)
})

test.each([
  ['model.layers.1.mlp.up_proj.weight', 10],
  ['model.layers.1.input_layernorm.weight', 3],
])('eval says that it cannot compute with %s where it holds NaN', async (tensor, element) => {
  const model = await copyModel(join(await folderOf({}), 'tiny'))
  await editWeights(model, (bytes) => {
    bytes.writeUInt16LE(0x7fc0, tensorStart(bytes, tensor) + 2 * element)
    return bytes
  })
  const text = join(model, 'text.txt')
  await writeFile(text, 'The quick brown fox jumps over the lazy dog.\n'.repeat(5))
  const { code, stdout, stderr } = await runCli(['eval', model, '--perplexity', text, '--window', '16'])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(
    `error: Cannot compute with ${tensor} of model.safetensors: found NaN at element ${element}, expected finite weights`,
  )
})

test.each([
  ['nowhere', 'there is no such folder'],
  ['a-file', 'it is a file'],
])('eval refuses --task_data %s before it scores the text', async (name, found) => {
  const data = join(await folderOf({ 'a-file': '' }), name)
  const { code, stdout, stderr } = await runCli(['eval', TINY, '--perplexity', 'docs-text', '--tasks', 'piqa', '--task_data', data])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(`error: Cannot read the rows of tasks from ${data}: ${found}, expected a folder with one of each task's name.`)
  expect((await runCli(['eval', TINY, '--tasks', ','])).stderr).toContain('found no name for --tasks')
})
