import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { calibrationLines, quantizationLines } from '../../src/cli/int8-log.ts'
import { verify } from '../../src/eval/verify.ts'
import { allLinears, readSoundCodes, readWeight } from '../../src/models/open-model.ts'
import { FLOAT_DTYPES_BY_NAME, FLOAT_NAMES } from '../../src/numerics/dtype-names.ts'
import { roundToDtype } from '../../src/numerics/float-dtype.ts'
import { roundHalfEven } from '../../src/numerics/round.ts'
import { Int8Quantizer } from '../../src/oneshot/int8-quantizer.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { openForTest } from '../oneshot/runs.ts'

const rows = [Array.from({ length: 16 }, (_, i) => i + 1)]
const original = oracleFolder('tiny')

describe('scale_dtype of Int8Modifier', () => {
  test.each(FLOAT_NAMES)('%s: scales are stored so, codes follow from the rounded scales, and the checkpoint is sound', async (name) => {
    const dtype = FLOAT_DTYPES_BY_NAME[name]
    const output = `${await temporaryFolder()}/${name}`
    const quantizer = new Int8Quantizer(original, original, { scale_dtype: name, symmetry_threshold: 0 })
    const record = await quantizer.quantizeModel(rows, { output, engine: 'wasm' })
    expect(record.linears.map(({ int8 }) => int8?.scaleDtype)).toEqual(Array(14).fill(name))
    const [report] = record.linears
    expect([...calibrationLines(report), ...quantizationLines(report)]).toContain(`  scale_dtype: ${name}`)
    const { quantization_config: config } = JSON.parse(await readFile(`${output}/config.json`, 'utf8'))
    expect(config.config_groups.group_0.weights.scale_dtype).toBe(`torch.${name}`)
    expect((await verify(output, { against: original })).problems).toEqual([])
    const [compressed, source] = [await openForTest(output), await openForTest(original)]
    for (const spec of allLinears(source.model).filter(({ name: linear }) => linear !== 'lm_head')) {
      const stored = compressed.compressed.get(spec.name)
      if (!stored?.scheme.weights) throw new Error(`${spec.name} is not compressed`)
      expect(compressed.reader.info(`${spec.name}.weight_scale`).dtype).toBe(dtype)
      const { codes, scale } = await readSoundCodes(compressed.reader, stored, stored.scheme.weights, spec)
      const weight = await readWeight(source, spec)
      for (let row = 0; row < spec.rows; row++) {
        const values = weight.subarray(row * spec.columns, (row + 1) * spec.columns)
        const own = Float32Array.of(Math.max(...values.map(Math.abs)) / 127)
        roundToDtype(own, dtype)
        expect(scale[row]).toBe(own[0])
        const expected = Array.from(values, (value) => Math.max(-127, Math.min(127, roundHalfEven(Math.fround(value / own[0])))))
        expect([...codes.subarray(row * spec.columns, (row + 1) * spec.columns)]).toEqual(expected)
      }
    }
  })

  test('without it scales have the type of the weights, and config.json says nothing of them', async () => {
    const output = `${await temporaryFolder()}/own`
    const { linears } = await new Int8Quantizer(original).quantizeModel(rows, { output, engine: 'wasm' })
    expect(linears.every(({ int8 }) => int8 && !('scaleDtype' in int8))).toBe(true)
    const [compressed, source] = [await openForTest(output), await openForTest(original)]
    const [{ name }] = allLinears(source.model)
    expect(compressed.reader.info(`${name}.weight_scale`).dtype).toBe(source.reader.info(`${name}.weight`).dtype)
    expect(await readFile(`${output}/config.json`, 'utf8')).not.toContain('scale_dtype')
  })

  test('another name is refused with those there are', async () => {
    await expect(loadRecipe({ Int8Modifier: { scale_dtype: 'float8' } })).rejects.toThrow(/scale_dtype.*float32/s)
  })

  test.each(['gptq', 'awq'] as const)('files of %s have float16 scales: another type is refused before any work', async (format) => {
    const recipe = { Int8Modifier: { ignore: ['lm_head'], scale_dtype: 'float32' } }
    const output = `${await temporaryFolder()}/${format}`
    await expect(oneshot({ model: original, recipe, format, dataset: rows, output, engine: 'wasm' })).rejects.toThrow(/scale_dtype/)
  })
})
