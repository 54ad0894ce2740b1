/** The largest value of E2M1 (bit pattern 7). */
export const FP4_E2M1_MAX = 6

/** Value per bit pattern. OCP microscaling formats, FP4 E2M1: bit 3 is the sign, so pattern 8 is -0; no infinities, no NaN. */
const VALUES = Float32Array.of(0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6)

/** E2M1 bit patterns, one per byte, to float32 values; exact. Bits above the lowest four do not count. */
export function decodeFp4E2m1(bits: Uint8Array): Float32Array {
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = VALUES[bits[i] & 15]
  return values
}

/**
 * Numbers to E2M1 bit patterns, one per byte: nearest, ties to the even pattern, the sign kept (what is too small becomes -0); what is
 * beyond ±6 saturates, NaN too.
 */
export function encodeFp4E2m1(values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint8Array(values.length)
  for (let i = 0; i < words.length; i++) bits[i] = ((words[i] >>> 28) & 8) | magnitudeBits(Math.abs(values[i]))
  return bits
}

/** The middles between neighbouring values; on a middle the even pattern wins. */
function magnitudeBits(magnitude: number): number {
  if (magnitude < 1.75) {
    if (magnitude < 0.75) return magnitude <= 0.25 ? 0 : 1
    return magnitude <= 1.25 ? 2 : 3
  }
  if (magnitude < 3.5) return magnitude <= 2.5 ? 4 : 5
  return magnitude <= 5 ? 6 : 7
}

/**
 * Two patterns a byte, the even column low: patterns [rows, columns] to [rows, columns / 2], the `weight_packed` of compressed-tensors' FP4
 * formats. Errors: RangeError for an odd number of patterns or one above 15.
 */
export function packFp4(bits: Uint8Array): Uint8Array {
  if (bits.length % 2 !== 0) throw new RangeError(`Cannot pack ${bits.length} 4-bit floats: expected an even number`)
  const packed = new Uint8Array(bits.length / 2)
  let all = 0
  for (let i = 0; i < packed.length; i++) {
    const low = bits[2 * i]
    const high = bits[2 * i + 1]
    all |= low | high
    packed[i] = low | (high << 4)
  }
  if (all > 15) throw new RangeError('Cannot pack 4-bit floats: one pattern is above 15')
  return packed
}

/** The inverse of `packFp4`. */
export function unpackFp4(packed: Uint8Array): Uint8Array {
  const bits = new Uint8Array(packed.length * 2)
  for (let i = 0; i < packed.length; i++) {
    bits[2 * i] = packed[i] & 15
    bits[2 * i + 1] = packed[i] >>> 4
  }
  return bits
}
