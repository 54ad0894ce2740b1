import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { copyModel, editHeader, editWeights, tensorStart } from './model-copy.ts'
import { runCli } from './run-cli.ts'

// What compressed checkpoints of other programs get wrong, through the command line: one message that names tensor and file, and no stack.

type Damage = (folder: string) => Promise<void>

const section =
  (changes: object): Damage =>
  async (folder) => {
    const path = join(folder, 'config.json')
    const config = JSON.parse(await readFile(path, 'utf8'))
    Object.assign(config.quantization_config, changes)
    await writeFile(path, JSON.stringify(config))
  }

const bytesAt =
  (tensor: string, bytes: Uint8Array, at = 0): Damage =>
  (folder) =>
    editWeights(folder, (file) => {
      file.set(bytes, tensorStart(file, tensor) + at)
      return file
    })

const stored =
  (tensor: string, change: { dtype?: string; shape?: number[] }): Damage =>
  (folder) =>
    editHeader(folder, (header) => Object.assign(header[tensor], change))

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)
const GPTQ = 'gptq-awq/gptq-w4-g32'
const AWQ = 'gptq-awq/awq-w4-g32'
const [Q, UP] = ['model.layers.0.self_attn.q_proj', 'model.layers.0.mlp.up_proj']
const SAFETENSORS = 'of model.safetensors'

const CASES: [what: string, checkpoint: string, damage: Damage, ...words: string[]][] = [
  [
    'GPTQ whose g_idx is out of range',
    GPTQ,
    bytesAt(`${Q}.g_idx`, Uint8Array.of(4), 28),
    'column 7 is in group 4, expected 0 to 3',
    `${Q}.g_idx ${SAFETENSORS}`,
  ],
  [
    'GPTQ whose g_idx is negative',
    GPTQ,
    bytesAt(`${Q}.g_idx`, Uint8Array.of(255, 255, 255, 255)),
    'column 0 is in group -1',
    `${Q}.g_idx ${SAFETENSORS}`,
  ],
  ['GPTQ whose groups do not divide the columns', GPTQ, section({ group_size: 48 }), Q, 'group size 48 does not divide 128', 'config.json'],
  [
    'GPTQ with scales that are no numbers',
    GPTQ,
    bytesAt(`${Q}.scales`, Uint8Array.of(0, 0x7e)),
    'found NaN for scale 0',
    `${Q}.scales ${SAFETENSORS}`,
  ],
  [
    'GPTQ whose codes are stored as floats',
    GPTQ,
    stored(`${Q}.qweight`, { dtype: 'F32' }),
    'stored as F32, expected I32',
    `${Q}.qweight ${SAFETENSORS}`,
  ],
  [
    'GPTQ whose scales are stored as integers',
    GPTQ,
    stored(`${Q}.scales`, { dtype: 'I16' }),
    'it is stored as I16, expected scales in',
    `${Q}.scales ${SAFETENSORS}`,
  ],
  ['GPTQ of no bits that there are', GPTQ, section({ bits: 7 }), 'config.json', 'its bits is 7, expected 2, 3, 4, 8'],
  ['AWQ with odd bits', AWQ, section({ bits: 3 }), 'config.json', 'its bits is 3, expected 4'],
  ['AWQ with bits in words', AWQ, section({ bits: 'four' }), 'config.json', 'its bits is "four", expected 4'],
  [
    'AWQ whose zero points are stored as floats',
    AWQ,
    stored(`${Q}.qzeros`, { dtype: 'F32' }),
    'stored as F32, expected I32',
    `${Q}.qzeros ${SAFETENSORS}`,
  ],
  [
    'AWQ whose scales are infinite',
    AWQ,
    bytesAt(`${Q}.scales`, Uint8Array.of(0x80, 0x7f)),
    'found Infinity for scale 0',
    `${Q}.scales ${SAFETENSORS}`,
  ],
  ['a method that nobody has', GPTQ, section({ quant_method: 'qtip' }), 'config.json', 'quant_method is "qtip"'],
  [
    'NF4 under another type',
    'bitsandbytes/nf4',
    section({ bnb_4bit_quant_type: 'nf5' }),
    'config.json',
    'bnb_4bit_quant_type is "nf5", expected nf4, fp4',
  ],
  ['NF4 in another storage', 'bitsandbytes/nf4', section({ bnb_4bit_quant_storage: 'float32' }), `${Q}.weight`, 'expected'],
  [
    'NF4 whose codes are stored as another type',
    'bitsandbytes/nf4',
    stored(`${UP}.weight`, { dtype: 'I8' }),
    'stored as I8, expected U8',
    `${UP}.weight ${SAFETENSORS}`,
  ],
  [
    'NF4 with negative magnitudes',
    'bitsandbytes/nf4',
    bytesAt(`${UP}.weight.absmax`, floats(-1)),
    'found -1 at element 0',
    `${UP}.weight.absmax ${SAFETENSORS}`,
  ],
  [
    'NF4 with another map',
    'bitsandbytes/nf4',
    bytesAt(`${UP}.weight.quant_map`, floats(Number.NaN)),
    'found NaN for code 0',
    `${UP}.weight.quant_map ${SAFETENSORS}`,
  ],
  [
    'LLM.int8 with magnitudes that are no numbers',
    'bitsandbytes/int8',
    bytesAt(`${UP}.SCB`, floats(1, Number.NaN)),
    'found NaN at element 1',
    `${UP}.SCB ${SAFETENSORS}`,
  ],
  [
    'LLM.int8 whose magnitudes are cut off',
    'bitsandbytes/int8',
    stored(`${UP}.SCB`, { shape: [160], dtype: 'F64' }),
    'it is stored as F64',
    `${UP}.SCB ${SAFETENSORS}`,
  ],
  [
    'a compressed-tensors type that nobody has',
    'checkpoints/rtn-w4a16',
    section({ config_groups: { group_0: { targets: ['Linear'], weights: { type: 'posit', num_bits: 4 } } } }),
    'config.json',
    'posit',
  ],
  [
    'packed codes in another type',
    'checkpoints/rtn-w4a16',
    stored(`${Q}.weight_packed`, { dtype: 'F32' }),
    'stored as F32, expected I32',
    `${Q}.weight_packed ${SAFETENSORS}`,
  ],
  [
    'packed codes with scales that are no numbers',
    'checkpoints/rtn-w4a16',
    bytesAt(`${Q}.weight_scale`, Uint8Array.of(0xc0, 0x7f)),
    'NaN',
    `${Q}.weight_scale ${SAFETENSORS}`,
  ],
]

