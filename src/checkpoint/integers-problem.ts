import type { QuantizationScheme } from './quantization-config.ts'

/** What a format for weight-only integers takes. */
interface Takes {
  /** `GPTQ files` */
  readonly name: string
  readonly bits: readonly number[]
  /** Group sizes; one scale per row is always taken. */
  readonly groups: readonly number[]
  /** What rows and columns must be multiples of. */
  readonly rowsOf: number
  readonly columnsOf: number
}

/** Why a linear of [rows, columns] cannot be stored with a scheme: what was found and what is expected; null where it can. */
export function integersProblem(
  { weights, input_activations: inputs }: QuantizationScheme,
  rows: number,
  columns: number,
  takes: Takes,
): string | null {
  const { name, bits, groups, rowsOf, columnsOf } = takes
  if (weights?.type !== 'int') return `${name} hold integers, found ${weights?.type ?? 'no weights'}`
  if (inputs) return `${name} say nothing of inputs, found inputs quantized to ${inputs.num_bits} bits`
  if (!bits.includes(weights.num_bits)) return `${name} hold ${bits.join(', ')} bits, found ${weights.num_bits}`
  if (weights.strategy !== 'group' && weights.strategy !== 'channel')
    return `${name} have scales by group or row, found strategy ${weights.strategy}`
  const size = weights.group_size
  if (size !== null && size !== columns && !groups.includes(size))
    return `kernels for ${name} take groups of ${groups.join(', ')} or all columns (-1), found ${size}`
  if (columns % columnsOf !== 0)
    return `${name} of ${weights.num_bits} bits need input features in multiples of ${columnsOf}, found ${columns}`
  if (rows % rowsOf !== 0) return `${name} of ${weights.num_bits} bits need output features in multiples of ${rowsOf}, found ${rows}`
  return null
}
