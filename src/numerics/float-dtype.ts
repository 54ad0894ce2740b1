import { match } from 'ts-pattern'
import { decodeBf16, decodeBf16Into, encodeBf16, roundBf16 } from './bf16.ts'
import type { FloatDType } from './dtype.ts'
import { decodeFp8E4m3, encodeFp8E4m3 } from './fp8-e4m3.ts'
import { decodeFp16, encodeFp16 } from './fp16.ts'
import { bytesOf, viewAs } from './view.ts'

/** The stored types that float32 values are read from and written to. */
export type StoredFloat = FloatDType | 'F8_E4M3'

/** Whether a stored type is one that `decodeFloats` reads. */
export function isStoredFloat(dtype: string): dtype is StoredFloat {
  return dtype === 'F32' || dtype === 'F16' || dtype === 'BF16' || dtype === 'F8_E4M3'
}

/** Stored bytes to float32 values, exact, in an array of its own. Errors: RangeError when the bytes hold no whole number of elements. */
export function decodeFloats(bytes: Uint8Array, dtype: StoredFloat): Float32Array {
  return match(dtype)
    .with('F32', () => viewAs(Float32Array, bytes).slice())
    .with('F16', () => decodeFp16(viewAs(Uint16Array, bytes)))
    .with('BF16', () => decodeBf16(viewAs(Uint16Array, bytes)))
    .with('F8_E4M3', () => decodeFp8E4m3(bytes))
    .exhaustive()
}

/** As `decodeFloats`, to the first of `values`; gives whether all were seen to be finite, which is only looked for in BF16. */
export function decodeFloatsInto(bytes: Uint8Array, dtype: StoredFloat, values: Float32Array): boolean {
  if (dtype === 'BF16') return decodeBf16Into(viewAs(Uint16Array, bytes), values)
  values.set(dtype === 'F32' ? viewAs(Float32Array, bytes) : decodeFloats(bytes, dtype))
  return false
}

/**
 * float32 values to stored bytes in an array of its own: nearest, ties to even. Only F8_E4M3 saturates; the others overflow to infinity.
 */
export function encodeFloats(values: Float32Array, dtype: StoredFloat): Uint8Array {
  return match(dtype)
    .with('F32', () => bytesOf(values.slice()))
    .with('F16', () => bytesOf(encodeFp16(values)))
    .with('BF16', () => bytesOf(encodeBf16(values)))
    .with('F8_E4M3', () => encodeFp8E4m3(values))
    .exhaustive()
}

/** Rounds float32 values in place to what `dtype` can hold. Scales go through this before codes are computed from them. */
export function roundToDtype(values: Float32Array, dtype: FloatDType): void {
  match(dtype)
    .with('F32', () => {})
    .with('F16', () => values.set(decodeFp16(encodeFp16(values))))
    .with('BF16', () => roundBf16(values))
    .exhaustive()
}
