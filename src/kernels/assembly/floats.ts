/*
 * Floats of eight and four bits as codes. Within a binade they are evenly spaced, so adding and taking off a number whose last place is
 * that space rounds half to even, as the codecs do that the twin uses (../small-floats.ts).
 */

/**
 * Per format: the smallest normal number; 1.5 * 2^(23 - m) for m bits of mantissa; codes in a unit below the smallest normal; codes in a
 * float32's bit and where they start by that count; the code of -0; 2^23 codes below the smallest normal. In memory: see power.ts.
 */
const E4M3 = memory.data<f32>([0.015625, 1572864, 512, 9.5367431640625e-7, 960, 128, 16384])
const E2M1 = memory.data<f32>([1, 6291456, 2, 2.384185791015625e-7, 252, 8, 4194304])

/** The format that ../small-floats.ts gives this number; 0 for integers, which have none. */
export function formatOf(id: i32): usize {
  return id == 0 ? 0 : id == 1 ? E4M3 : E2M1
}

@inline
function constant(format: usize, index: usize): v128 {
  return v128.load_splat<f32>(format + index * 4)
}

/** The nearest float, half to even, of what is within its range; the sign stays, NaN too. */
@inline
export function nearestFloat(x: v128, format: usize): v128 {
  const binade = v128.and(f32x4.pmax(f32x4.abs(x), constant(format, 0)), i32x4.splat(0x7f800000))
  const shifter = f32x4.mul(binade, constant(format, 1))
  return v128.or(f32x4.sub(f32x4.add(x, shifter), shifter), v128.and(x, i32x4.splat(0x80000000)))
}

/** The bit patterns of such floats, as numbers. */
@inline
export function patternOf(value: v128, format: usize): v128 {
  const size = f32x4.abs(value)
  const small = f32x4.mul(size, constant(format, 2))
  const normal = f32x4.sub(f32x4.mul(f32x4.convert_i32x4_s(size), constant(format, 3)), constant(format, 4))
  const magnitude = v128.bitselect(small, normal, f32x4.lt(size, constant(format, 0)))
  return f32x4.add(magnitude, v128.and(i32x4.shr_s(value, 31), constant(format, 5)))
}

/** The bit patterns of such floats, as integers: of normal ones the upper bits, and those of smaller ones counted by an addition. */
@inline
export function bitsOf(value: v128, format: usize): v128 {
  const size = f32x4.abs(value)
  const small = v128.xor(f32x4.add(size, constant(format, 6)), constant(format, 6))
  const isE4M3 = format == E4M3
  const normal = i32x4.sub(i32x4.shr_u(size, isE4M3 ? 20 : 22), i32x4.splat(isE4M3 ? 960 : 252))
  const sign = v128.and(i32x4.shr_u(value, isE4M3 ? 24 : 28), i32x4.splat(isE4M3 ? 128 : 8))
  return v128.or(v128.bitselect(small, normal, f32x4.lt(size, constant(format, 0))), sign)
}
