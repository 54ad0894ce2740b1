const EXACT = 2 ** 51
const SHIFT = 1.5 * 2 ** 52

/**
 * `x` to the nearest integer, halves to the even one (IEEE 754 roundTiesToEven, what torch.round does; Math.round takes halves up).
 * Adding 1.5 * 2^52 leaves no bits for a fraction, so the addition itself rounds. NaN and infinities stay.
 */
export function roundHalfEven(x: number): number {
  if (Math.abs(x) < EXACT) return x + SHIFT - SHIFT
  const up = Math.round(x)
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up
}
