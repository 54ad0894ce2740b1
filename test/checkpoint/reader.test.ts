import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/checkpoint/file-hash.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { CheckpointError, RunError } from '../../src/util/errors.ts'
import { bytesTensor, folderOf, safetensorsFile, temporaryFolder } from './folders.ts'

const oracle = fileURLToPath(new URL('../oracles/checkpoints/rtn-w4a16/', import.meta.url))
const INDEX = 'model.safetensors.index.json'

async function refusal(dir: string): Promise<string> {
  const error = await openCheckpoint(dir).then(
    () => undefined,
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(CheckpointError)
  return error.message
}

async function sharded(weightMap: Record<string, unknown>): Promise<string> {
  return folderOf({
    'a.safetensors': safetensorsFile([bytesTensor('x', 1, 2, 3)]),
    'b.safetensors': safetensorsFile([bytesTensor('y', 4), bytesTensor('z', 5)]),
    [INDEX]: { weight_map: weightMap },
  })
}

describe('openCheckpoint', () => {
  it('reads the tensors of a file that Python wrote', async () => {
    const reader = await openCheckpoint(oracle)
    expect(reader.tensors.size).toBe(48)
    expect(reader.info('model.norm.weight')).toMatchObject({ dtype: 'BF16', shape: [128], file: 'model.safetensors' })
    expect(await reader.readFloats('model.norm.weight')).toHaveLength(128)
    expect(new BigInt64Array((await reader.read('model.layers.0.mlp.down_proj.weight_shape')).buffer)).toEqual(BigInt64Array.of(128n, 256n))
    await reader.close()
  })

  it('joins the shards of an index, and finds tensors that the index forgot', async () => {
    const reader = await openCheckpoint(await sharded({ x: 'a.safetensors', y: 'b.safetensors' }))
    expect([...reader.tensors.keys()].sort()).toEqual(['x', 'y', 'z'])
    expect([...(await reader.read('x'))]).toEqual([1, 2, 3])
    expect([...(await reader.read('z'))]).toEqual([5])
    await reader.close()
  })

  it('refuses links to files outside the folder, and follows those within', async () => {
    const [target, dir] = [await folderOf({ blob: safetensorsFile([bytesTensor('x', 7)]) }), await temporaryFolder()]
    await symlink(join(target, 'blob'), join(dir, 'model.safetensors'))
    expect(await refusal(dir)).toContain(`found model.safetensors, a link to ${join(target, 'blob')}`)
    await rm(join(dir, 'model.safetensors'))
    await writeFile(join(dir, 'own'), await readFile(join(target, 'blob')))
    await symlink('own', join(dir, 'model.safetensors'))
    await (await openCheckpoint(dir)).close()
  })

  it("follows the links of the hub's cache, to blobs of the same repository alone", async () => {
    const cache = await temporaryFolder()
    const [one, two] = ['models--org--one', 'models--org--two'].map((name) => join(cache, name))
    for (const repository of [one, two]) await mkdir(join(repository, 'snapshots', 'c0ffee'), { recursive: true })
    await mkdir(join(one, 'blobs'))
    await writeFile(join(one, 'blobs', 'blob'), safetensorsFile([bytesTensor('x', 7)]))
    const dir = join(one, 'snapshots', 'c0ffee')
    await symlink('../../blobs/blob', join(dir, 'model.safetensors'))
    const other = join(two, 'snapshots', 'c0ffee')
    await symlink(join(one, 'blobs', 'blob'), join(other, 'model.safetensors'))
    expect(await refusal(other)).toContain('a link to')
    const reader = await openCheckpoint(dir)
    expect([...(await reader.read('x'))]).toEqual([7])
    await reader.close()
  })

  it('says what a folder has instead of safetensors', async () => {
    expect(await refusal('/does/not/exist')).toContain('no such folder')
    expect(await refusal(join(await folderOf({ file: '' }), 'file'))).toContain('not a folder')
    expect(await refusal(await folderOf({}))).toContain('expected model.safetensors or')
    expect(await refusal(await folderOf({ 'pytorch_model.bin': '' }))).toContain('pickles (pytorch_model.bin)')
    expect(await refusal(await folderOf({ 'consolidated.safetensors': '' }))).toContain('found only consolidated.safetensors')
    expect(await refusal(await folderOf({ 'x.Q8_0.gguf': '' }))).toMatch(/found only x\.Q8_0\.gguf, .*; its name says GGUF, 8 bits/)
  })

  it('refuses shard names that leave the folder', async () => {
    for (const file of [
      '../a.safetensors',
      '/etc/a.safetensors',
      'sub/a.safetensors',
      '..\\a.safetensors',
      'C:a.safetensors',
      '..',
      7,
      null,
      'passwd',
    ]) {
      expect(await refusal(await sharded({ x: file }))).toContain('in the same folder')
    }
  })

  it('refuses an index that shards contradict', async () => {
    expect(await refusal(await sharded({ x: 'a.safetensors', gone: 'b.safetensors' }))).toContain('but no shard holds it')
    expect(await refusal(await sharded({ x: 'a.safetensors', y: 'a.safetensors' }))).toContain('but no shard holds it')
    expect(await refusal(await sharded({ x: 'b.safetensors', y: 'a.safetensors' }))).toContain('but')
    expect(await refusal(await sharded({ x: 'c.safetensors' }))).toContain('shard is missing, expected it to hold x')
    expect(await refusal(await folderOf({ [INDEX]: '{}' }))).toContain('no weight_map')
    expect(await refusal(await folderOf({ [INDEX]: '[1' }))).toContain('expected JSON')
    expect(await refusal(await folderOf({ [INDEX]: '['.repeat(1e6) }))).toContain('nests 1000000 deep')
  })

  it('refuses a tensor that two shards hold', async () => {
    const dir = await sharded({ x: 'a.safetensors', y: 'b.safetensors' })
    await writeFile(join(dir, 'b.safetensors'), safetensorsFile([bytesTensor('x', 9), bytesTensor('y', 9)]))
    expect(await refusal(dir)).toContain('it is in a.safetensors and in b.safetensors')
  })

  it('names the file that is damaged', async () => {
    const dir = await folderOf({ 'model.safetensors': safetensorsFile([bytesTensor('x', 1, 2, 3)]).subarray(0, -1) })
    expect(await refusal(dir)).toContain(join(dir, 'model.safetensors'))
    expect(await refusal(await folderOf({ 'model.safetensors': 'abc' }))).toContain('has 3 bytes')
  })
})

describe('CheckpointReader', () => {
  it('reads part of a tensor', async () => {
    const reader = await openCheckpoint(await folderOf({ 'model.safetensors': safetensorsFile([bytesTensor('x', 1, 2, 3, 4)]) }))
    expect([...(await reader.readRange('x', 1, 3))]).toEqual([2, 3])
    expect([...(await reader.readRange('x', 4, 4))]).toEqual([])
    await expect(reader.readRange('x', 1, 5)).rejects.toThrow(RangeError)
    await reader.close()
  })

  it('reads a large tensor in chunks that are good until the one after the next is asked for, again and again', async () => {
    const bytes = new Uint8Array(new Int32Array((11 << 19) / 4).map((_, i) => Math.imul(i, 2654435761)).buffer)
    const tensor = { name: 'x', dtype: 'U8' as const, shape: [bytes.length], bytes }
    const reader = await openCheckpoint(await folderOf({ 'model.safetensors': safetensorsFile([tensor, bytesTensor('none')]) }))
    for (const stop of [Number.POSITIVE_INFINITY, 2, Number.POSITIVE_INFINITY]) {
      let [at, count] = [0, 0]
      let before: Uint8Array = new Uint8Array(0)
      for await (const chunk of reader.readChunks('x')) {
        expect(Buffer.compare(before, bytes.subarray(at - before.length, at))).toBe(0)
        expect(Buffer.compare(chunk, bytes.subarray(at, at + chunk.length))).toBe(0)
        at += chunk.length
        before = chunk
        if (++count === stop) break
      }
      if (stop > count) expect(at).toBe(bytes.length)
    }
    // Two at a time do not read into each other's memory.
    const hashOf = async (name: string) => {
      const hash = createHash('sha256')
      for await (const chunk of reader.readChunks(name)) hash.update(chunk)
      return hash.digest('hex')
    }
    expect(await Promise.all(['x', 'x', 'none'].map(hashOf))).toEqual([sha256(bytes), sha256(bytes), sha256('')])
    await reader.close()
  })

  it('suggests the nearest name for one it lacks', async () => {
    const reader = await openCheckpoint(oracle)
    expect(reader.has('model.norm.wieght')).toBe(false)
    expect(() => reader.info('model.norm.wieght')).toThrow('nearest name is model.norm.weight')
    await reader.close()
  })

  it('refuses integers as floats', async () => {
    const reader = await openCheckpoint(oracle)
    await expect(reader.readFloats('model.layers.0.mlp.down_proj.weight_packed')).rejects.toThrow('its type is I32')
    await reader.close()
  })

  it('notices that a file became shorter', async () => {
    const dir = await folderOf({ 'model.safetensors': safetensorsFile([bytesTensor('x', ...Array(100).keys())]) })
    const reader = await openCheckpoint(dir)
    await truncate(join(dir, 'model.safetensors'), 80)
    await expect(reader.read('x')).rejects.toThrow('became shorter')
    await expect(reader.read('x')).rejects.toThrow(RunError)
    await reader.close()
  })
})
