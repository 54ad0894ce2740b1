import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readRows } from '../../src/checkpoint/read-rows.ts'
import type { TensorReader } from '../../src/checkpoint/tensor-reader.ts'
import { CheckpointError } from '../../src/util/errors.ts'

/** A matrix [rows, columns] of float32 whose element is its place; `reads` has the ranges that were asked for. */
function matrix(rows: number, columns: number): { reader: TensorReader; reads: [number, number][] } {
  const reads: [number, number][] = []
  const reader = {
    info: () => ({ name: 'embed', dtype: 'F32', shape: [rows, columns], file: 'model.safetensors', begin: 0, end: rows * columns * 4 }),
    readRange: async (_: string, begin: number, end: number) => {
      reads.push([begin, end])
      return new Uint8Array(Float32Array.from({ length: (end - begin) / 4 }, (_, i) => begin / 4 + i).buffer)
    },
  }
  return { reader: reader as unknown as TensorReader, reads }
}

describe('readRows()', () => {
  test('gives each id its row, and reads no byte twice', async () => {
    const property = fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.array(fc.nat(100_000)), async (columns, drawn) => {
      const { reader, reads } = matrix(100_001, columns)
      const ids = Int32Array.from(drawn)
      const found = await readRows(reader, 'embed', ids)
      expect(found).toHaveLength(ids.length * columns)
      for (const [at, id] of ids.entries())
        expect(found.subarray(at * columns, (at + 1) * columns)).toEqual(Float32Array.from({ length: columns }, (_, j) => id * columns + j))
      for (const [i, [begin, end]] of reads.entries()) {
        expect(begin).toBeLessThan(end)
        if (i > 0) expect(begin).toBeGreaterThan(reads[i - 1][1])
      }
    })
    await fc.assert(property, { numRuns: 100 })
  })

  test('reads rows near each other together, those far apart by themselves, and only so much at once', async () => {
    const columns = 256
    const { reader, reads } = matrix(100_000, columns)
    await readRows(reader, 'embed', Int32Array.of(5, 3, 60, 50_000, 5, 50_001))
    expect(reads).toEqual([
      [3 * 1024, 61 * 1024],
      [50_000 * 1024, 50_002 * 1024],
    ])
    reads.length = 0
    await readRows(
      reader,
      'embed',
      Int32Array.from({ length: 10_000 }, (_, id) => id),
    )
    expect(reads).toEqual([0, 4096, 8192].map((id) => [id * 1024, Math.min(10_000, id + 4096) * 1024]))
  })

  test.each([[-1], [7]])('refuses row %i of seven', async (id) => {
    await expect(readRows(matrix(7, 4).reader, 'embed', Int32Array.of(3, id))).rejects.toThrow(CheckpointError)
  })
})
