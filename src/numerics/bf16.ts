/** bfloat16 bit patterns to float32 values; exact. */
export function decodeBf16(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length)
  decodeBf16Into(bits, values)
  return values
}

/** Of a bfloat16 whose exponent bits are all set, NaN or infinite, adding `ONES` to them carries into its sign bit; two at a time. */
const EXPONENTS = 0x7f807f80
const ONES = 0x00800080

/** As `decodeBf16`, to the first of `values`; gives whether all are finite. */
export function decodeBf16Into(bits: Uint16Array, values: Float32Array): boolean {
  const words = new Int32Array(values.buffer, values.byteOffset, bits.length)
  const inPairs = bits.byteOffset % 4 === 0 ? bits.length >>> 1 : 0
  // Two at a time: half the reads.
  const pairs = new Int32Array(bits.buffer, inPairs ? bits.byteOffset : 0, inPairs)
  let carries = 0
  for (let i = 0; i < inPairs; i++) {
    const pair = pairs[i]
    carries |= (pair & EXPONENTS) + ONES
    words[2 * i] = pair << 16
    words[2 * i + 1] = pair & 0xffff0000
  }
  for (let i = 2 * inPairs; i < bits.length; i++) {
    carries |= (bits[i] & EXPONENTS) + ONES
    words[i] = bits[i] << 16
  }
  return (carries & ~EXPONENTS & (EXPONENTS << 1)) === 0
}

/** float32 values to bfloat16 bit patterns: nearest, ties to even, overflow to infinity, every NaN to 0x7fc0 (as torch does). */
export function encodeBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    bits[i] = (word & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return bits
}

/** Rounds float32 values in place to what bfloat16 can hold, as `encodeBf16` does. */
export function roundBf16(values: Float32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]
    words[i] = (word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000
  }
}
