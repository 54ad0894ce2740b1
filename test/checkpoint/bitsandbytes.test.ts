import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseQuantizationConfig } from '../../src/checkpoint/config.ts'
import { layoutNamed } from '../../src/checkpoint/layouts.ts'
import { moduleOfTensor } from '../../src/checkpoint/module-of.ts'
import { bitsandbytesScheme } from '../../src/checkpoint/parse-bitsandbytes-config.ts'
import { decodeQuantState, encodeQuantState, mostQuantStateBytes } from '../../src/checkpoint/quant-state.ts'
import { compare } from '../../src/eval/compare.ts'
import { inspect } from '../../src/eval/inspect.ts'
import { inspectTensor } from '../../src/eval/inspect-tensor.ts'
import { verify } from '../../src/eval/verify.ts'
import { allLinears, openModel, readWeight } from '../../src/models/open-model.ts'
import { bytesOf } from '../../src/numerics/view.ts'
import { quantizeFourBit, quantizeLlmInt8 } from '../../src/schemes/bitsandbytes.ts'
import { dequantize } from '../../src/schemes/quantize.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { copyModel, editHeader, editWeights, tensorStart } from '../e2e/model-copy.ts'
import { oracleFolder } from '../models/oracles.ts'
import { openForTest } from '../oneshot/runs.ts'
import '../fixed-seed.ts'
import { temporaryFolder } from './folders.ts'

const oracle = (name: string) => oracleFolder(`bitsandbytes/${name}`)
const UP = 'model.layers.0.mlp.up_proj'

const SETTINGS = {
  bnb_4bit_use_double_quant: false,
  bnb_4bit_quant_storage: 'uint8',
  bnb_4bit_compute_dtype: 'float32',
  llm_int8_threshold: 6,
  llm_int8_enable_fp32_cpu_offload: false,
}

describe('quant_state', () => {
  const state = { type: 'nf4', blockSize: 64, dtype: 'BF16', rows: 3, columns: 128 } as const

  test('is the text that Python writes', () => {
    const text = (offset: number | null) => new TextDecoder().decode(encodeQuantState({ ...state, offset }))
    expect(text(null)).toBe('{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [3, 128]}')
    expect(text(0.05)).toMatch(/"shape": \[3, 128\], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0\.05\}$/)
    // As Python's repr has them.
    const printed = (offset: number) => /"nested_offset": (.*)\}/.exec(text(offset))?.[1]
    expect([0, -0, 1, 1e-5, 1.5e-7, 0.0001, 123456, 1e16, 2.5e20].map(printed)).toEqual([
      ...['0.0', '-0.0', '1.0', '1e-05', '1.5e-07', '0.0001', '123456.0', '1e+16', '2.5e+20'],
    ])
  })

  test('comes back from any offset, and never takes more bytes than were planned', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (offset) => {
        const bytes = encodeQuantState({ ...state, offset })
        expect(bytes.length).toBeLessThanOrEqual(mostQuantStateBytes(state, true))
        expect(decodeQuantState(bytes, 'x', state, true)).toEqual({ ...state, offset })
      }),
    )
  })

  test.each([
    ['no JSON', '{', 'that are no JSON'],
    ['a list', '[]', 'no object'],
    ['another type', '{"quant_type": "fp4"}', 'quant_type "fp4", expected "nf4"'],
    ['other blocks', '{"quant_type": "nf4", "blocksize": 128}', 'blocksize 128, expected 64'],
    ['another shape', '{"quant_type": "nf4", "blocksize": 64, "shape": [3, 64]}', 'shape [3,64], expected [3,128]'],
    [
      'a type that no weight has',
      '{"quant_type": "nf4", "blocksize": 64, "shape": [3, 128], "dtype": "int8"}',
      'dtype "int8", expected float32',
    ],
    [
      'an offset that nobody asked for',
      '{"quant_type": "nf4", "blocksize": 64, "shape": [3, 128], "dtype": "float32", "nested_offset": 1}',
      'nested_offset 1, expected none',
    ],
  ])('that is %s is refused', (_, text, message) => {
    expect(() => decodeQuantState(new TextEncoder().encode(text), 'weight.quant_state', state, false)).toThrow(message)
  })
})

