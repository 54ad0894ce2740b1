import { expect, it } from 'vitest'
import { SpareMemory } from '../../src/util/spare-memory.ts'

const SIZE = 1 << 20

it('gives memory of the same size again, once, and makes what it lacks', () => {
  const memory = new SpareMemory()
  const first = memory.take(SIZE)
  memory.give(new Float32Array(first))
  memory.give(new Uint8Array(first))
  expect(memory.take(2 * SIZE)).not.toBe(first)
  expect(memory.take(SIZE)).toBe(first)
  expect(memory.take(SIZE)).not.toBe(first)
  expect(memory.take(SIZE).byteLength).toBe(SIZE)
})

it('takes nothing that it did not give, no part of a buffer, nor what is shared or small', () => {
  const memory = new SpareMemory()
  const buffer = new ArrayBuffer(2 * SIZE)
  memory.give(new Uint8Array(buffer, SIZE))
  memory.give(new Uint8Array(buffer, 0, SIZE))
  memory.give(new Uint8Array(new SharedArrayBuffer(SIZE)))
  const foreign = new ArrayBuffer(SIZE)
  memory.give(new Uint8Array(foreign))
  expect(memory.take(SIZE)).not.toBe(foreign)
  const taken = memory.take(2 * SIZE)
  memory.give(new Uint8Array(taken, 0, SIZE))
  const small = memory.take(16)
  memory.give(new Uint8Array(small))
  expect(memory.take(2 * SIZE)).not.toBe(buffer)
  expect(memory.take(SIZE)).not.toBe(buffer)
  expect(memory.take(SIZE)).toBeInstanceOf(ArrayBuffer)
  expect(memory.take(16)).not.toBe(small)
})

it('lets go of sizes that were not asked for since it was last trimmed', () => {
  const memory = new SpareMemory()
  const [kept, gone] = [memory.take(SIZE), memory.take(2 * SIZE)]
  const giveBoth = () => {
    for (const buffer of [kept, gone]) memory.give(new Uint8Array(buffer))
  }
  giveBoth()
  memory.trim()
  expect([memory.take(SIZE), memory.take(2 * SIZE)]).toEqual([kept, gone])
  giveBoth()
  memory.trim()
  expect(memory.take(SIZE)).toBe(kept)
  giveBoth()
  memory.trim()
  expect(memory.take(SIZE)).toBe(kept)
  expect(memory.take(2 * SIZE)).not.toBe(gone)
})
