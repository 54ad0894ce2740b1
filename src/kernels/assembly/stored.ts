/** Numbers that name the stored types on both sides: see refine.ts beside this folder. */
const F16: i32 = 1
const BF16: i32 = 2

/** What a float32 becomes in the stored type, half to even; what is too large for it becomes infinite. */
export function toStored(value: f32, dtype: i32): f32 {
  const bits = reinterpret<u32>(value)
  if (dtype == BF16) return reinterpret<f32>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000)
  if (dtype != F16) return value
  const size = bits & 0x7fffffff
  // Below 2^-14 float16 counts in steps of 2^-24, which are the last place of numbers from 0.5 to 1.
  if (size < 0x38800000) return value < 0 ? value - 0.75 + 0.75 : value + 0.75 - 0.75
  const rounded = (bits + 0xfff + ((bits >> 13) & 1)) & 0xffffe000
  if ((rounded & 0x7fffffff) >= 0x47800000) return value < 0 ? -Infinity : Infinity
  return reinterpret<f32>(rounded)
}
