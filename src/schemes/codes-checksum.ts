import { crc32 } from 'node:zlib'
import type { Quantized } from '../checkpoint/layouts/layout.ts'

/**
 * CRC-32 in hexadecimal of all that a compressed matrix is: codes, scales as float32, zero points, global scale. Where two are equal, so are
 * the weights that they stand for, and the errors of these.
 */
export function codesChecksum({ codes, scale, zeroPoint, globalScale }: Quantized): string {
  const parts = [codes, scale, zeroPoint ?? new Int8Array(0), Float32Array.from(globalScale === null ? [] : [globalScale])]
  const sum = parts.reduce((sum, { buffer, byteOffset, byteLength }) => crc32(new Uint8Array(buffer, byteOffset, byteLength), sum), 0)
  return sum.toString(16).padStart(8, '0')
}