const WEIGHT = `${UP}.weight`

test.each(['nf4', 'llm-int8'])(
  '%s of a weight with infinity, and of one without elements: tensor and file, and no output',
  async (recipe) => {
    const folder = await temporaryFolder()
    const infinite = await copyModel(join(folder, 'infinite'))
    await bytesAt(WEIGHT, Uint8Array.of(0x80, 0x7f))(infinite)
    const empty = await copyModel(join(folder, 'empty'))
    await stored(WEIGHT, { shape: [0, 128] })(empty)
    const output = join(folder, 'out')
    for (const [model, word] of [
      [infinite, `Cannot quantize ${WEIGHT} of model.safetensors: found Infinity at element 0`],
      [empty, WEIGHT],
    ]) {
      const { code, stdout, stderr } = await runCli(['oneshot', model, '-r', recipe, '--output', output, '--quiet'])
      expect(stderr).toContain(word)
      expect(stderr).toContain('model.safetensors')
      expect(stderr).not.toMatch(/^\s+at /m)
      expect({ code, stdout, made: existsSync(output) }).toEqual({ code: 2, stdout: '', made: false })
    }
  },
)

test.each([
  ['nf4', []],
  ['llm-int8', []],
  ['W4A16', ['--format', 'gptq']],
  ['W4A16_ASYM', ['--format', 'awq']],
])('%s of a weight of zeros is sound', { timeout: 60_000 }, async (recipe, flags) => {
  const folder = await temporaryFolder()
  const model = await copyModel(join(folder, 'model'))
  await editWeights(model, (file) => {
    const at = tensorStart(file, WEIGHT)
    return file.fill(0, at, at + 2 * 128 * 256)
  })
  const output = join(folder, 'out')
  const made = await runCli(['oneshot', model, '-r', recipe, '--output', output, '--quiet', ...flags])
  expect(made).toMatchObject({ code: 0 })
  const { code, stdout } = await runCli(['verify', output, '--against', model, '--json'])
  expect(code).toBe(0)
  const { problems, linears } = JSON.parse(stdout) as { problems: string[]; linears: { name: string; error: number | null }[] }
  expect(problems).toEqual([])
  expect(linears.find(({ name }) => name === UP)).toMatchObject({ error: 0 })
})

test.each(CASES)('%s: eval and verify name tensor and file', { timeout: 120_000 }, async (_, checkpoint, damage, ...words) => {
  const folder = await copyModel(join(await temporaryFolder(), 'model'), oracleFolder(checkpoint))
  await damage(folder)
  const rows = join(folder, 'rows.jsonl')
  await writeFile(rows, `${JSON.stringify({ input_ids: [1, 2, 3, 4, 5, 6, 7, 8] })}\n`)
  const [read, verified] = await Promise.all([
    runCli(['eval', folder, '--perplexity', rows, '--quiet', '--engine', 'wasm']),
    runCli(['verify', folder]),
  ])
  for (const word of words) expect(read.stderr).toContain(word)
  expect(read.stderr).toMatch(/^error: Cannot /)
  expect(read.stderr.match(/^error:/gm)).toHaveLength(1)
  expect(`${read.stderr}${verified.stderr}`).not.toMatch(/^\s+at /m)
  expect(read).toMatchObject({ code: 2, stdout: '' })
  expect(verified.code).not.toBe(0)
  expect(`${verified.stdout}${verified.stderr}`).toContain(words.find((word) => word.startsWith('model.'))?.split(' ')[0] ?? words[0])
})
