import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/checkpoint/config.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { folderOf, safetensorsFile, temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleRows, runForward } from './oracles.ts'

useEngine('wasm')

const ORACLE = 'architectures/gemma3'
const ROWS = oracleRows(`${ORACLE}/reference.safetensors`, 'input_ids')

/** The text model as part of one that sees, its names changed, with a tower beside. */
async function wrapped(rename: (name: string) => string): Promise<string> {
  const reader = await openCheckpoint(oracleFolder(ORACLE))
  try {
    const tensors: TensorData[] = []
    for (const { name, dtype, shape } of reader.tensors.values()) {
      tensors.push({ name: rename(name), dtype, shape, bytes: await reader.read(name) })
    }
    const tower = { name: 'vision_tower.blocks.0.proj.weight', dtype: 'F32' as const, shape: [2, 2], bytes: new Uint8Array(16) }
    const text = await readConfig(oracleFolder(ORACLE))
    return await folderOf({
      'config.json': { model_type: 'gemma3', text_config: text },
      'model.safetensors': safetensorsFile([...tensors, tower]),
    })
  } finally {
    await reader.close()
  }
}

describe('a text model within a model that sees', () => {
  test.each([
    ['model.language_model', (name: string) => name.replace(/^model/, 'model.language_model')],
    ['language_model.model', (name: string) => `language_model.${name}`],
    ['model', (name: string) => name],
  ])('is found at %s, and computes what it does by itself', async (_, rename) => {
    const { logits } = await runForward(await wrapped(rename), ROWS)
    expect(largestDifference(logits, oracleFloats(`${ORACLE}/reference.safetensors`, 'logits'))).toBeLessThan(2e-4)
  })

  test('is calibrated and compressed, and the tower passes through, listed and ignored', async () => {
    const [model, output] = [await wrapped((name) => name.replace(/^model/, 'model.language_model')), `${await temporaryFolder()}/out`]
    const recipe = { modifiers: { GPTQModifier: { scheme: 'W4A16', group_size: 32, ignore: ['lm_head'] } } }
    const { linears, warnings } = await oneshot({ model, recipe, output, dataset: ROWS, engine: 'wasm', threads: 1 })
    expect(linears).toHaveLength(21)
    expect(linears[0].name).toBe('model.language_model.layers.0.self_attn.q_proj')
    expect(warnings.join()).toContain('vision_tower.blocks.0.proj.weight')
    const { quantization_config } = (await readConfig(output)) as { quantization_config: { ignore: string[] } }
    expect(quantization_config.ignore).toEqual(['lm_head', 'vision_tower.blocks.0.proj', 're:.*vision_tower\\..*'])
    const reader = await openCheckpoint(output)
    expect(reader.info('vision_tower.blocks.0.proj.weight').dtype).toBe('F32')
    await reader.close()
  })
})