test.each([
  ['an offset past float32', 256, 'float32', '1e39', 'nested_offset 1e+39, expected a float32'],
  ['scales of scales in another type', 256, 'float16', '1', 'nested_dtype "float16", expected "float32"'],
])('quant_state of double quantization with %s is refused', (_, block, dtype, offset, message) => {
  const state = { type: 'nf4', blockSize: 64, rows: 3, columns: 128 } as const
  const nested = `"nested_blocksize": ${block}, "nested_dtype": "${dtype}", "nested_offset": ${offset}`
  const text = `{"quant_type": "nf4", "blocksize": 64, "shape": [3, 128], "dtype": "float32", ${nested}}`
  expect(() => decodeQuantState(new TextEncoder().encode(text), 'weight.quant_state', state, true)).toThrow(message)
})

describe('bitsandbytes layouts', () => {
  const weights = fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom(64, 128, 16, 40), fc.integer({ min: 0, max: 2 ** 31 - 1 }))
    .map(([rows, columns, seed]) => {
      let state = seed
      const values = Float32Array.from({ length: rows * columns }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.fround((state / 2 ** 32 - 0.5) * 3)
      })
      return { rows, columns, values }
    })

  test('give back codes and scales of every kind', async () => {
    const [four, eight] = [await layoutNamed('bitsandbytes-4bit'), await layoutNamed('bitsandbytes-8bit')]
    await fc.assert(
      fc.asyncProperty(weights, fc.constantFrom('nf4', 'fp4', 'int8'), fc.boolean(), async ({ rows, columns, values }, type, double) => {
        const settings = { ...SETTINGS, bnb_4bit_use_double_quant: double, bnb_4bit_quant_storage: double ? 'float32' : 'uint8' }
        const { weights: args } = bitsandbytesScheme({ type: type as 'nf4', settings })
        if (!args) throw new Error('no weights')
        const layout = type === 'int8' ? eight : four
        const made =
          type === 'int8' ? quantizeLlmInt8(values, rows, columns, args, 'x') : quantizeFourBit(values, rows, columns, args, 'BF16')
        const bytes = layout.encode(made)
        for (const { suffix, shape, varies } of layout.tensors(args, rows, columns, 'BF16')) {
          if (varies) expect(bytes.get(suffix)?.length).toBeLessThanOrEqual(shape[0])
        }
        const read = await layout.decode(args, rows, columns, 'F32', async (suffix) => bytes.get(suffix) ?? new Uint8Array())
        expect(read).toEqual(made)
        const again = dequantize(read)
        const loss =
          again.reduce((sum, value, i) => sum + (value - values[i]) ** 2, 0) / values.reduce((sum, value) => sum + value * value, 0)
        expect(loss).toBeLessThan(type === 'int8' ? 1e-4 : 0.05)
      }),
    )
  })

  test('say how long what varies is, before it is there', async () => {
    const layout = await layoutNamed('bitsandbytes-4bit')
    const { weights: args } = bitsandbytesScheme({ type: 'nf4', settings: { ...SETTINGS, bnb_4bit_use_double_quant: true } })
    if (!args) throw new Error('no weights')
    fc.assert(
      fc.property(weights, ({ rows, columns, values }) => {
        const lengths = layout.lengths?.(args, rows, columns, 'BF16')?.(values)
        const bytes = layout.encode(quantizeFourBit(values, rows, columns, args, 'BF16'))
        expect([...(lengths ?? [])]).toEqual([
          ['weight.quant_state.bitsandbytes__nf4', bytes.get('weight.quant_state.bitsandbytes__nf4')?.length],
        ])
      }),
    )
  })

  test('refuse weights without elements, and storage that does not divide', async () => {
    const layout = await layoutNamed('bitsandbytes-4bit')
    const scheme = { ...bitsandbytesScheme({ type: 'nf4', settings: { ...SETTINGS, bnb_4bit_quant_storage: 'float64' } }), targets: [] }
    expect(layout.refuses?.(scheme, 0, 64)).toMatch(/without elements, \[0, 64\]/)
    expect(layout.refuses?.(scheme, 3, 9)).toMatch(/bnb_4bit_quant_storage float64 for 14 bytes of codes, expected one of/)
    expect(layout.refuses?.(scheme, 3, 64)).toBeNull()
    const odd = { ...bitsandbytesScheme({ type: 'nf4', settings: { ...SETTINGS, bnb_4bit_quant_storage: 'int4' } }), targets: [] }
    expect(layout.refuses?.(odd, 3, 64)).toMatch(/bnb_4bit_quant_storage int4 for 96 bytes/)
  })
})

