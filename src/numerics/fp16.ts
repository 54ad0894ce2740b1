/** Bits of 2^-14, the smallest normal of float16, and of 65536, which is past its largest (65504), in float32. */
const SMALLEST_NORMAL = 0x38800000
const TOO_LARGE = 0x47800000
/** The difference of the exponent biases (127 - 15) at float32's exponent. */
const REBIAS = 0x38000000

/** float16 bit patterns to float32 values; exact. */
export function decodeFp16(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length)
  const words = new Uint32Array(values.buffer)
  for (let i = 0; i < bits.length; i++) {
    const sign = (bits[i] & 0x8000) << 16
    const magnitude = bits[i] & 0x7fff
    if (magnitude >= 0x7c00) words[i] = sign | 0x7f800000 | ((magnitude & 0x3ff) << 13)
    else if (magnitude >= 0x400) words[i] = sign | ((magnitude << 13) + REBIAS)
    else values[i] = sign === 0 ? magnitude * 2 ** -24 : -magnitude * 2 ** -24
  }
  return values
}

/** float32 values to float16 bit patterns: nearest, ties to even, overflow to infinity, every NaN to 0x7e00. */
export function encodeFp16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < words.length; i++) bits[i] = encodeWord(words[i])
  return bits
}

function encodeWord(word: number): number {
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return 0x7e00
  if (magnitude >= TOO_LARGE) return sign | 0x7c00
  if (magnitude >= SMALLEST_NORMAL) {
    const rebiased = magnitude - REBIAS
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13)
  }
  // Subnormal: multiples of 2^-24. Below 2^-25 all is zero, and shifts of 32 and more would wrap around.
  const shift = 126 - (magnitude >>> 23)
  if (shift > 24) return sign
  const mantissa = (magnitude & 0x7fffff) | 0x800000
  const kept = mantissa >>> shift
  const rest = mantissa & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0))
}
