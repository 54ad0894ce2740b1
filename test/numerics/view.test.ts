import { describe, expect, it } from 'vitest'
import { bytesOf, viewAs } from '../../src/numerics/view.ts'

describe('viewAs', () => {
  it('shares memory where the offset allows it and copies where it does not', () => {
    const bytes = Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0, 9)
    const shared = viewAs(Int32Array, bytes.subarray(0, 8))
    shared[0] = 5
    expect([...shared, bytes[0]]).toEqual([5, 2, 5])
    const copied = viewAs(Uint16Array, bytes.subarray(7))
    expect([...copied]).toEqual([0x0900])
  })

  it('refuses a part of an element', () => {
    expect(() => viewAs(BigInt64Array, new Uint8Array(12))).toThrow('12 bytes as elements of 8')
  })
})

describe('bytesOf', () => {
  it('covers just the part of the buffer that the array covers', () => {
    expect([...bytesOf(Uint16Array.of(1, 2, 3).subarray(1))]).toEqual([2, 0, 3, 0])
  })
})
