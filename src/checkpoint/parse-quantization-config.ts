import { Ajv } from 'ajv'
import { match, P } from 'ts-pattern'
import { CheckpointError } from '../util/errors.ts'
import { isJsonObject, type JsonObject } from './json-file.ts'
import { parseBitsAndBytesConfig } from './parse-bitsandbytes-config.ts'
import { parseExchangeConfig } from './parse-exchange-config.ts'
import type { QuantizationConfig, QuantizationScheme } from './quantization-config.ts'
import { QUANTIZATION_CONFIG_SCHEMA } from './quantization-config-schema.ts'

/**
 * The `quantization_config` in a config.json with every key filled in (see compressed-tensors' defaults), or null when there is none: the
 * model is not compressed. A group without a format gets the one of the whole. Errors: CheckpointError for another quantization method, for
 * what is not readable yet (sparsity, transforms, weights left uncompressed), and for keys or values that compressed-tensors would refuse.
 */
export function parseQuantizationConfig(config: Readonly<JsonObject>): QuantizationConfig | null {
  const stored = config.quantization_config
  if (stored === undefined || stored === null) return null
  if (!isJsonObject(stored)) throw unusable(`it is ${JSON.stringify(stored)?.slice(0, 80)}, expected an object`)
  if (stored.quant_method === 'gptq' || stored.quant_method === 'awq') return parseExchangeConfig(stored)
  // Older checkpoints name no method, as older versions of transformers did not.
  if (
    stored.quant_method === 'bitsandbytes' ||
    (stored.quant_method === undefined && (stored.load_in_8bit === true || stored.load_in_4bit === true))
  )
    return parseBitsAndBytesConfig(stored)
  assertReadable(stored)
  const filled = validate({ ...withoutNulls(stored), ...normalGroups(stored) })
  return { ...filled, quantization_status: 'compressed', config_groups: withFormats(filled) }
}

/** Methods that models are published with, which transformers can undo. */
const UNDONE_BY: Readonly<Record<string, string>> = {
  mxfp4: 'Mxfp4Config(dequantize=True)',
  fp8: 'FineGrainedFP8Config(dequantize=True)',
}

function remedyFor(method: unknown): string {
  const undone = UNDONE_BY[String(method)]
  if (undone === undefined) return 'use the original model'
  return `use a version in bfloat16, published or made by from_pretrained(..., quantization_config=${undone}) and save_pretrained of transformers`
}

function assertReadable({
  quant_method: method,
  config_groups: groups,
  sparsity_config: sparsity,
  transform_config: transform,
}: JsonObject): void {
  if (method !== 'compressed-tensors' && (typeof method === 'string' || !groups)) {
    throw unusable(
      `its quant_method is ${JSON.stringify(method)}, which is not readable yet, expected "compressed-tensors", "gptq", "awq" or "bitsandbytes"; ${remedyFor(method)}`,
    )
  }
  const isSparse = isJsonObject(sparsity) && Object.keys(sparsity).length > 0 && sparsity.format !== 'dense'
  if (isSparse) throw unusable('its weights are sparse (sparsity_config), which is not readable yet')
  if (isJsonObject(transform) && Object.keys(transform).length > 0) {
    throw unusable('its model has transforms at run time (transform_config), which are not readable yet')
  }
}

function normalGroups({ config_groups: groups, kv_cache_scheme: kv }: JsonObject): JsonObject {
  if (!isJsonObject(groups)) throw unusable('it has no config_groups, expected an object of schemes')
  const normal = Object.entries(groups).map(([name, scheme]): [string, unknown] => {
    if (Array.isArray(scheme)) throw unusable(`its config_groups.${name} is a list of targets, expected a scheme written out`)
    return [name, isJsonObject(scheme) ? normalScheme(scheme) : scheme]
  })
  return { config_groups: Object.fromEntries(normal), ...(isJsonObject(kv) ? { kv_cache_scheme: normalArgs(kv) } : {}) }
}

function normalScheme(scheme: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(withoutNulls(scheme)).map(([key, value]) => [key, isJsonObject(value) ? normalArgs(value) : value]),
  )
}

/** Spelling variants that compressed-tensors accepts, and the strategy it infers where there is none. */
function normalArgs(args: JsonObject): JsonObject {
  const lower = (value: unknown) => (typeof value === 'string' ? value.toLowerCase() : value)
  const { group_size: size, block_structure: block, actorder, type, strategy, ...others } = withoutNulls(args)
  const inferred = size === undefined ? 'tensor' : size === -1 ? 'channel' : 'group'
  return withoutNulls({
    ...others,
    type: lower(type),
    strategy: lower(strategy) ?? inferred,
    group_size: size === -1 ? null : size,
    block_structure: typeof block === 'string' ? block.split('x').map(Number) : block,
    actorder: normalOrder(actorder),
  })
}

/** Older names of the orders: `dynamic` and true stand for `group`. */
function normalOrder(order: unknown): unknown {
  if (order === false) return null
  const name = typeof order === 'string' ? order.toLowerCase() : order
  return name === true || name === 'dynamic' ? 'group' : name
}

/** compressed-tensors writes a null where a key is not set, and reads both alike. */
function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null && value !== undefined))
}

function validate(config: JsonObject): QuantizationConfig {
  const check = new Ajv({ useDefaults: true, verbose: true }).compile<QuantizationConfig>(QUANTIZATION_CONFIG_SCHEMA)
  if (check(config)) {
    const { quant_method, format, quantization_status, config_groups, ignore, kv_cache_scheme } = config
    return { quant_method, format, quantization_status, config_groups, ignore, kv_cache_scheme }
  }
  const [error] = check.errors ?? []
  const key = error?.params.additionalProperty ?? ''
  const expected = match(error?.params)
    .with({ allowedValues: P.array() }, ({ allowedValues }) => `must be one of ${allowedValues.map(String).join(', ')}`)
    .with({ additionalProperty: P.string }, () => `must not have the key ${key}`)
    .otherwise(() => error?.message ?? 'must be valid')
  throw unusable(
    `its ${error?.instancePath.slice(1).replaceAll('/', '.') || 'value'} is ${JSON.stringify(error?.data)?.slice(0, 200)}, but ${expected}`,
  )
}

function withFormats({ config_groups: groups, format }: QuantizationConfig): Record<string, QuantizationScheme> {
  const whole = format === 'mixed-precision' ? null : format
  const schemes = Object.entries(groups).map(([name, scheme]): [string, QuantizationScheme] => [
    name,
    { ...scheme, format: scheme.format ?? whole },
  ])
  for (const [name, scheme] of schemes) {
    if (scheme.weights && (scheme.format === 'dense' || scheme.format === 'fakequant')) {
      throw unusable(`its group ${name} has format ${scheme.format}, weights that were never compressed, which is not readable yet`)
    }
  }
  return Object.fromEntries(schemes)
}

function unusable(problem: string): CheckpointError {
  return new CheckpointError(`Cannot read quantization_config of config.json: ${problem}.`, { file: 'config.json' })
}
