/** The 4-bit types of bitsandbytes. */
export type FourBitType = 'nf4' | 'fp4'

/**
 * Value per code, of blocks scaled to a magnitude of 1, as bitsandbytes stores them in `quant_map` (its `get_4bit_type`). NF4: quantiles of the normal
 * distribution (QLoRA, appendix E), in order. FP4: sign, two bits of exponent and one of mantissa, over their largest; code 1 is a small
 * number of its own, 8 is a second zero.
 */
const VALUES: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: Float32Array.of(
    ...[-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334],
    ...[-0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224],
    ...[0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1],
  ),
  fp4: Float32Array.from([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3], (value) => value / 12),
}

/** Codes by rising value. Of FP4's two zeros 0 comes first, so what is too small and positive becomes 8. */
const RISING: Readonly<Record<FourBitType, readonly number[]>> = {
  nf4: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  fp4: [11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3],
}

/** The middles between neighbouring values, in float32; a value on a middle goes to the lower code. */
const MIDDLES: Readonly<Record<FourBitType, Float32Array>> = { nf4: middles('nf4'), fp4: middles('fp4') }

function middles(type: FourBitType): Float32Array {
  const rising = RISING[type].map((code) => VALUES[type][code])
  return Float32Array.from(rising.slice(1), (value, i) => Math.fround(rising[i] + value) / 2)
}

/** The 16 values of a type by code: `quant_map`. */
export function fourBitValues(type: FourBitType): Float32Array {
  return VALUES[type].slice()
}

/** The smallest magnitude that a block is scaled by: blocks of zeros stay zeros. */
const SMALLEST = Math.fround(1e-38)

/**
 * Values to codes 0 .. 15 and the largest magnitude of each block of `size` values, of which the last may be shorter, as bitsandbytes 0.50's quantize_4bit on
 * the CPU: value times the float32 inverse of that magnitude, in a shorter block value over the magnitude, then the nearest code.
 */
export function encodeFourBit(values: Float32Array, type: FourBitType, size: number): { codes: Uint8Array; absmax: Float32Array } {
  const absmax = blockMaxima(values, size)
  const codes = new Uint8Array(values.length)
  const whole = Math.floor(values.length / size)
  for (let block = 0; block < whole; block++) {
    const inverse = Math.fround(1 / Math.max(absmax[block], SMALLEST))
    for (let i = block * size; i < (block + 1) * size; i++) codes[i] = nearestCode(Math.fround(values[i] * inverse), type)
  }
  for (let i = whole * size; i < values.length; i++) codes[i] = nearestCode(Math.fround(values[i] / absmax[whole]), type)
  return { codes, absmax }
}

function nearestCode(scaled: number, type: FourBitType): number {
  const bounds = MIDDLES[type]
  // The number of middles below it, by halves.
  let at = scaled > bounds[7] ? 8 : 0
  if (scaled > bounds[at + 3]) at += 4
  if (scaled > bounds[at + 1]) at += 2
  if (scaled > bounds[at]) at += 1
  return RISING[type][at]
}

/**
 * The largest magnitude of each block of `size` neighbouring values; that of a last shorter block is at least 1e-38, as bitsandbytes stores it, even of
 * zeros.
 */
export function blockMaxima(values: Float32Array, size: number): Float32Array {
  const maxima = new Float32Array(Math.ceil(values.length / size))
  for (let block = 0; block < maxima.length; block++) {
    const end = (block + 1) * size
    let most = end > values.length ? SMALLEST : 0
    for (let i = block * size; i < Math.min(end, values.length); i++) most = Math.max(most, Math.abs(values[i]))
    maxima[block] = most
  }
  return maxima
}

/** Codes to values, still to be multiplied by the magnitude of their block. Bits above the lowest four do not count. */
export function decodeFourBit(codes: Uint8Array, type: FourBitType): Float32Array {
  const table = VALUES[type]
  const values = new Float32Array(codes.length)
  for (let i = 0; i < codes.length; i++) values[i] = table[codes[i] & 15]
  return values
}

/** Two codes a byte, the first one high: the `weight` of a 4-bit linear. After an odd number of codes comes that of 0. */
export function packFourBit(codes: Uint8Array, type: FourBitType): Uint8Array {
  const packed = new Uint8Array(Math.ceil(codes.length / 2))
  for (let i = 0; i < packed.length; i++) {
    const second = 2 * i + 1 < codes.length ? codes[2 * i + 1] : nearestCode(0, type)
    packed[i] = (codes[2 * i] << 4) | (second & 15)
  }
  return packed
}

/** The inverse of `packFourBit` for so many codes. */
export function unpackFourBit(packed: Uint8Array, count: number): Uint8Array {
  const codes = new Uint8Array(count)
  for (let i = 0; i < count; i++) codes[i] = i % 2 === 0 ? packed[i >> 1] >>> 4 : packed[i >> 1] & 15
  return codes
}
