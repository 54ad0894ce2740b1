import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planShards, shardIndex, tensorBytes } from '../../src/checkpoint/shards.ts'
import type { TensorInfo } from '../../src/checkpoint/tensor.ts'

const tensor = (name: string, bytes: number): TensorInfo => ({ name, dtype: 'U8', shape: [bytes] })

describe('planShards', () => {
  it('keeps a small model in model.safetensors', () => {
    const tensors = [tensor('a', 10), tensor('b', 20)]
    expect(planShards(tensors)).toEqual([{ file: 'model.safetensors', tensors, bytes: 30 }])
  })

  it('begins a new file before the limit is exceeded and names files as transformers does', () => {
    const shards = planShards([tensor('a', 6), tensor('b', 4), tensor('c', 1), tensor('huge', 99), tensor('d', 1)], 10)
    expect(shards.map(({ file, tensors, bytes }) => [file, tensors.map(({ name }) => name).join(), bytes])).toEqual([
      ['model-00001-of-00004.safetensors', 'a,b', 10],
      ['model-00002-of-00004.safetensors', 'c', 1],
      ['model-00003-of-00004.safetensors', 'huge', 99],
      ['model-00004-of-00004.safetensors', 'd', 1],
    ])
  })

  it('keeps every tensor once, in order, and no file above the limit unless it is one tensor', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 1 }), fc.integer({ min: 1, max: 100 }), (sizes, limit) => {
        const tensors = sizes.map((bytes, i) => tensor(`t${i}`, bytes))
        const shards = planShards(tensors, limit)
        expect(shards.flatMap((shard) => shard.tensors)).toEqual(tensors)
        for (const shard of shards) {
          expect(shard.bytes).toBe(shard.tensors.reduce((sum, info) => sum + tensorBytes(info), 0))
          expect(shard.bytes <= limit || shard.tensors.length === 1 || shard.tensors.slice(0, -1).every((t) => tensorBytes(t) === 0)).toBe(
            true,
          )
        }
      }),
    )
  })
})

describe('shardIndex', () => {
  it('maps every tensor to its file and sums the bytes', () => {
    expect(shardIndex(planShards([tensor('a', 6), tensor('b', 5)], 10))).toEqual({
      metadata: { total_size: 11 },
      weight_map: { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' },
    })
  })

  it('is not needed for one file', () => {
    expect(shardIndex(planShards([tensor('a', 6)]))).toBeNull()
  })
})