describe('quantization_config of bitsandbytes', () => {
  const parsed = (stored: object) => parseQuantizationConfig({ quantization_config: { quant_method: 'bitsandbytes', ...stored } })

  test('becomes one scheme for all linears', () => {
    expect(parsed({ load_in_8bit: true, llm_int8_threshold: 4 })?.config_groups.group_0).toMatchObject({
      format: 'bitsandbytes-8bit',
      weights: { num_bits: 8, type: 'int', strategy: 'channel' },
      input_activations: { num_bits: 8, strategy: 'token', dynamic: true, outlier_threshold: 4 },
    })
    expect(
      parsed({ load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_compute_dtype: 'torch.bfloat16' })?.config_groups.group_0,
    ).toMatchObject({
      format: 'bitsandbytes-4bit',
      weights: { num_bits: 4, type: 'nf4', group_size: 64, bitsandbytes: { bnb_4bit_compute_dtype: 'bfloat16' } },
      input_activations: null,
    })
    // Before transformers wrote a method.
    expect(parseQuantizationConfig({ quantization_config: { load_in_4bit: true } })?.config_groups.group_0.weights?.type).toBe('fp4')
  })

  test.each([
    [{}, 'its load_in_8bit is false, expected load_in_4bit to be true'],
    [{ load_in_8bit: true, load_in_4bit: true }, 'its load_in_8bit is true, expected load_in_4bit to be false'],
    [{ load_in_4bit: 1 }, 'its load_in_4bit is 1, expected true or false'],
    [{ load_in_4bit: true, bnb_4bit_quant_type: 'nf5' }, 'its bnb_4bit_quant_type is "nf5", expected nf4, fp4'],
    [{ load_in_4bit: true, bnb_4bit_quant_storage: 'int4' }, 'its bnb_4bit_quant_storage is "int4", expected uint8, int8'],
    [{ load_in_4bit: true, bnb_4bit_compute_dtype: 'int8' }, 'its bnb_4bit_compute_dtype is "int8", expected float32'],
    [{ load_in_8bit: true, llm_int8_threshold: '6' }, 'its llm_int8_threshold is "6", expected a number'],
    [{ load_in_8bit: true, llm_int8_threshold: -1 }, 'its llm_int8_threshold is -1, expected a number of at least 0'],
    [{ load_in_8bit: true, llm_int8_has_fp16_weight: true }, 'its llm_int8_has_fp16_weight is true, expected false'],
    [{ load_in_8bit: true, llm_int8_skip_modules: 7 }, 'its llm_int8_skip_modules is 7, expected a list of names of modules'],
    [{ load_in_8bit: true, llm_int8_skip_modules: [7] }, 'its llm_int8_skip_modules is [7], expected a list'],
    [{ load_in_8bit: true, llm_int8_skip_modules: ['('] }, 'its llm_int8_skip_modules is "(", expected regular expressions'],
    [{ load_in_4bit: true, bnb_4bit_use_double_quant: 'true' }, 'its bnb_4bit_use_double_quant is "true", expected true or false'],
    [{ load_in_4bit: true, bnb_4bit_quant_type: 4 }, 'its bnb_4bit_quant_type is 4, expected nf4, fp4'],
    [{ load_in_8bit: true, llm_int8_enable_fp32_cpu_offload: 1 }, 'its llm_int8_enable_fp32_cpu_offload is 1, expected true or false'],
  ])('%j is refused with its key', (stored, message) => {
    expect(() => parsed(stored)).toThrow(`Cannot read quantization_config of config.json: ${message}`)
    expect(() => parsed(stored)).toThrow(CheckpointError)
  })

  test('names of modules in any regular expression of Python are read', () => {
    const skipped = ['lm_head', 'model.layers.*', '(?P<name>q)_proj', '(?i)LM']
    expect(parsed({ load_in_8bit: true, llm_int8_skip_modules: skipped })?.format).toBe('bitsandbytes-8bit')
  })
})

