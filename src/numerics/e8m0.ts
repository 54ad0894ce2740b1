/** E8M0 exponents (OCP microscaling formats: 2^(bits - 127), 255 is NaN) to float32 values; exact. */
export function decodeE8m0(bits: Uint8Array): Float32Array {
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = bits[i] === 255 ? Number.NaN : 2 ** (bits[i] - 127)
  return values
}

/**
 * Positive float32 values to E8M0 exponents, rounded down to a power of two: 127 + floor(log2(value)), at least 0. NaN and infinity give
 * 255.
 */
export function encodeE8m0(values: Float32Array): Uint8Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint8Array(values.length)
  for (let i = 0; i < words.length; i++) bits[i] = (words[i] >>> 23) & 255
  return bits
}

/**
 * Magnitudes to the powers of two that MX formats scale them by, in place, so that the largest of a group lands near the largest code
 * 2^`offset` to 2^(`offset` + 1): 2^(e - `offset`), where e is the exponent of the magnitude, one more where its fraction is 0.75 and
 * above. Zero gives 2^-127. The offset is floor(log2(largest code)): 2 for E2M1, 8 for E4M3. As compressed-tensors does (`mxfp_utils.py`).
 */
export function toPowerOfTwoScales(magnitudes: Float32Array, offset: number): void {
  const words = new Uint32Array(magnitudes.buffer, magnitudes.byteOffset, magnitudes.length)
  for (let i = 0; i < words.length; i++) {
    const exponent = ((words[i] & 0x7fffffff) + 0x200000) >>> 23
    magnitudes[i] = 2 ** (Math.max(0, exponent - offset) - 127)
  }
}
