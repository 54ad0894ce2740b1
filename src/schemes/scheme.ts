import { match, P } from 'ts-pattern'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { SchemeError } from './scheme-error.ts'

/** Group sizes that servers have kernels for, largest first; `auto` takes the first that fits. */
const AUTO_SIZES = [128, 64, 32]

/** Group sizes a server can use that divide a number of columns, largest first; the columns themselves (one group) if there is none. */
export function legalGroupSizes(columns: number): number[] {
  const legal = AUTO_SIZES.filter((size) => columns % size === 0)
  return legal.length > 0 ? legal : [columns]
}

/** Why a group size cannot be used on a linear with so many columns, with what can; null when it can or when there are no groups. */
export function groupSizeProblem(args: QuantizationArgs, columns: number): string | null {
  const { type, strategy, group_size: size } = args
  if ((strategy !== 'group' && strategy !== 'tensor_group') || size === null || columns % size === 0) return null
  // Their blocks run over the flattened weight.
  if (type === 'nf4' || type === 'fp4') return null
  if (type === 'float' && args.scale_dtype !== null) {
    return `group size ${size} does not divide ${columns}, and ${floatLabel(args)} has no other: list the module under ignore`
  }
  return `group size ${size} does not divide ${columns}, use ${legalGroupSizes(columns).join(', ')} or -1 (one scale per row)`
}

/**
 * Settles a group size of `auto`: the largest of 128, 64 and 32 that divides all numbers of columns. Other args come back as they are.
 * Errors: SchemeError when none fits.
 */
export function resolveGroupSize(args: QuantizationArgs, columnsList: readonly number[]): QuantizationArgs {
  if (args.strategy !== 'group' || args.group_size !== null) return args
  const size = AUTO_SIZES.find((candidate) => columnsList.every((columns) => columns % candidate === 0))
  if (size !== undefined) return { ...args, group_size: size }
  const widths = [...new Set(columnsList)].join(', ')
  throw new SchemeError(
    `Cannot use group_size auto: none of ${AUTO_SIZES.join(', ')} divides all of ${widths} columns, expected -1 (one scale per row) or a size of your own`,
    ['group_size'],
  )
}

function activationLabel(inputs: QuantizationArgs | null): string {
  if (!inputs) return 'A16'
  return inputs.type === 'float' ? `AFP${inputs.num_bits}` : `A${inputs.num_bits}`
}

function strategyLabel(args: QuantizationArgs): string {
  return match(args)
    .with({ strategy: P.union('group', 'tensor_group') }, ({ group_size }) => `g${group_size ?? ' auto'}`)
    .with({ strategy: 'block', block_structure: P.nonNullable }, ({ block_structure: [rows, columns] }) => `block ${rows}x${columns}`)
    .otherwise(({ strategy }) => strategy)
}

/** Floats with one-byte scales by the names they go by: E4M3 scales under a global one are NV's, powers of two the OCP's MX. */
function floatLabel({ num_bits, scale_dtype }: QuantizationArgs): string {
  if (/float8_e4m3/.test(scale_dtype ?? '')) return `NVFP${num_bits}`
  return /uint8|e8m0/.test(scale_dtype ?? '') ? `MXFP${num_bits}` : `FP${num_bits}`
}

/** When the scales of the inputs are found: `local` is compressed-tensors' word for those of groups alone, under a static global one. */
function momentLabel({ dynamic }: QuantizationArgs): string {
  if (dynamic === 'local') return 'local'
  return dynamic ? 'dynamic' : 'static'
}

function floatInputsLabel(weights: QuantizationArgs, inputs: QuantizationArgs | null): string {
  if (!inputs) return 'weight-only'
  const alike = inputs.type === 'float' && inputs.num_bits === weights.num_bits
  return alike ? momentLabel(inputs) : `${activationLabel(inputs)} ${momentLabel(inputs)}`
}

/**
 * A scheme in few words: `W4A16 g128`, `W4A16 g64 asym`, `W8A8 channel`, `W8A8 tensor static`, `FP8 dynamic`, `FP8 block 128x128 dynamic`,
 * `NVFP4 g16 local`, `MXFP4 g32 weight-only`, `NF4 g64 double quant`, `LLM.int8`.
 */
export function schemeLabel(scheme: QuantizationScheme): string {
  const { weights, input_activations: inputs } = scheme
  if (!weights) return 'unquantized'
  const where = strategyLabel(weights)
  if (weights.type === 'nf4' || weights.type === 'fp4') {
    return `${weights.type.toUpperCase()} ${where}${weights.bitsandbytes?.bnb_4bit_use_double_quant ? ' double quant' : ''}`
  }
  if (inputs?.outlier_threshold !== undefined) {
    return `LLM.int8${inputs.outlier_threshold === 6 ? '' : ` threshold ${inputs.outlier_threshold}`}`
  }
  if (weights.type === 'float') {
    return [floatLabel(weights), where === 'channel' ? '' : where, floatInputsLabel(weights, inputs)].filter(Boolean).join(' ')
  }
  const statically = inputs?.dynamic === false ? ' static' : ''
  return `W${weights.num_bits}${activationLabel(inputs)} ${where}${weights.symmetric ? '' : ' asym'}${statically}`
}
