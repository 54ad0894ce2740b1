/** The smallest multiple of `step` that is `value` or more. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
