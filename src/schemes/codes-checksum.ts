import { crc32 } from 'node:zlib'
import type { Quantized } from '../checkpoint/layouts/layout.ts'

/**
 * CRC-32 in hexadecimal of all that a compressed matrix is: codes, scales as float32, zero points, global scale, an order of its columns. Where two are equal, so are
 * the weights that they stand for, and the errors of these.
 */
export function codesChecksum({ codes, scale, zeroPoint, globalScale, groupOf }: Quantized): string {
  // Zero points of 0 are what a symmetric weight has in formats that always store some.
  const shifts = zeroPoint?.some((value) => value !== 0) ? zeroPoint : null
  let sum = 0
  for (const part of [codes, scale, shifts, globalScale === null ? null : Float32Array.of(globalScale), groupOf]) {
    // Of nothing zlib gives 0, whatever came before.
    if (part?.byteLength) sum = crc32(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), sum)
  }
  return sum.toString(16).padStart(8, '0')
}
