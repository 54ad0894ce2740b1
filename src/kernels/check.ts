import { RunError } from '../util/errors.ts'
import type { RefineInput, RoundGroupsInput, RoundInput, SearchInput, SweepInput } from './kernels.ts'
import { smallFloats } from './small-floats.ts'
import { mostCandidates } from './tiles.ts'

/** Every column once: kernels write codes where it says. */
function expectOrder(action: string, order: Int32Array, columns: number): void {
  expectLength(action, 'order', order.length, columns)
  const seen = new Uint8Array(columns)
  for (const column of order) {
    if (column < 0 || column >= columns || seen[column]) {
      throw new RunError(
        `Cannot ${action}: order has column ${column}${seen[column] ? ' twice' : ''}, expected each from 0 to ${columns - 1} once`,
      )
    }
    seen[column] = 1
  }
}

function expectLength(action: string, what: string, found: number, expected: number): void {
  if (found !== expected) throw new RunError(`Cannot ${action}: ${what} has ${found} values, expected ${expected}`)
}

function checkIntegers(action: string, min: number, max: number): void {
  if (!(Number.isInteger(min) && Number.isInteger(max) && -128 <= min && min <= max && max <= 127)) {
    throw new RunError(`Cannot ${action}: codes ${min} to ${max}, expected integers within -128 to 127`)
  }
}

/** RunError unless codes are integers of a byte, or floats over their whole range without zero points. */
function checkCodes(action: string, { float, min, max, zeroPoint }: Pick<SweepInput, 'float' | 'min' | 'max' | 'zeroPoint'>): void {
  if (!float) {
    checkIntegers(action, min, max)
    return
  }
  const most = smallFloats[float].max
  if (min !== -most || max !== most) {
    throw new RunError(`Cannot ${action}: codes ${min} to ${max}, expected ${-most} to ${most} for ${float}`)
  }
  if (zeroPoint) throw new RunError(`Cannot ${action}: ${float} with zero points, expected none`)
}

/** How many groups of `groupSize` there are in a row. */
function groupCount(action: string, columns: number, groupSize: number): number {
  const groups = columns / groupSize
  if (!(groupSize >= 1 && Number.isInteger(groupSize) && Number.isInteger(groups))) {
    throw new RunError(`Cannot ${action}: groups of ${groupSize}, expected a divisor of the ${columns} columns`)
  }
  return groups
}

function expectCount(action: string, what: string, found: number, least: number): void {
  if (!(Number.isInteger(found) && found >= least)) throw new RunError(`Cannot ${action}: ${what} is ${found}, expected ${least} or more`)
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
  if (input.order) expectOrder(action, input.order, columns)
  if (input.errors) expectLength(action, 'errors', input.errors.length, rows * columns)
  const stray = groupOf.findIndex((group) => group < 0 || group >= groups)
  if (stray >= 0) throw new RunError(`Cannot ${action}: column ${stray} is in group ${groupOf[stray]}, expected 0 to ${groups - 1}`)
  checkCodes(action, input)
}

/** RunError unless `h` has n x n values. */
export function checkFactorInput(h: Float32Array, n: number): void {
  expectLength(`factor a matrix of ${n} x ${n}`, 'h', h.length, n * n)
}

