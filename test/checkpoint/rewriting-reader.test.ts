import { describe, expect, onTestFinished, test } from 'vitest'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { RewritingReader, type TensorRewrite } from '../../src/checkpoint/rewriting-reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { encodeFloats } from '../../src/numerics/float-dtype.ts'
import { bytesTensor, folderOf, safetensorsFile } from './folders.ts'

const third = (from: string, byRow: boolean): TensorRewrite => ({
  from,
  byRow,
  rewrite: (values) => {
    for (let i = 0; i < values.length; i++) values[i] /= 3
  },
})

function floats(name: string, shape: number[], values: number[]): TensorData {
  return { name, dtype: 'BF16', shape, bytes: encodeFloats(Float32Array.from(values), 'BF16') }
}

const STORED = [
  floats('a.weight', [3, 4], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  floats('a.bias', [3], [1, 2, 5]),
  bytesTensor('codes', 1, 2),
]

async function opened(tensors: TensorData[], rewrites: Record<string, TensorRewrite>): Promise<RewritingReader> {
  const below = await openCheckpoint(await folderOf({ 'model.safetensors': safetensorsFile(tensors) }))
  onTestFinished(() => below.close())
  return new RewritingReader(below, new Map(Object.entries(rewrites)))
}

describe('RewritingReader', () => {
  test.each([true, false])('ranges and chunks are parts of the rewritten bytes (by row: %s)', async (byRow) => {
    const reader = await opened(STORED, { 'a.weight': third('a.weight', byRow) })
    const bytes = await reader.read('a.weight')
    expect(bytes).toEqual(
      encodeFloats(
        Float32Array.from({ length: 12 }, (_, i) => (i + 1) / 3),
        'BF16',
      ),
    )
    const chunks: Uint8Array[] = []
    for await (const chunk of reader.readChunks('a.weight')) chunks.push(chunk)
    expect(Buffer.concat(chunks)).toEqual(Buffer.from(bytes))
    for (const [begin, end] of [
      [0, 24],
      [3, 5],
      [8, 16],
      [7, 23],
      [4, 4],
    ]) {
      expect(await reader.readRange('a.weight', begin, end)).toEqual(bytes.slice(begin, end))
    }
  })

  test('floats of a matrix come before rounding, those of a vector after', async () => {
    const reader = await opened(STORED, { 'a.weight': third('a.weight', true), 'a.bias': third('a.bias', false) })
    expect((await reader.readFloats('a.weight'))[0]).toBe(Math.fround(1 / 3))
    expect((await reader.readFloats('a.bias'))[0]).toBe(0.333984375)
  })

  test('leaves other tensors alone, and makes new ones from them', async () => {
    const reader = await opened(STORED, { 'head.weight': third('a.weight', true) })
    expect(await reader.readFloats('a.weight')).toEqual(Float32Array.from({ length: 12 }, (_, i) => i + 1))
    expect(await reader.read('codes')).toEqual(Uint8Array.of(1, 2))
    expect(reader.has('head.weight')).toBe(true)
    expect(reader.info('head.weight')).toMatchObject({ name: 'head.weight', dtype: 'BF16', shape: [3, 4] })
    expect((await reader.readFloats('head.weight'))[2]).toBe(1)
    expect(() => reader.info('head.bias')).toThrow('the nearest name is')
  })

  test('names the element that is not finite, also within a range', async () => {
    const reader = await opened([floats('a.weight', [3, 2], [1, 2, 3, 4, Number.NaN, 6])], { 'a.weight': third('a.weight', true) })
    await expect(reader.readFloats('a.weight')).rejects.toThrow('a.weight: found NaN at element 4')
    await expect(reader.readRange('a.weight', 8, 12)).rejects.toThrow('a.weight: found NaN at element 4')
  })

  test('refuses what is no float', async () => {
    await expect(opened(STORED, { codes: third('codes', false) })).rejects.toThrow('its type is U8, expected F32, F16 or BF16')
  })
})
