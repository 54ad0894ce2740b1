import { roundHalfEven } from './round.ts'

/** The largest finite value of E4M3 (bit pattern 0x7e). */
export const FP8_E4M3_MAX = 448

/** Bits of 448 and of 2^-6, the smallest normal of E4M3, in float32; the difference of the biases (127 - 7) at float32's exponent. */
const LARGEST = 0x43e00000
const SMALLEST_NORMAL = 0x3c800000
const REBIAS = 0x3c000000

/** Value per bit pattern. OCP 8-bit floating point, E4M3: bias 7, no infinities, 0x7f and 0xff are NaN. */
const VALUES = Float32Array.from({ length: 256 }, (_, bits) => patternValue(bits))

function patternValue(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1
  const exponent = (bits >>> 3) & 15
  const mantissa = bits & 7
  if (exponent === 15 && mantissa === 7) return Number.NaN
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10))
}

/** E4M3 bit patterns to float32 values; exact. */
export function decodeFp8E4m3(bits: Uint8Array): Float32Array {
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = VALUES[bits[i]]
  return values
}

/**
 * float32 values to E4M3 bit patterns: nearest, ties to even; what is beyond ±448, infinities too, saturates (the quantizer clamps
 * before it casts); NaN is 0x7f.
 */
export function encodeFp8E4m3(values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint8Array(values.length)
  for (let i = 0; i < words.length; i++) {
    const sign = (words[i] >>> 24) & 0x80
    const magnitude = words[i] & 0x7fffffff
    if (magnitude > 0x7f800000) bits[i] = 0x7f
    else if (magnitude >= LARGEST) bits[i] = sign | 0x7e
    else if (magnitude >= SMALLEST_NORMAL) {
      const rebiased = magnitude - REBIAS
      bits[i] = sign | ((rebiased + 0x7ffff + ((rebiased >>> 20) & 1)) >>> 20)
    } else bits[i] = sign | roundHalfEven(Math.abs(values[i]) * 512)
  }
  return bits
}
