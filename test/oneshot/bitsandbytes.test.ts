import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { allLinears, readWeight } from '../../src/models/open-model.ts'
import { BitsAndBytesInt8Quantizer } from '../../src/oneshot/bitsandbytes-int8-quantizer.ts'
import { convert } from '../../src/oneshot/convert.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { rebuild } from '../../src/oneshot/rebuild.ts'
import { RecipeError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { copyModel, editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleNames, oracleRows, runForward, spread } from '../models/oracles.ts'
import { openForTest, sameBytes } from './runs.ts'

useEngine('wasm')

const ORIGINAL = oracleFolder('bitsandbytes/original')
const NAMES = oracleNames('bitsandbytes').filter((name) => !name.endsWith('original'))

function originalOf(name: string): string {
  if (name.startsWith('gpt2-')) return oracleFolder('architectures/gpt2')
  return name.startsWith('odd-') ? oracleFolder('bitsandbytes/odd-original') : ORIGINAL
}

/** The options that transformers was given, as it saved them. */
async function savedConfig(folder: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')).quantization_config
}

async function compressed(name: string): Promise<string> {
  const { _load_in_4bit, _load_in_8bit, quant_method, ...options } = await savedConfig(oracleFolder(`bitsandbytes/${name}`))
  const output = join(await temporaryFolder(), 'out')
  await oneshot({ model: originalOf(name), recipe: { BitsAndBytesModifier: options }, output, threads: 2 })
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
    expect(exact).toBeGreaterThanOrEqual(name.includes('int8') ? 0.8 * tokens : tokens)
    expect(Math.max(...errors)).toBeLessThan(0.05 * spread(expected))
  })

  test.each(NAMES)('%s: is sound, can be made again, and says how', async (name) => {
    const output = await compressed(name)
    const { problems, linears } = await verify(output, { against: originalOf(name) })
    expect(problems).toEqual([])
    const errors = linears.flatMap(({ error }) => error ?? [])
    expect(Math.max(...errors)).toBeLessThan(name.includes('int8') ? 3e-4 : 0.03)
    expect(await rebuild(output, { against: originalOf(name) })).toMatchObject({ problems: [] })
  })
})

