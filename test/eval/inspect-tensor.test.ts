import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { inspectTensor } from '../../src/eval/inspect-tensor.ts'
import { CheckpointError, UserError } from '../../src/util/errors.ts'
import { folderOf, safetensorsFile } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'

const LINEAR = 'model.layers.0.mlp.up_proj'

describe('inspectTensor', () => {
  test('shows a plain tensor: type, shape, statistics, first values', async () => {
    const bytes = new Uint8Array(new Float32Array([1, -3, 0, 2]).buffer)
    const dir = await folderOf({
      'config.json': { model_type: 'other' },
      'model.safetensors': safetensorsFile([{ name: 'x.weight', dtype: 'F32', shape: [2, 2], bytes }]),
    })
    expect(await inspectTensor(dir, 'x', { first: 2 })).toEqual({
      name: 'x.weight',
      dtype: 'F32',
      shape: [2, 2],
      bytes: 16,
      file: 'model.safetensors',
      statistics: { count: 4, min: -3, max: 2, mean: 0, std: Math.sqrt(3.5), zeros: 1, nonFinite: 0 },
      first: [1, -3],
      linear: null,
    })
  })

  test('of a compressed linear shows codes, scales and what they stand for', async () => {
    const dir = oracleFolder('checkpoints/rtn-w4a16')
    const { linear, first, statistics } = await inspectTensor(dir, LINEAR)
    expect({ first, statistics }).toEqual({ first: [], statistics: null })
    const total = linear?.codes.reduce((sum, { count }) => sum + count, 0)
    expect(total).toBe((linear?.shape[0] ?? 0) * (linear?.shape[1] ?? 0))
    expect(linear?.codes.every(({ code }) => code >= -8 && code <= 7)).toBe(true)
    const reader = await openCheckpoint(dir)
    const scales = await reader.readFloats(`${LINEAR}.weight_scale`)
    await reader.close()
    expect(linear?.scale).toMatchObject({ count: scales.length, min: Math.min(...scales), max: Math.max(...scales) })
    // The same linear by the name of one of its tensors.
    expect((await inspectTensor(dir, `${LINEAR}.weight_scale`)).linear).toEqual(linear)
  })

  test('a name that is not there is an error with the nearest one', async () => {
    const dir = oracleFolder('tiny')
    await expect(inspectTensor(dir, 'model.layers.0.mlp.up_porj.weight')).rejects.toThrow(`did you mean "${LINEAR}.weight"?`)
    await expect(inspectTensor(dir, 'nothing')).rejects.toThrow(CheckpointError)
    await expect(inspectTensor(dir, '')).rejects.toThrow(UserError)
  })
})
