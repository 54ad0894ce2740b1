import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { servedCache } from '../../src/eval/served-cache.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { openForTest } from '../oneshot/runs.ts'
import { bf16, readOracle } from '../schemes/oracle.ts'

const FOLDER = oracleFolder('checkpoints/fp8-kv-cache')

/** A copy of the checkpoint whose cache is described otherwise. */
async function changed(parts: object): Promise<string> {
  const folder = join(await temporaryFolder(), 'cache')
  await cp(FOLDER, folder, { recursive: true })
  const path = join(folder, 'config.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  Object.assign(config.quantization_config.kv_cache_scheme, parts)
  await writeFile(path, JSON.stringify(config))
  return folder
}

describe('servedCache', () => {
  test('reads the scales of keys and values of every layer', async () => {
    const stored = readOracle('checkpoints/fp8-kv-cache/model.safetensors')
    const scaleOf = (layer: number, suffix: string) =>
      bf16(stored.get(`model.layers.${layer}.self_attn.${suffix}`)?.bytes ?? new Uint8Array())
    const served = await servedCache(await openForTest(FOLDER))
    expect([...served.keys()]).toEqual([0, 1])
    for (const [layer, { args, k, v }] of served) {
      expect(args).toMatchObject({ num_bits: 8, type: 'float', strategy: 'tensor' })
      expect([k, v]).toEqual([scaleOf(layer, 'k_scale'), scaleOf(layer, 'v_scale')])
    }
  })

  test('is empty for a checkpoint whose cache is as computed', async () => {
    expect((await servedCache(await openForTest(oracleFolder('checkpoints/fp8-dynamic')))).size).toBe(0)
  })

  test.each([
    [{ type: 'int' }, /kv_cache_scheme of 8-bit int, strategy tensor/],
    [{ dynamic: true }, /found at run time/],
    [{ strategy: 'channel' }, /strategy channel/],
  ])('refuses %o', async (parts, message) => {
    const failure = servedCache(await openForTest(await changed(parts)))
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(message)
  })
})