describe('what BitsAndBytesModifier refuses', () => {
  const planned = (options: object, model = ORIGINAL, more: object = {}) =>
    planRun({ model, recipe: { BitsAndBytesModifier: options }, output: '/nowhere/out', ...more })

  test.each([
    [{}, 'found neither load_in_8bit nor load_in_4bit'],
    [{ load_in_8bit: true, load_in_4bit: true }, 'found both, expected one'],
    [{ load_in_8bit: true, llm_int8_has_fp16_weight: true }, 'it keeps the weights in 16 bits'],
    [{ load_in_4bit: true, bnb_4bit_quant_type: 'nf5' }, 'found "nf5" (did you mean "nf4"?)'],
    [{ load_in_4bit: true, bnb_4bit_quant_storage: 'int4' }, 'found "int4"'],
    [{ load_in_8bit: true, llm_int8_threshold: -1 }, 'llm_int8_threshold'],
    [{ load_in_8bit: true, llm_int8_skip_modules: 7 }, 'llm_int8_skip_modules'],
    [
      { load_in_8bit: true, llm_int8_skip_modules: ['lm_head', '('] },
      'Cannot use llm_int8_skip_modules: found "(", expected the beginning',
    ],
    [{ load_in_4bit: true, targets: ['re:.*up_proj'], ignore: ['re:.*'] }, 'leave no linear'],
  ])('%j', async (options, message) => {
    await expect(planned(options)).rejects.toThrow(message)
    await expect(planned(options)).rejects.toBeInstanceOf(RecipeError)
  })

  test('another format, and the format without it', async () => {
    await expect(planned({ load_in_4bit: true }, ORIGINAL, { format: 'gptq' })).rejects.toThrow(
      'Cannot write the format gptq: BitsAndBytesModifier makes checkpoints of bitsandbytes',
    )
    await expect(planRun({ model: ORIGINAL, recipe: 'W8A8', output: '/nowhere/out', format: 'bitsandbytes' })).rejects.toThrow(
      'Cannot use W8A8 channel in a bitsandbytes checkpoint: expected what BitsAndBytesModifier makes',
    )
  })

  test('a head that shares its weight, and two types in one model', async () => {
    await expect(planned({ load_in_8bit: true, llm_int8_skip_modules: [] })).rejects.toThrow(
      "lm_head is compressed, and its weight is the embedding's, expected lm_head in ignore.",
    )
    const two = [
      { BitsAndBytesModifier: { load_in_8bit: true, targets: ['re:.*self_attn.*'] } },
      { BitsAndBytesModifier: { load_in_4bit: true, targets: ['re:.*mlp.*'] } },
    ]
    await expect(planRun({ model: ORIGINAL, recipe: two, output: '/nowhere/out' })).rejects.toThrow(
      'such a checkpoint has one scheme for all',
    )
  })

  test('double quantization after a transform, since files are laid out before the run', async () => {
    const recipe = [{ SmoothQuantModifier: {} }, { BitsAndBytesModifier: { load_in_4bit: true, bnb_4bit_use_double_quant: true } }]
    await expect(planRun({ model: ORIGINAL, recipe, output: '/nowhere/out' })).rejects.toThrow('whose length must be known before the run')
  })

  test('codes that a storage type does not divide, by the name of the linear', async () => {
    const model = oracleFolder('bitsandbytes/odd-original')
    await expect(planned({ load_in_4bit: true, bnb_4bit_quant_storage: 'float32' }, model)).rejects.toThrow(
      /model\.layers\.0\.self_attn\.q_proj is FP4 .*found bnb_4bit_quant_storage float32 for 675 bytes of codes/,
    )
  })

  const UP = 'model.layers.0.mlp.up_proj.weight'
  test.each([
    ['NaN', 0x7fc0, { load_in_4bit: true }, 'found NaN at element 0'],
    ['infinity', 0x7f80, { load_in_4bit: true, bnb_4bit_use_double_quant: true }, 'found Infinity at element 0'],
    ['infinity', 0xff80, { load_in_8bit: true }, 'found -Infinity at element 0'],
  ])('%s in a weight, by tensor and file', async (_, bits, options, message) => {
    const model = await copyModel(join(await temporaryFolder(), 'model'), ORIGINAL)
    await editWeights(model, (bytes) => {
      bytes.writeUInt16LE(bits, tensorStart(bytes, UP))
      return bytes
    })
    const output = join(await temporaryFolder(), 'out')
    const run = oneshot({ model, recipe: { BitsAndBytesModifier: options }, output, threads: 2 })
    await expect(run).rejects.toThrow(`Cannot quantize ${UP} of model.safetensors: ${message}`)
    await expect(run).rejects.toMatchObject({ tensor: UP, file: 'model.safetensors' })
    expect(existsSync(output)).toBe(false)
  })

  test('LLM.int8: a weight that float16 cannot hold', async () => {
    const model = await copyModel(join(await temporaryFolder(), 'model'), ORIGINAL)
    // 1e5 in bfloat16.
    await editWeights(model, (bytes) => {
      bytes.writeUInt16LE(0x47c3, tensorStart(bytes, UP))
      return bytes
    })
    const run = oneshot({ model, recipe: { BitsAndBytesModifier: { load_in_8bit: true } }, output: join(await temporaryFolder(), 'out') })
    await expect(run).rejects.toThrow(`Cannot quantize ${UP}: found 99840 at element 0, expected weights that float16 can hold`)
  })
})

