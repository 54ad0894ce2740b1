import { crc32 } from 'node:zlib'
import type { Quantized } from '../checkpoint/layouts/layout.ts'

/**
 * CRC-32 in hexadecimal of all that a compressed matrix is: codes, scales as float32, zero points, global scale. Where two are equal, so are
 * the weights that they stand for, and the errors of these.
 */
export function codesChecksum({ codes, scale, zeroPoint, globalScale }: Quantized): string {
  let sum = 0
  for (const part of [codes, scale, zeroPoint, globalScale === null ? null : Float32Array.of(globalScale)]) {
    // Of nothing zlib gives 0, whatever came before.
    if (part?.byteLength) sum = crc32(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), sum)
  }
  return sum.toString(16).padStart(8, '0')
}
