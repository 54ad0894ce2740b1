import { roundHalfEven } from '../numerics/round.ts'
import type { SmallFloat } from './kernels.ts'
import { smallFloats } from './small-floats.ts'

/** How a twin turns numbers into codes. */
interface Rounding {
  /** The value of the nearest code from `min` to `max`, halves to even; NaN stays. */
  readonly nearest: (x: number, min: number, max: number) => number
  /** The code of such a value, as it is stored. */
  readonly codeOf: (value: number) => number
}

const integers: Rounding = { nearest: (x, min, max) => roundHalfEven(Math.min(Math.max(x, min), max)), codeOf: (value) => value }

function floats({ encode, decode }: (typeof smallFloats)[SmallFloat]): Rounding {
  const codeOf = (value: number) => encode(Float32Array.of(value))[0]
  // The codecs saturate at min and max by themselves.
  return { nearest: (x) => (Number.isNaN(x) ? x : decode(Uint8Array.of(codeOf(x)))[0]), codeOf }
}

/** The rounding to floats of a kind, by the codecs of src/numerics; to integers where there is none. */
export function roundingTo(float: SmallFloat | null): Rounding {
  return float ? floats(smallFloats[float]) : integers
}