test('a weight of zeros is kept as zeros, whatever the type', async () => {
  const model = await copyModel(join(await temporaryFolder(), 'model'), ORIGINAL)
  await editWeights(model, (bytes) => {
    bytes.fill(
      0,
      tensorStart(bytes, 'model.layers.0.mlp.up_proj.weight'),
      tensorStart(bytes, 'model.layers.0.mlp.up_proj.weight') + 320 * 64 * 2,
    )
    return bytes
  })
  for (const options of [{ load_in_8bit: true }, { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true }]) {
    const output = join(await temporaryFolder(), 'out')
    await oneshot({ model, recipe: { BitsAndBytesModifier: options }, output, threads: 2 })
    const source = await openForTest(output)
    const spec = allLinears(source.model).find(({ name }) => name.endsWith('up_proj'))
    if (!spec) throw new Error('no up_proj')
    expect((await readWeight(source, spec)).every((value) => value === 0)).toBe(true)
    expect((await verify(output, { against: model })).problems).toEqual([])
  }
})

test('experts stay as they are, with a warning', async () => {
  const plan = await planRun({ model: oracleFolder('architectures/qwen3_moe'), recipe: 'llm-int8', output: '/nowhere/out' })
  expect(plan.warnings.join()).toMatch(
    /12 linears stay as they are \(model\.layers\.1\.mlp\.experts\.0\.gate_proj\): transformers has all experts/,
  )
  expect(plan.linears.filter(({ spec, scheme }) => scheme && /experts/.test(spec.name))).toEqual([])
  await plan.close()
})

test('a run that is stopped goes on to the same bytes', async () => {
  const recipe = { BitsAndBytesModifier: { load_in_4bit: true, bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true } }
  const whole = join(await temporaryFolder(), 'whole')
  const stopped = join(await temporaryFolder(), 'stopped')
  await oneshot({ model: oracleFolder('tiny'), recipe, output: whole, threads: 2 })
  const stop = new AbortController()
  const onProgress = (event: { type: string }) => {
    if (event.type === 'layer:done') stop.abort()
  }
  await expect(
    oneshot({ model: oracleFolder('tiny'), recipe, output: stopped, threads: 2, stop: stop.signal, onProgress }),
  ).rejects.toThrow('Stopped')
  await oneshot({ model: oracleFolder('tiny'), recipe, output: stopped, threads: 2 })
  const weights = (folder: string) => readFile(join(folder, 'model.safetensors'))
  expect((await weights(stopped)).equals(await weights(whole))).toBe(true)
})

describe('BitsAndBytesInt8Quantizer', () => {
  test('writes LLM.int8 with the options of transformers', async () => {
    const output = join(await temporaryFolder(), 'out')
    const quantizer = new BitsAndBytesInt8Quantizer(ORIGINAL, ORIGINAL)
    const record = await quantizer.quantizeModel({ load_in_8bit: true, llm_int8_threshold: 5, llm_int8_has_fp16_weight: false, output })
    expect(record).toMatchObject({ format: 'bitsandbytes' })
    expect(record.linears.every(({ method, scheme }) => method === 'LLM.int8' && scheme === 'LLM.int8 threshold 5')).toBe(true)
    expect(await savedConfig(output)).toMatchObject({ load_in_8bit: true, llm_int8_threshold: 5 })
  })

  test('has nothing to quantize to where the weights are to stay', async () => {
    await expect(new BitsAndBytesInt8Quantizer(ORIGINAL).quantizeModel({ llm_int8_has_fp16_weight: true })).rejects.toThrow('for training')
    await expect(new BitsAndBytesInt8Quantizer(ORIGINAL).quantizeModel({ load_in_8bit: false })).rejects.toThrow('found neither')
  })
})

test('no conversion from or to bitsandbytes', async () => {
  await expect(convert(oracleFolder('bitsandbytes/nf4'), { format: 'compressed-tensors' })).rejects.toThrow(
    'NF4 and FP4 are values of a table',
  )
  await expect(convert(oracleFolder('gptq-awq/gptq-w4-g32'), { format: 'bitsandbytes' })).rejects.toThrow('from gptq to bitsandbytes')
})

test('an original must be one', async () => {
  await expect(planRun({ model: oracleFolder('bitsandbytes/int8'), recipe: 'nf4', output: '/nowhere/out' })).rejects.toThrow(
    'it is already quantized',
  )
})