/** RunError unless groups divide the columns, the arrays have the sizes that follow, no importance is negative and norm is 1 to 8. */
export function checkSearchInput(input: SearchInput): void {
  const { rows, columns, groupSize, importance, candidates, norm } = input
  const action = `search scales for a matrix of ${rows} x ${columns}`
  const groups = groupCount(action, columns, groupSize)
  expectCount(action, 'candidates', candidates, 1)
  expectLength(action, 'weight', input.weight.length, rows * columns)
  expectLength(action, 'scale', input.scale.length, rows * groups * candidates)
  if (input.zeroPoint) expectLength(action, 'zeroPoint', input.zeroPoint.length, rows * groups * candidates)
  if (importance) {
    expectLength(action, 'importance', importance.length, columns)
    const stray = importance.findIndex((value) => !(value >= 0))
    if (stray >= 0) throw new RunError(`Cannot ${action}: the importance of column ${stray} is ${importance[stray]}, expected 0 or more`)
  }
  checkIntegers(action, input.min, input.max)
  if (input.signed && (input.zeroPoint || input.min > -input.max)) {
    const found = input.zeroPoint ? 'zero points' : `codes ${input.min} to ${input.max}`
    throw new RunError(`Cannot ${action}: negated scales with ${found}, expected no zero points and a range that reaches as far below zero`)
  }
  if (!(norm >= 1 && norm <= 8)) throw new RunError(`Cannot ${action}: norm is ${norm}, expected 1 to 8`)
}

/** RunError unless the arrays have the sizes that rows, columns and the tiles ask for. */
export function checkRoundInput(input: RoundInput): void {
  const { rows, columns, rowSpan, columnSpan } = input
  const action = `round a matrix of ${rows} x ${columns}`
  expectCount(action, 'rowSpan', rowSpan, 1)
  expectCount(action, 'columnSpan', columnSpan, 1)
  const tiles = Math.ceil(rows / rowSpan) * Math.ceil(columns / columnSpan)
  expectLength(action, 'weight', input.weight.length, rows * columns)
  expectLength(action, 'scale', input.scale.length, tiles)
  if (input.zeroPoint) expectLength(action, 'zeroPoint', input.zeroPoint.length, tiles)
  checkCodes(action, input)
}

/** RunError unless groups of whole vectors divide the columns, weights have the size that follows, and a search is one among few codes. */
export function checkRoundGroupsInput(input: RoundGroupsInput): void {
  const { rows, columns, groupSize, ratios, signed, float, min, max } = input
  const action = `round a matrix of ${rows} x ${columns} by groups`
  groupCount(action, columns, groupSize)
  if (groupSize % 8 !== 0) throw new RunError(`Cannot ${action}: groups of ${groupSize}, expected a multiple of 8`)
  expectLength(action, 'weight', input.weight.length, rows * columns)
  if (ratios.length < 1 || ratios.length > mostCandidates || !ratios.every((ratio) => ratio > 0 && ratio < 2))
    throw new RunError(`Cannot ${action}: ratios ${ratios.join(', ')}, expected 1 to ${mostCandidates} above 0 and below 2`)
  checkCodes(action, { float, min, max, zeroPoint: null })
  if ((ratios.length > 1 || signed) && (float || max > 7 || min > -max))
    throw new RunError(
      `Cannot ${action}: a search with codes ${min} to ${max}, expected integers of up to 4 bits that reach as far below zero`,
    )
}

/** RunError unless groups divide the columns, the arrays have the sizes that follow and the diagonal of H is positive. */
export function checkRefineInput(input: RefineInput): void {
  const { rows, columns, groupSize, hessian } = input
  const action = `refine a matrix of ${rows} x ${columns}`
  const groups = groupCount(action, columns, groupSize)
  expectCount(action, 'rounds', input.rounds, 0)
  expectLength(action, 'weight', input.weight.length, rows * columns)
  expectLength(action, 'product', input.product.length, rows * columns)
  if (hessian.n !== columns) throw new RunError(`Cannot ${action}: hessian has ${hessian.n} columns, expected ${columns}`)
  expectLength(action, 'codes', input.codes.length, rows * columns)
  expectLength(action, 'scale', input.scale.length, rows * groups)
  if (input.zeroPoint) expectLength(action, 'zeroPoint', input.zeroPoint.length, rows * groups)
  checkCodes(action, input)
  for (const [j, value] of hessian.diagonal().entries()) {
    if (!(value > 0)) throw new RunError(`Cannot ${action}: the diagonal of the Hessian at column ${j} is ${value}, expected more than 0`)
  }
}
