import { expect, test } from 'vitest'
import { Arena, sharedMemory } from '../../src/kernels/arena.ts'

test('Arena.take gives aligned places that do not overlap, after page 0, and grows the memory to hold them', () => {
  const memory = sharedMemory()
  const arena = new Arena(memory, 'test')
  const first = arena.take(100_000)
  const second = arena.take(1)
  expect(first).toBe(65536)
  expect(second % 64).toBe(0)
  expect(second).toBeGreaterThanOrEqual(first + 100_000)
  expect(memory.buffer.byteLength).toBeGreaterThan(second)
})

test('Arena.take beyond 4 GiB is a RunError with the purpose and the size', () => {
  const arena = new Arena(sharedMemory(), 'factor a matrix of 28672 x 28672')
  expect(() => arena.take(28672 ** 2 * 8)).toThrow(
    /^Cannot factor a matrix of 28672 x 28672: it takes 6\.13 GiB or more, expected 4 GiB at most/,
  )
})
