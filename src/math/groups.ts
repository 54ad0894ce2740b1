import { roundHalfEven } from '../numerics/round.ts'
import { UserError } from '../util/errors.ts'
import { type ScaleOptions, usableStep } from './scale.ts'
import { rangeOf, requireBits, toFloat32 } from './values.ts'

/** Values quantized symmetrically in groups of neighbours: value = code * scale of its group. */
export interface Groups {
  /** [groups, groupSize], row major; the tail of the last group is filled up with zeros. */
  readonly codes: Int8Array
  /** [groups] step sizes. */
  readonly scales: Float64Array
  readonly groupSize: number
  readonly bits: number
  /** The shape of the values, whose product is their number. */
  readonly shape: readonly number[]
}

export interface GroupOptions extends ScaleOptions {
  /** 128 by default. */
  readonly groupSize?: number
  /** 2 to 8; 4 by default. */
  readonly bits?: number
  /** Of the values, kept for the inverse; [n] by default. */
  readonly shape?: readonly number[]
}

/** A group is filled up, so that a larger one would take more memory than there is. */
const LARGEST_GROUP = 2 ** 31 - 1

/**
 * `quantizeSymmetric` for each group of neighbours in a tensor of any length and shape, flattened: 300 values in groups of 128 are 3 groups, of
 * which the last is filled up with 84 zeros; `groupDequantize` cuts them off again. Worked: [0.5, -1.2, 0.3, 2.1, -0.8] in groups of 2 with 4 bits
 * has scales [0.171429, 0.3, 0.114286] and codes [3, -7, 1, 7, -7, 0]. Errors: UserError for no values, one that is not finite, other bits, a
 * group size that is not a positive whole number, a shape of another number of values.
 */
export function groupQuantize(values: ArrayLike<number>, options: GroupOptions = {}): Groups {
  const { groupSize = 128, bits = 4, shape = [values.length] } = options
  requireBits(bits)
  if (!Number.isInteger(groupSize) || groupSize < 1 || groupSize > LARGEST_GROUP)
    throw new UserError(`Cannot quantize in groups of ${groupSize}: expected a whole number from 1 to ${LARGEST_GROUP}.`)
  if (!shape.every((size) => Number.isInteger(size) && size >= 0))
    throw new UserError(`Cannot quantize [${shape}]: expected whole numbers of at least 0.`)
  const count = shape.reduce((product, size) => product * size, 1)
  if (count !== values.length) throw new UserError(`Cannot quantize [${shape}]: found ${values.length} values, expected ${count}.`)
  rangeOf(values)
  const groups = Math.ceil(values.length / groupSize)
  const largest = 2 ** (bits - 1) - 1
  const codes = new Int8Array(groups * groupSize)
  const scales = new Float64Array(groups)
  for (let group = 0; group < groups; group++) {
    const end = Math.min(values.length, (group + 1) * groupSize)
    let absmax = 0
    for (let i = group * groupSize; i < end; i++) absmax = Math.max(absmax, Math.abs(values[i]))
    const scale = usableStep(absmax / largest, largest, options)
    scales[group] = scale
    for (let i = group * groupSize; i < end; i++) codes[i] = roundHalfEven(Math.min(largest, Math.max(-largest - 1, values[i] / scale)))
  }
  return { codes, scales, groupSize, bits, shape: [...shape] }
}

/** The values of `shape`, float32, row major: code * scale of its group, without what the last group was filled up with. */
export function groupDequantize({ codes, scales, groupSize, shape }: Omit<Groups, 'bits'>): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1)
  return new Float32Array(count).map((_, i) => toFloat32(codes[i] * scales[Math.floor(i / groupSize)]))
}
