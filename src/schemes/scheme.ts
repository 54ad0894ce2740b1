import { match, P } from 'ts-pattern'
import type { QuantizationArgs, QuantizationScheme, Strategy } from '../checkpoint/quantization-config.ts'
import { didYouMean } from '../util/nearest.ts'
import { SchemeError } from './scheme-error.ts'

/** What recipes and presets write: any part of QuantizationArgs, and `auto` where a group size is meant to fit the model. */
export type PartialArgs = {
  readonly [K in keyof QuantizationArgs]?: K extends 'group_size'
    ? number | 'auto' | null
    : K extends 'block_structure'
      ? readonly number[] | string | null
      : K extends 'actorder' | 'strategy' | 'type'
        ? string | boolean | null
        : QuantizationArgs[K] | string | null
}

/** Which tensor of a linear the args are for. */
export type Role = 'weights' | 'input_activations' | 'output_activations'

const STRATEGIES: readonly Strategy[] = ['tensor', 'channel', 'group', 'block', 'token', 'tensor_group', 'attn_head']
const STRATEGIES_OF: Readonly<Record<Role, readonly Strategy[]>> = {
  weights: ['tensor', 'channel', 'group', 'block'],
  input_activations: ['token', 'tensor', 'group'],
  output_activations: ['token', 'tensor', 'group'],
}
const KEYS = [
  'num_bits',
  'type',
  'strategy',
  'group_size',
  'block_structure',
  'symmetric',
  'dynamic',
  'actorder',
  'scale_dtype',
  'zp_dtype',
  'observer',
  'observer_kwargs',
]
/** All three come to the same for weights, which are seen once: llm-compressor replaces the others by the first. */
const MINMAX = ['memoryless_minmax', 'minmax', 'static_minmax']
const LATER_OBSERVERS = ['mse', 'memoryless_mse', 'imatrix_mse', 'nvfp4_expanded_mse', 'nvfp4_expanded_imatrix', 'fouroversix']

/** Group sizes that servers have kernels for, largest first; `auto` takes the first that fits. */
const AUTO_SIZES = [128, 64, 32]

function refuse(key: string, found: unknown, expected: string): never {
  throw new SchemeError(`Cannot use ${key}: found ${JSON.stringify(found)}, expected ${expected}`, [key])
}

function boolean(key: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback
  return typeof value === 'boolean' ? value : refuse(key, value, 'true or false')
}

function word(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value
}

function resolveType(partial: PartialArgs): 'int' | 'float' {
  return match(word(partial.type ?? 'int'))
    .with('int', 'float', (type) => type)
    .otherwise((found) => refuse('type', found, 'int or float'))
}

function resolveBits(partial: PartialArgs, type: 'int' | 'float', role: Role): number {
  const bits = partial.num_bits ?? 8
  if (typeof bits !== 'number' || !Number.isInteger(bits)) return refuse('num_bits', bits, 'a whole number')
  if (type === 'float' && bits !== 8)
    return refuse('num_bits', bits, bits === 4 ? '8 (4-bit floats are not available in this version)' : '8 for type float')
  if (role !== 'weights' && bits !== 8) return refuse('num_bits', bits, '8 (other activation widths are not available in this version)')
  return bits >= 2 && bits <= 8 ? bits : refuse('num_bits', bits, '2 to 8')
}

function inferStrategy(groupSize: unknown): Strategy {
  if (groupSize === null || groupSize === undefined) return 'tensor'
  return groupSize === -1 ? 'channel' : 'group'
}

function resolveStrategy(partial: PartialArgs, role: Role): Strategy {
  const found = word(partial.strategy ?? inferStrategy(partial.group_size))
  const strategy = STRATEGIES.find((s) => s === found)
  if (!strategy) return refuse('strategy', found, `one of ${STRATEGIES.join(', ')}${didYouMean(String(found), STRATEGIES)}`)
  const allowed = STRATEGIES_OF[role]
  if (!allowed.includes(strategy)) {
    const later = strategy === 'tensor_group' || strategy === 'attn_head' ? ' (not available in this version)' : ''
    return refuse('strategy', strategy + later, `one of ${allowed.join(', ')} for ${role}`)
  }
  return strategy
}

function resolveSize(partial: PartialArgs, strategy: Strategy): number | null {
  const size = partial.group_size ?? null
  if (strategy !== 'group') {
    return size === null || size === -1 ? null : refuse('group_size', size, `none with strategy ${strategy}, or strategy group`)
  }
  if (size === 'auto') return null
  if (typeof size === 'number' && Number.isInteger(size) && size > 0) return size
  return refuse('group_size', size, 'a positive whole number, or "auto", with strategy group')
}

function resolveBlock(partial: PartialArgs, strategy: Strategy): [number, number] | null {
  const found = partial.block_structure ?? null
  if (found === null) return strategy === 'block' ? refuse('block_structure', found, '[rows, columns] with strategy block') : null
  if (strategy !== 'block') return refuse('block_structure', found, `none with strategy ${strategy}, or strategy block`)
  const [rows, columns, ...rest] = typeof found === 'string' ? found.split('x').map(Number) : found
  const whole = (n: number | undefined): n is number => Number.isInteger(n) && Number(n) > 0
  return whole(rows) && whole(columns) && rest.length === 0
    ? [rows, columns]
    : refuse('block_structure', found, 'two positive whole numbers [rows, columns]')
}

