import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { encodeFloats } from '../../src/numerics/float-dtype.ts'
import { folderOf, safetensorsFile } from '../checkpoint/folders.ts'

/** A copy of a checkpoint in float32, each tensor edited on the way, with keys of config.json changed. */
export async function floatCopy(
  folder: string,
  edit: (name: string, values: Float32Array, shape: readonly number[]) => void = () => {},
  config: object = {},
): Promise<string> {
  const reader = await openCheckpoint(folder)
  try {
    const tensors: TensorData[] = []
    for (const { name, shape } of reader.tensors.values()) {
      const values = await reader.readFloats(name)
      edit(name, values, shape)
      tensors.push({ name, dtype: 'F32', shape, bytes: encodeFloats(values, 'F32') })
    }
    const original = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))
    return await folderOf({ 'model.safetensors': safetensorsFile(tensors), 'config.json': { ...original, ...config } })
  } finally {
    await reader.close()
  }
}
