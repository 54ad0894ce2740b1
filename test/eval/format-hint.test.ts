import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { formatHint } from '../../src/eval/format-hint.ts'
import { inspect } from '../../src/eval/inspect.ts'
import type { DType } from '../../src/numerics/dtype.ts'
import { folderOf, safetensorsFile } from '../checkpoint/folders.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'

test.each(oracleNames('checkpoints'))('formatHint of %s is the format that its config.json names', async (name) => {
  const dir = oracleFolder(`checkpoints/${name}`)
  const reader = await openCheckpoint(dir)
  const hint = formatHint(reader.tensors.values())
  await reader.close()
  const { format } = await inspect(dir)
  // Nothing but config.json tells naive and float codes, or the values of a mixed recipe, apart.
  if (format !== 'mixed-precision' && format !== 'naive-quantized') expect(hint).toBe(format)
  else expect(hint).not.toBeNull()
})

// Tensors and types as transformers 5.17 saves a linear of each.
const FOREIGN: [string, Record<string, DType>][] = [
  ['gptq', { 'x.qweight': 'I32', 'x.qzeros': 'I32', 'x.scales': 'F16', 'x.g_idx': 'I32' }],
  ['awq', { 'x.qweight': 'I32', 'x.qzeros': 'I32', 'x.scales': 'F16' }],
  ['fp8', { 'x.weight': 'F8_E4M3', 'x.weight_scale_inv': 'F32' }],
  ['bitsandbytes', { 'x.weight': 'U8', 'x.weight.absmax': 'F32', 'x.weight.quant_map': 'F32' }],
  ['bitsandbytes', { 'x.weight': 'I8', 'x.SCB': 'F32' }],
]

test.each(FOREIGN)('formatHint tells %s', (format, types) => {
  expect(formatHint(Object.entries(types).map(([name, dtype]) => ({ name, dtype, shape: [1] })))).toBe(format)
})

test('formatHint finds nothing in a plain checkpoint', () => {
  expect(formatHint([{ name: 'x.weight', dtype: 'BF16', shape: [1] }])).toBeNull()
})

test('inspect says what the name says where neither config.json nor the tensors do', async () => {
  const weights = safetensorsFile([{ name: 'x.weight', dtype: 'BF16', shape: [1], bytes: new Uint8Array(2) }])
  const dir = join(await folderOf({}), 'Some-7B-W4A16-G128')
  await mkdir(dir)
  await writeFile(join(dir, 'config.json'), '{}')
  await writeFile(join(dir, 'model.safetensors'), weights)
  const { format, notes } = await inspect(dir)
  expect(format).toBeNull()
  expect(notes).toEqual(['its name says W4A16, groups of 128, but neither config.json nor the tensors do: they are those of a plain model'])
})

test('inspect of files of llama.cpp says what they are and what to take', async () => {
  const dir = await folderOf({ 'some-7b.Q4_K_M.gguf': 'GGUF' })
  const refusal =
    /found some-7b\.Q4_K_M\.gguf, expected a model in the form of transformers; its name says GGUF, 4 bits \(files of llama\.cpp/
  await expect(inspect(dir)).rejects.toThrow(refusal)
  await expect(inspect(join(dir, 'some-7b.Q4_K_M.gguf'))).rejects.toThrow(/found no config\.json, .*its name says GGUF/)
})

test('inspect says what is stored where config.json does not', async () => {
  const tensor = (name: string, dtype: DType, bytes: number) => ({ name, dtype, shape: [1], bytes: new Uint8Array(bytes) })
  const dir = await folderOf({
    'config.json': { model_type: 'llama' },
    'model.safetensors': safetensorsFile([tensor('x.weight_packed', 'I32', 4), tensor('x.weight_scale', 'BF16', 2)]),
  })
  const { format, notes } = await inspect(dir)
  expect(format).toBe('pack-quantized')
  expect(notes).toEqual([expect.stringContaining('config.json has no quantization_config')])
})
