import { createHash } from 'node:crypto'
import { bytesOf } from '../../src/numerics/view.ts'

/** Every 16-bit pattern in order. */
export const PATTERNS = Uint16Array.from({ length: 65536 }, (_, i) => i)

export function sha256(array: ArrayBufferView): string {
  return createHash('sha256').update(bytesOf(array)).digest('hex')
}

/** The bits of float32 values, all NaN as one pattern: engines may change the payload of a NaN. */
export function canonicalBits(values: Float32Array): Uint32Array {
  const words = new Uint32Array(values.slice().buffer)
  values.forEach((value, i) => {
    if (Number.isNaN(value)) words[i] = 0x7fc00000
  })
  return words
}

/** The entry of `table` (values of patterns 0, 1, ..., ascending) nearest to |value|, of two equally near ones the even: the definition. */
export function nearestInTable(value: number, table: Float32Array): number {
  let best = 0
  for (let pattern = 1; pattern < table.length; pattern++) {
    const closer = Math.abs(table[pattern] - Math.abs(value)) - Math.abs(table[best] - Math.abs(value))
    if (closer < 0 || (closer === 0 && pattern % 2 === 0)) best = pattern
  }
  return best
}