function resolveDynamic(partial: PartialArgs, strategy: Strategy, role: Role): boolean {
  const found = word(partial.dynamic ?? false)
  if (found === 'local') return refuse('dynamic', found, 'true or false (local scales are not available in this version)')
  const dynamic = boolean('dynamic', found, false)
  if (role === 'weights') return dynamic ? refuse('dynamic', found, 'false: weights are always quantized ahead of time') : false
  if (dynamic) return true
  return strategy === 'token'
    ? refuse('dynamic', found, 'true with strategy token')
    : refuse('dynamic', found, 'true (static activation scales are not available in this version)')
}

function resolveActorder(partial: PartialArgs, role: Role): 'static' | 'weight' | null {
  const found = word(partial.actorder ?? null)
  if (found === null || found === false) return null
  if (role !== 'weights') return refuse('actorder', found, `none for ${role}`)
  return match(found)
    .with('static', 'weight', (order) => order)
    .otherwise(() =>
      refuse('actorder', found, 'static, weight or null (orders that need a stored g_idx were dropped by compressed-tensors 0.19)'),
    )
}

function resolveObserver(partial: PartialArgs, role: Role): string | null {
  const found = word(partial.observer ?? null)
  const kwargs = partial.observer_kwargs
  if (kwargs && typeof kwargs === 'object' && Object.keys(kwargs).length > 0) {
    throw new SchemeError(`Cannot use observer_kwargs: found ${JSON.stringify(kwargs)}, expected none: minmax has no settings`, [
      'observer_kwargs',
    ])
  }
  if (role !== 'weights') return found === null ? null : refuse('observer', found, 'none for dynamic activations: nothing is observed')
  if (found === null || MINMAX.includes(String(found))) return 'memoryless_minmax'
  if (LATER_OBSERVERS.includes(String(found)))
    return refuse('observer', found, 'memoryless_minmax (searching observers are not available in this version)')
  return refuse('observer', found, `memoryless_minmax${didYouMean(String(found), MINMAX)}`)
}

/**
 * Fills in and checks quantization args by the rules of compressed-tensors 0.19 (`quant_args.py`): strategy inferred from the group
 * size, -1 meaning one scale per row. A group size of `auto` comes out as null with strategy group; `resolveGroupSize` settles it.
 * Errors: SchemeError whose path names the key.
 */
export function resolveArgs(partial: PartialArgs, role: Role = 'weights'): QuantizationArgs {
  for (const key of Object.keys(partial)) {
    if (!KEYS.includes(key)) {
      throw new SchemeError(`Cannot use ${role}: found key "${key}", expected one of ${KEYS.join(', ')}${didYouMean(key, KEYS)}`, [key])
    }
  }
  const type = resolveType(partial)
  const strategy = resolveStrategy(partial, role)
  const symmetric = boolean('symmetric', partial.symmetric, true)
  if (!symmetric && type === 'float') refuse('symmetric', false, 'true for type float')
  if (!symmetric && role !== 'weights') refuse('symmetric', false, 'true (asymmetric activations are not available in this version)')
  if (partial.scale_dtype) refuse('scale_dtype', partial.scale_dtype, 'none: scales are stored in the type of the weights')
  if (partial.zp_dtype && !/^(torch\.)?int8$/.test(String(partial.zp_dtype))) refuse('zp_dtype', partial.zp_dtype, 'torch.int8 or none')
  return {
    num_bits: resolveBits(partial, type, role),
    type,
    strategy,
    group_size: resolveSize(partial, strategy),
    block_structure: resolveBlock(partial, strategy),
    symmetric,
    dynamic: resolveDynamic(partial, strategy, role),
    actorder: resolveActorder(partial, role),
    scale_dtype: null,
    zp_dtype: null,
    observer: resolveObserver(partial, role),
    observer_kwargs: {},
  }
}

/** Group sizes a server can use that divide a number of columns, largest first; the columns themselves (one group) if there is none. */
export function legalGroupSizes(columns: number): number[] {
  const legal = AUTO_SIZES.filter((size) => columns % size === 0)
  return legal.length > 0 ? legal : [columns]
}

/** Why a group size cannot be used on a linear with so many columns, with what can; null when it can or when there are no groups. */
export function groupSizeProblem(args: QuantizationArgs, columns: number): string | null {
  const { strategy, group_size: size } = args
  if (strategy !== 'group' || size === null || columns % size === 0) return null
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
 * `NVFP4 g16 local`, `MXFP4 g32 weight-only`.
 */
export function schemeLabel(scheme: QuantizationScheme): string {
  const { weights, input_activations: inputs } = scheme
  if (!weights) return 'unquantized'
  const where = strategyLabel(weights)
  if (weights.type === 'float') {
    return [floatLabel(weights), where === 'channel' ? '' : where, floatInputsLabel(weights, inputs)].filter(Boolean).join(' ')
  }
  const statically = inputs?.dynamic === false ? ' static' : ''
  return `W${weights.num_bits}${activationLabel(inputs)} ${where}${weights.symmetric ? '' : ' asym'}${statically}`
}
