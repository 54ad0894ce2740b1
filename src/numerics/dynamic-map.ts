/** Numbers that share a magnitude where scales are quantized. */
export const NESTED_BLOCK = 256

/** Exponents of ten that the map has, from 10^-6 up to 1. */
const EXPONENTS = 7

/**
 * The 256 values of bitsandbytes' signed dynamic type, rising (its `create_dynamic_map`; Dettmers, "8-Bit Approximations for Parallelism in Deep
 * Learning"): for each power of ten the middles of equal parts of 0.1 .. 1, twice as many of them each time; and 0 and 1. The arithmetic is that of torch's float32.
 */
export function dynamicMap(): Float32Array {
  const values = [0, 1]
  for (let i = 0; i < EXPONENTS; i++) {
    const power = Math.fround(10 ** (i - EXPONENTS + 1))
    const bounds = between(2 ** i + 1)
    for (let k = 0; k + 1 < bounds.length; k++) {
      const middle = Math.fround(power * Math.fround(Math.fround(bounds[k] + bounds[k + 1]) / 2))
      values.push(middle, -middle)
    }
  }
  return Float32Array.from(values).sort()
}

/** torch.linspace(0.1, 1, count): counted up from the start in the first half, down from the end in the second. */
function between(count: number): Float32Array {
  const [start, end] = [Math.fround(0.1), 1]
  const step = Math.fround(Math.fround(end - start) / (count - 1))
  return new Float32Array(count).map((_, i) => (i < count / 2 ? start + step * i : end - step * (count - 1 - i)))
}

/** Steps from -1 to 1 that values are taken to before their code is looked up. */
const STEPS = 65536

/** The nearest code of each step; between two the lower one. */
function nearestCodes(map: Float32Array): Uint8Array {
  const codes = new Uint8Array(STEPS)
  let right = 0
  for (let i = 0; i < STEPS; i++) {
    const value = Math.fround((i * 2) / (STEPS - 1) - 1)
    while (right < map.length - 1 && map[right] < value) right++
    const left = Math.max(0, right - 1)
    codes[i] = Math.fround(map[right] - value) < Math.fround(value - map[left]) || right === 0 ? right : left
  }
  return codes
}

/**
 * Values to codes of the dynamic map, in blocks of `NESTED_BLOCK` of which the last may be shorter, as bitsandbytes 0.50's quantize_blockwise does on the CPU: value
 * times the float32 inverse of its block's largest magnitude, rounded to one of 65536 steps, and that step's nearest code. Blocks of zeros get
 * code 0.
 */
export function encodeDynamic(values: Float32Array): { codes: Uint8Array; absmax: Float32Array } {
  const table = nearestCodes(dynamicMap())
  const codes = new Uint8Array(values.length)
  const absmax = new Float32Array(Math.ceil(values.length / NESTED_BLOCK))
  for (let block = 0; block < absmax.length; block++) {
    const end = Math.min(values.length, (block + 1) * NESTED_BLOCK)
    for (let i = block * NESTED_BLOCK; i < end; i++) absmax[block] = Math.max(absmax[block], Math.abs(values[i]))
    if (absmax[block] === 0) continue
    const inverse = Math.fround(1 / absmax[block])
    for (let i = block * NESTED_BLOCK; i < end; i++) {
      const scaled = Math.min(1, Math.max(-1, Math.fround(values[i] * inverse)))
      const half = Math.fround(Math.fround(scaled + 1) * 0.5)
      codes[i] = table[Math.min(STEPS - 1, Math.trunc(Math.fround(Math.fround(half * (STEPS - 1)) + 0.5)))]
    }
  }
  return { codes, absmax }
}

/** The inverse of `encodeDynamic`, by a map that is stored; in float32. */
export function decodeDynamic(codes: Uint8Array, absmax: Float32Array, map: Float32Array): Float32Array {
  return new Float32Array(codes.length).map((_, i) => map[codes[i]] * absmax[Math.floor(i / NESTED_BLOCK)])
}
