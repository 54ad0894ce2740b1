import { decodeFp4E2m1, encodeFp4E2m1, FP4_E2M1_MAX } from '../numerics/fp4-e2m1.ts'
import { decodeFp8E4m3, encodeFp8E4m3, FP8_E4M3_MAX } from '../numerics/fp8-e4m3.ts'
import type { SmallFloat } from './kernels.ts'

/** What the kernels need to know of a kind of float. */
interface Kind {
  /** Names it on both sides of the wasm boundary, see assembly/floats.ts; integers are 0. */
  readonly id: number
  readonly max: number
  /** Numbers to bit patterns: nearest, halves to even, saturating. */
  readonly encode: (values: Float32Array) => Uint8Array
  readonly decode: (bits: Uint8Array) => Float32Array
}

/** The floats that codes can be. */
export const smallFloats: Readonly<Record<SmallFloat, Kind>> = {
  E4M3: { id: 1, max: FP8_E4M3_MAX, encode: encodeFp8E4m3, decode: decodeFp8E4m3 },
  E2M1: { id: 2, max: FP4_E2M1_MAX, encode: encodeFp4E2m1, decode: decodeFp4E2m1 },
}
