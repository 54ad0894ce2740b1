import { RunError } from '../util/errors.ts'
import type { SweepInput } from './kernels.ts'

function expectLength(action: string, what: string, found: number, expected: number): void {
  if (found !== expected) throw new RunError(`Cannot ${action}: ${what} has ${found} values, expected ${expected}`)
}

/** RunError unless the arrays have the sizes that rows, columns and groups ask for and every column has one of the groups. */
export function checkSweepInput(input: SweepInput): void {
  const { rows, columns, groups, groupOf } = input
  const action = `sweep a matrix of ${rows} x ${columns}`
  expectLength(action, 'weight', input.weight.length, rows * columns)
  expectLength(action, 'factor', input.factor.length, columns * columns)
  expectLength(action, 'scale', input.scale.length, rows * groups)
  if (input.zeroPoint) expectLength(action, 'zeroPoint', input.zeroPoint.length, rows * groups)
  expectLength(action, 'groupOf', groupOf.length, columns)
  const stray = groupOf.findIndex((group) => group < 0 || group >= groups)
  if (stray >= 0) throw new RunError(`Cannot ${action}: column ${stray} is in group ${groupOf[stray]}, expected 0 to ${groups - 1}`)
  if (!(Number.isInteger(input.min) && Number.isInteger(input.max) && -128 <= input.min && input.min <= input.max && input.max <= 127)) {
    throw new RunError(`Cannot ${action}: codes ${input.min} to ${input.max}, expected integers within -128 to 127`)
  }
}

/** RunError unless `h` has n x n values. */
export function checkFactorInput(h: Float32Array, n: number): void {
  expectLength(`factor a matrix of ${n} x ${n}`, 'h', h.length, n * n)
}
