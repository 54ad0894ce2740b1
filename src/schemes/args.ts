import { match } from 'ts-pattern'
import type { QuantizationArgs, Strategy } from '../checkpoint/quantization-config.ts'
import { didYouMean } from '../util/nearest.ts'
import { activationObserver, weightObserver } from './observers.ts'
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

/** What the args are for: a tensor of a linear, or the key-value cache. */
export type Role = 'weights' | 'input_activations' | 'output_activations' | 'kv_cache_scheme'

const STRATEGIES: readonly Strategy[] = ['tensor', 'channel', 'group', 'block', 'token', 'tensor_group', 'attn_head']
const STRATEGIES_OF: Readonly<Record<Role, readonly Strategy[]>> = {
  weights: ['tensor', 'channel', 'group', 'tensor_group', 'block'],
  input_activations: ['token', 'tensor', 'group', 'tensor_group'],
  output_activations: ['token', 'tensor', 'group'],
  kv_cache_scheme: ['tensor', 'attn_head'],
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
  if (type === 'float') return bits === 8 || bits === 4 ? bits : refuse('num_bits', bits, '4 or 8 for type float')
  if (role !== 'weights') return bits === 8 || bits === 4 ? bits : refuse('num_bits', bits, `4 or 8 for ${role}`)
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
  return allowed.includes(strategy) ? strategy : refuse('strategy', strategy, `one of ${allowed.join(', ')} for ${role}`)
}

function resolveSize(partial: PartialArgs, strategy: Strategy): number | null {
  const size = partial.group_size ?? null
  if (strategy !== 'group' && strategy !== 'tensor_group') {
    return size === null || size === -1 ? null : refuse('group_size', size, `none with strategy ${strategy}, or strategy group`)
  }
  if (size === 'auto') return null
  if (typeof size === 'number' && Number.isInteger(size) && size > 0) return size
  return refuse('group_size', size, `a positive whole number, or "auto", with strategy ${strategy}`)
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

function resolveDynamic(partial: PartialArgs, strategy: Strategy, bits: number, role: Role): boolean | 'local' {
  const found = word(partial.dynamic ?? false)
  if (strategy === 'tensor_group' && role !== 'weights') {
    return found === 'local' ? 'local' : refuse('dynamic', found, '"local" with strategy tensor_group: groups are scaled at run time')
  }
  if (found === 'local') return refuse('dynamic', found, 'true or false with a strategy other than tensor_group')
  const dynamic = boolean('dynamic', found, false)
  if (role === 'weights') return dynamic ? refuse('dynamic', found, 'false: weights are always quantized ahead of time') : false
  if (role === 'kv_cache_scheme') return dynamic ? refuse('dynamic', found, 'false: servers read stored scales of the cache') : false
  if (dynamic) return true
  if (strategy !== 'tensor')
    return refuse('dynamic', found, `true with strategy ${strategy}: only strategy tensor has stored scales for inputs`)
  return bits === 8 ? false : refuse('dynamic', found, `true with ${bits} bits: servers have stored scales for 8-bit inputs only`)
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

function resolveObserver(
  partial: PartialArgs,
  dynamic: boolean | 'local',
  role: Role,
): Pick<QuantizationArgs, 'observer' | 'observer_kwargs'> {
  const found = word(partial.observer ?? null)
  const kwargs = partial.observer_kwargs ?? {}
  if (typeof kwargs !== 'object') return refuse('observer_kwargs', kwargs, 'a mapping of settings')
  if (role === 'weights') return weightObserver(found, kwargs)
  if (dynamic !== true) return activationObserver(found, kwargs)
  if (found !== null) refuse('observer', found, 'none for dynamic activations: nothing is observed')
  if (Object.keys(kwargs).length > 0) refuse('observer_kwargs', kwargs, 'none for dynamic activations: nothing is observed')
  return { observer: null, observer_kwargs: {} }
}

/** The kinds of 4-bit and microscaled floats there are: what their scales are stored as follows from the groups. */
const NVFP4 = 'strategy tensor_group of 16 with scale_dtype torch.float8_e4m3fn (NVFP4)'
const MX = 'strategy group of 32 with scale_dtype torch.uint8 (MX)'

function resolveScaleDtype(
  partial: PartialArgs,
  type: 'int' | 'float',
  bits: number,
  strategy: Strategy,
  size: number | null,
): string | null {
  const found = partial.scale_dtype ? String(partial.scale_dtype).replace(/^torch\./, '') : null
  if (type === 'float' && strategy === 'tensor_group') {
    if (bits !== 4) refuse('num_bits', bits, `4 with strategy tensor_group: ${NVFP4}`)
    if (size !== 16) refuse('group_size', size, `16 with strategy tensor_group: ${NVFP4}`)
    return found === null || found === 'float8_e4m3fn' ? 'torch.float8_e4m3fn' : refuse('scale_dtype', found, NVFP4)
  }
  if (strategy === 'tensor_group')
    return refuse('strategy', strategy, `type float with 4 bits, or strategy group; tensor_group is ${NVFP4}`)
  const isMx = type === 'float' && (bits === 4 || found === 'uint8')
  if (!isMx)
    return found === null ? null : refuse('scale_dtype', found, `none: scales are stored in the type of the weights; or ${NVFP4}, or ${MX}`)
  if (strategy !== 'group') return refuse(bits === 4 ? 'strategy' : 'scale_dtype', bits === 4 ? strategy : found, `${MX}, or ${NVFP4}`)
  if (size !== 32) return refuse('group_size', size, `32: ${MX}, or ${NVFP4}`)
  return found === null || found === 'uint8' ? 'torch.uint8' : refuse('scale_dtype', found, MX)
}

function checkZeroPointDtype({ zp_dtype: found }: PartialArgs, type: 'int' | 'float'): void {
  const name = found ? String(found).replace(/^torch\./, '') : null
  const expected = type === 'int' ? ['int8'] : ['float8_e4m3fn', 'uint8']
  if (name !== null && !expected.includes(name)) refuse('zp_dtype', found, `torch.${expected.join(' or torch.')}, or none`)
}

/**
 * Fills in and checks quantization args by the rules of compressed-tensors 0.19 (`quant_args.py`): strategy inferred from the group
 * size, -1 meaning one scale per row. A group size of `auto` comes out as null with strategy group; `resolveGroupSize` settles it.
 * What no server computes with is refused too. Errors: SchemeError whose path names the key.
 */
export function resolveArgs(partial: PartialArgs, role: Role = 'weights'): QuantizationArgs {
  for (const key of Object.keys(partial)) {
    if (!KEYS.includes(key)) {
      throw new SchemeError(`Cannot use ${role}: found key "${key}"${didYouMean(key, KEYS)}, expected one of ${KEYS.join(', ')}`, [key])
    }
  }
  const type = resolveType(partial)
  const strategy = resolveStrategy(partial, role)
  const symmetric = boolean('symmetric', partial.symmetric, true)
  if (!symmetric && type === 'float') refuse('symmetric', false, 'true for type float')
  checkZeroPointDtype(partial, type)
  const bits = resolveBits(partial, type, role)
  const size = resolveSize(partial, strategy)
  const dynamic = resolveDynamic(partial, strategy, bits, role)
  return {
    num_bits: bits,
    type,
    strategy,
    group_size: size,
    block_structure: resolveBlock(partial, strategy),
    symmetric,
    dynamic,
    actorder: resolveActorder(partial, role),
    scale_dtype: resolveScaleDtype(partial, type, bits, strategy, size),
    zp_dtype: null,
    ...resolveObserver(partial, dynamic, role),
  }
}
