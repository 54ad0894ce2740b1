import { match } from 'ts-pattern'
import type { FloatDType } from './dtype.ts'
import { viewAs } from './view.ts'

/**
 * Index of the first element of stored floats that is NaN or infinite, -1 when there is none: one whose exponent bits are all set
 * (IEEE 754, 3.4), so nothing is decoded. Errors: RangeError when the bytes hold no whole number of elements.
 */
export function firstNonFinite(bytes: Uint8Array, dtype: FloatDType): number {
  return match(dtype)
    .with('F32', () => firstWith(viewAs(Uint32Array, bytes), 0x7f800000))
    .with('F16', () => firstWith(viewAs(Uint16Array, bytes), 0x7c00))
    .with('BF16', () => firstWith(viewAs(Uint16Array, bytes), 0x7f80))
    .exhaustive()
}

function firstWith(words: Uint16Array | Uint32Array, exponent: number): number {
  for (let i = 0; i < words.length; i++) if ((words[i] & exponent) === exponent) return i
  return -1
}
