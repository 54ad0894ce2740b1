import { match } from 'ts-pattern'
import type { ScaleDType } from './dtype.ts'
import { decodeE8m0, encodeE8m0 } from './e8m0.ts'
import { decodeFloats, encodeFloats, roundToDtype } from './float-dtype.ts'

/** Stored scales to float32 values, exact. Errors: RangeError when the bytes hold no whole number of elements. */
export function decodeScales(bytes: Uint8Array, dtype: ScaleDType): Float32Array {
  return match(dtype)
    .with('U8', () => decodeE8m0(bytes))
    .with('F32', 'F16', 'BF16', 'F8_E4M3', (float) => decodeFloats(bytes, float))
    .exhaustive()
}

/** float32 scales to stored bytes: nearest, ties to even; E4M3 saturates; U8 takes the power of two at or below. */
export function encodeScales(values: Float32Array, dtype: ScaleDType): Uint8Array {
  return match(dtype)
    .with('U8', () => encodeE8m0(values))
    .with('F32', 'F16', 'BF16', 'F8_E4M3', (float) => encodeFloats(values, float))
    .exhaustive()
}

/** What replaces a scale of zero: the machine epsilon of its type, as compressed-tensors does. Powers of two are never zero. */
export const SMALLEST_SCALE: Readonly<Record<ScaleDType, number>> = {
  F32: 2 ** -23,
  F16: 2 ** -10,
  BF16: 2 ** -7,
  F8_E4M3: 2 ** -3,
  U8: 2 ** -127,
}

/** Rounds scales in place to what `dtype` can hold; zeros become its epsilon, so that nothing is divided by zero. */
export function roundScales(values: Float32Array, dtype: ScaleDType): void {
  if (dtype === 'U8' || dtype === 'F8_E4M3') values.set(decodeScales(encodeScales(values, dtype), dtype))
  else roundToDtype(values, dtype)
  for (let i = 0; i < values.length; i++) if (values[i] === 0) values[i] = SMALLEST_SCALE[dtype]
}