describe('damaged bitsandbytes checkpoints', () => {
  async function damaged(name: string, edit: (folder: string) => Promise<void>): Promise<string> {
    const folder = await copyModel(join(await temporaryFolder(), name), oracle(name))
    await edit(folder)
    return folder
  }

  async function failure(folder: string): Promise<CheckpointError> {
    const error = await (async () => {
      const source = await openModel(folder)
      try {
        for (const spec of allLinears(source.model)) await readWeight(source, spec)
      } finally {
        await source.close()
      }
    })().then(
      () => null,
      (thrown: unknown) => thrown,
    )
    if (!(error instanceof CheckpointError)) throw new Error(`expected a CheckpointError, found ${error}`)
    return error
  }

  const overwrite = (tensor: string, bytes: Uint8Array) => (folder: string) =>
    editWeights(folder, (file) => {
      file.set(bytes, tensorStart(file, tensor))
      return file
    })

  test.each([
    ['nf4', `${UP}.weight.quant_map`, Uint8Array.of(0, 0, 0, 0), 'found 0 for code 0, expected -1 of nf4'],
    ['nf4-double', `${UP}.weight.quant_state.bitsandbytes__nf4`, new TextEncoder().encode('['), 'no JSON'],
    ['nf4-double', `${UP}.weight.nested_quant_map`, bytesOf(Float32Array.of(Number.NaN)), 'found NaN for code 0'],
    ['nf4', `${UP}.weight.quant_map`, bytesOf(Float32Array.of(Number.NaN)), 'found NaN for code 0, expected -1 of nf4'],
    ['nf4', `${UP}.weight.absmax`, bytesOf(Float32Array.of(Number.NaN)), 'found NaN at element 0, expected a magnitude'],
    ['fp4', `${UP}.weight.absmax`, bytesOf(Float32Array.of(1, -2)), 'found -2 at element 1, expected a magnitude'],
    ['nf4-double', `${UP}.weight.nested_absmax`, bytesOf(Float32Array.of(-1)), 'found -1 at element 0, expected a magnitude'],
    ['nf4-double', `${UP}.weight.nested_absmax`, bytesOf(Float32Array.of(Number.NaN)), 'found NaN at element 0, expected a magnitude'],
    ['int8', `${UP}.SCB`, bytesOf(Float32Array.of(1, Number.POSITIVE_INFINITY)), 'found Infinity at element 1, expected a magnitude'],
    ['int8', `${UP}.SCB`, bytesOf(Float32Array.of(-0.5)), 'found -0.5 at element 0, expected a magnitude'],
    ['int8', `${UP}.weight_format`, Uint8Array.of(1), 'found 1, expected 0'],
  ])('%s with another %s names tensor and file', async (name, tensor, bytes, message) => {
    const error = await failure(await damaged(name, overwrite(tensor, bytes)))
    expect(error.message).toContain(message)
    expect(error.message).toContain(`${tensor} of model.safetensors`)
    expect({ tensor: error.tensor, file: error.file }).toEqual({ tensor, file: 'model.safetensors' })
    const { problems, linears } = await verify(await damaged(name, overwrite(tensor, bytes)))
    expect(problems).toEqual([error.message])
    expect(linears.length).toBeGreaterThan(6)
  })

  test('an offset that is no number is found, as JSON has no other', async () => {
    const suffix = 'weight.quant_state.bitsandbytes__nf4'
    const folder = await damaged('nf4-double', (folder) =>
      editWeights(folder, (file) => {
        const from = file.indexOf('"nested_offset": ', tensorStart(file, `${UP}.${suffix}`)) + 17
        const to = file.indexOf('}', from)
        file.write('NaN'.padEnd(to - from), from)
        return file
      }),
    )
    const { message, tensor } = await failure(folder)
    expect(message).toContain('that are no JSON')
    expect(tensor).toBe(`${UP}.${suffix}`)
    expect((await verify(folder)).problems).toEqual([message])
  })

  test('codes of another type of the same size are refused by name', async () => {
    const folder = await damaged('int8', (folder) =>
      editHeader(folder, (header) => {
        header[`${UP}.weight`].dtype = 'U8'
      }),
    )
    const error = await failure(folder)
    expect(error.message).toBe(`Cannot use ${UP}.weight of model.safetensors: it is stored as U8, expected I8.`)
    expect({ tensor: error.tensor, file: error.file }).toEqual({ tensor: `${UP}.weight`, file: 'model.safetensors' })
  })

  test('a scale or a code tensor of another shape is refused by name', async () => {
    const folder = await damaged('nf4', (folder) =>
      editHeader(folder, (header) => {
        header[`${UP}.weight.absmax`].shape = [4, 80]
      }),
    )
    expect((await failure(folder)).message).toBe(
      `Cannot use the checkpoint: ${UP}.weight.absmax has shape [4,80], expected [320] from config.json.`,
    )
  })

  test('config.json that does not fit the tensors is refused by name', async () => {
    const folder = await damaged('nf4', async (folder) => {
      const path = join(folder, 'config.json')
      const config = JSON.parse(await readFile(path, 'utf8'))
      config.quantization_config.bnb_4bit_quant_type = 'fp4'
      await writeFile(path, JSON.stringify(config))
    })
    expect((await failure(folder)).message).toContain('quant_state.bitsandbytes__fp4')
  })
})

