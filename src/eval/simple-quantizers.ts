/**
 * Eight bits for a whole tensor, and back: s = 127 / max|x|, codes round(s x), values code / s. Zeros stay zeros. (The textbook quantizer
 * that many tutorials begin with; nothing is stored so.)
 */
export function absmaxInt8(values: Float32Array): Float32Array {
  let largest = 0
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]))
  if (largest === 0) return values.slice()
  const scale = 127 / largest
  return values.map((value) => Math.round(scale * value) / scale)
}

/**
 * Eight bits with a zero point for a whole tensor, and back: s = 255 / (max - min), z = round(-s min - 128), codes round(s x + z) from -128
 * to 127, values (code - z) / s. Where all values are alike their range counts as 1.
 */
export function zeroPointInt8(values: Float32Array): Float32Array {
  let [min, max] = [values[0], values[0]]
  for (let i = 1; i < values.length; i++) {
    min = Math.min(min, values[i])
    max = Math.max(max, values[i])
  }
  const scale = 255 / (max - min || 1)
  const zero = Math.round(-scale * min - 128)
  return values.map((value) => (Math.min(127, Math.max(-128, Math.round(scale * value + zero))) - zero) / scale)
}
