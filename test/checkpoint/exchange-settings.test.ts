import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { exchangeSettings } from '../../src/checkpoint/exchange-settings.ts'
import { isJsonObject, readJsonFile } from '../../src/checkpoint/json-file.ts'
import { inspect } from '../../src/eval/inspect.ts'
import { verify } from '../../src/eval/verify.ts'
import { convert } from '../../src/oneshot/convert.ts'
import { oracleFolder, oracleNames } from '../models/oracles.ts'
import { temporaryFolder } from './folders.ts'

const settingsOf = (section: object) => exchangeSettings({ quantization_config: section })

describe('exchangeSettings()', () => {
  test('keeps settings of GPTQ kernels and says what they are', () => {
    const kernel = { use_exllama: true, exllama_config: { version: 2 }, max_input_length: 4096, backend: 'marlin', use_marlin: true }
    const { settings, notes } = settingsOf({ quant_method: 'gptq', bits: 4, sym: true, use_triton: null, ...kernel }) ?? {}
    expect(settings).toEqual(kernel)
    expect(notes).toEqual([
      'quantization_config has use_exllama, exllama_config, max_input_length, backend, use_marlin: settings of kernels on GPUs: nothing is ' +
        'computed by them here, and the codes do not depend on them',
    ])
  })

  test("keeps AWQ's version and joined layers, and says what they mean here", () => {
    const fused = { do_fuse: true, fuse_max_seq_len: 512, modules_to_fuse: { attention: ['q_proj'] } }
    const { settings, notes } = settingsOf({ quant_method: 'awq', bits: 4, version: 'GEMM', ...fused }) ?? {}
    expect(settings).toEqual({ version: 'GEMM', ...fused })
    expect(notes).toEqual([
      expect.stringMatching(/^quantization_config has do_fuse, fuse_max_seq_len, modules_to_fuse: layers that AutoAWQ/),
    ])
  })

  test.each(['gptq', 'awq'])('names what it does not know in %s', (quant_method) => {
    const { settings, notes } = settingsOf({ quant_method, bits: 4, rotation: 'hadamard', fuse: 1 }) ?? {}
    expect(settings).toEqual({})
    expect(notes).toEqual([expect.stringMatching(/^quantization_config has rotation, fuse: not known here and not looked at/)])
  })

  test('is null for other methods and none', () => {
    expect(settingsOf({ quant_method: 'compressed-tensors', backend: 'x' })).toBeNull()
    expect(exchangeSettings({})).toBeNull()
  })

  test.each(oracleNames('gptq-awq'))('has nothing to say of what GPTQModel wrote: %s', async (name) => {
    expect(exchangeSettings(await readConfig(oracleFolder(`gptq-awq/${name}`)))?.notes).toEqual([])
  })
})

test('inspect and verify tell settings of kernels, convert keeps them in its record, and all warn of unknown keys', async () => {
  const folder = join(await temporaryFolder(), 'model')
  await cp(oracleFolder('gptq-awq/gptq-w4-g32'), folder, { recursive: true })
  const config = await readConfig(folder)
  const section = isJsonObject(config.quantization_config) ? config.quantization_config : {}
  const settings = { use_exllama: true, exllama_config: { version: 2 } }
  await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, quantization_config: { ...section, ...settings, strange: 1 } }))
  const inspection = await inspect(folder)
  const notes = [
    expect.stringMatching(/^quantization_config has .*use_exllama, exllama_config: settings of kernels/),
    expect.stringMatching(/^quantization_config has strange: not known here/),
  ]
  expect(inspection.settings).toEqual(settings)
  expect(inspection.notes).toEqual(notes)
  expect((await verify(folder)).notes).toEqual(expect.arrayContaining(notes))
  const output = join(await temporaryFolder(), 'out')
  const conversion = await convert(folder, { format: 'compressed-tensors', output })
  expect(conversion.settings).toEqual(settings)
  expect(conversion.notes).toEqual(expect.arrayContaining(notes))
  expect(await readJsonFile(join(output, 'llmpress-report.json'))).toMatchObject({ settings })
  expect((await readConfig(output)).quantization_config).not.toHaveProperty('use_exllama')
})