test('inspect shows modules by scheme and shape, and a tensor with what its codes stand for', async () => {
  for (const [name, kind, bits] of [
    ['nf4-double', 'NF4 g64 double quant', 4.7],
    ['int8', 'LLM.int8', 8.6],
  ] as const) {
    const { format, modules } = await inspect(oracle(name))
    expect(format).toBe(name === 'int8' ? 'bitsandbytes-8bit' : 'bitsandbytes-4bit')
    const up = modules.find((module) => module.name === UP)
    expect(up).toMatchObject({ kind, shape: [320, 64] })
    expect(up?.bitsPerWeight).toBeLessThan(bits)
  }
  const { linear } = await inspectTensor(oracle('nf4'), UP)
  expect(linear).toMatchObject({ scheme: 'NF4 g64', shape: [320, 64] })
  expect(linear?.codes.every(({ code }) => code >= 0 && code < 16)).toBe(true)
})

test('compare sees linears, whatever each of them is stored as', async () => {
  const { tensors, differing } = await compare(oracle('nf4-double'), oracle('int8'))
  expect(differing).toEqual([])
  expect(tensors.filter(({ name }) => name.endsWith('_proj'))).toHaveLength(7)
})

test('moduleOfTensor() goes up to the weight that a tensor describes', () => {
  const names = ['a.weight', 'a.SCB', 'a.weight.absmax', 'a.weight.nested_quant_map', 'a.weight.quant_state.bitsandbytes__nf4']
  expect(new Set(names.map(moduleOfTensor))).toEqual(new Set(['a']))
  expect(moduleOfTensor('a.weight.other')).toBe('a.weight')
})

test('a checkpoint of another program is opened with its biases', async () => {
  const { model, compressed } = await openForTest(oracle('int8'))
  const q = allLinears(model).find(({ name }) => name.endsWith('q_proj'))
  expect(q?.bias).toBe(true)
  expect(compressed.has('lm_head')).toBe(false)
  expect(compressed.size).toBe(7)
})
