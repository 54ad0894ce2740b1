import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { CheckpointError } from '../util/errors.ts'
import { FLOATS_IN_CONFIG } from './bitsandbytes-config.ts'
import { refuseForeignLinks } from './foreign-links.ts'
import { isJsonObject, type JsonObject, readJsonFile } from './json-file.ts'
import { numberLiterals, stringifyWith } from './json-text.ts'
import { layoutFor } from './layouts.ts'
import { missingModel } from './missing-model.ts'
import { nameSays } from './name-hint.ts'
import type { QuantizationArgs, QuantizationScheme } from './quantization-config.ts'
import { isUnfinished } from './staging.ts'

export { parseQuantizationConfig } from './parse-quantization-config.ts'

/** The file that says what model a folder holds. */
export const CONFIG_FILE = 'config.json'

/** The config.json of a model folder. Errors: CheckpointError when it is missing, not JSON or not an object, or a run has yet to write it; as `refuseForeignLinks`. */
export async function readConfig(dir: string): Promise<JsonObject> {
  await refuseForeignLinks(dir)
  if (!existsSync(join(dir, CONFIG_FILE)) && isUnfinished(dir)) {
    const message = `Cannot open ${dir}: found a run that has not finished, expected a checkpoint. The command that began it goes on where it was stopped.`
    throw new CheckpointError(message, { file: join(dir, CONFIG_FILE) })
  }
  if (!existsSync(join(dir, CONFIG_FILE))) {
    if (existsSync(dir)) await refuseByName(dir)
    const file = join(dir, CONFIG_FILE)
    throw new CheckpointError(`Cannot read ${file}: ${await missingModel(dir, CONFIG_FILE)}.`, { file })
  }
  return readJsonFile(join(dir, CONFIG_FILE))
}

/** Errors: CheckpointError for what has no config.json and says by its name, or by that of a file of llama.cpp in it, what it is instead. */
async function refuseByName(path: string): Promise<void> {
  const files = await readdir(path).catch(() => [])
  const llama = files.find((file) => file.endsWith('.gguf'))
  const said = nameSays(llama ?? basename(resolve(path)))
  if (said === null) return
  const message = `Cannot open ${path}: found ${llama ?? `no ${CONFIG_FILE}`}, expected a model in the form of transformers; ${said}.`
  throw new CheckpointError(message, { file: path })
}

/**
 * The `quantization_config` to write for some groups of modules, and for the key-value cache where it is quantized. Keys that are null are
 * left out and `actorder` is kept for groups only, because compressed-tensors before 0.13 refuses keys it does not know and that setting
 * elsewhere. No `version` either: it would claim that compressed-tensors wrote the file, and no loader reads it.
 * Errors: CheckpointError for a scheme that no layout stores.
 */
export async function quantizationConfig(
  groups: Readonly<Record<string, QuantizationScheme>>,
  ignore: readonly string[],
  cache: QuantizationArgs | null = null,
): Promise<JsonObject> {
  const written: [string, JsonObject][] = []
  for (const [name, scheme] of Object.entries(groups)) written.push([name, writtenScheme(scheme, await formatOf(scheme))])
  const formats = new Set(written.map(([, { format }]) => format).filter((format) => format !== 'dense'))
  const [only = 'dense'] = formats
  return {
    quant_method: 'compressed-tensors',
    format: formats.size > 1 ? 'mixed-precision' : only,
    quantization_status: 'compressed',
    config_groups: Object.fromEntries(written),
    ignore: [...ignore],
    ...(cache && { kv_cache_scheme: writtenArgs(cache) }),
  }
}

async function formatOf(scheme: QuantizationScheme): Promise<string> {
  return scheme.weights === null ? 'dense' : (await layoutFor(scheme)).format
}

function writtenScheme({ targets, weights, input_activations, output_activations }: QuantizationScheme, format: string): JsonObject {
  const args = Object.entries({ weights, input_activations, output_activations }).flatMap(([key, value]) =>
    value ? [[key, writtenArgs(value)]] : [],
  )
  return { targets, ...Object.fromEntries(args), format }
}

function writtenArgs(args: QuantizationArgs): JsonObject {
  const omitted = {
    actorder: args.strategy !== 'group',
    zp_dtype: args.symmetric,
    observer_kwargs: Object.keys(args.observer_kwargs).length === 0,
  }
  const kept = Object.entries(args).filter(([key, value]) => value !== null && !omitted[key as keyof typeof omitted])
  return Object.fromEntries(kept)
}

/**
 * The text of a config.json to write in place of that of a model folder: numbers that are still the same stand as they stood there.
 */
export async function configText(dir: string, config: Readonly<JsonObject>): Promise<string> {
  const literals = numberLiterals(await readFile(join(dir, CONFIG_FILE), 'utf8'))
  const { llm_int8_threshold: threshold } = isJsonObject(config.quantization_config) ? config.quantization_config : {}
  if (Number.isInteger(threshold)) for (const path of FLOATS_IN_CONFIG) literals.set(path, `${threshold}.0`)
  return `${stringifyWith(config, literals)}\n`
}

/**
 * The config.json to write: all keys of the original in their order, then `quantization_config` unless nothing is quantized. `tied` says
 * whether lm_head still shares the embedding's weight; leave it out to keep what the original says.
 */
export function patchConfig(
  original: Readonly<JsonObject>,
  quantization: JsonObject | null,
  { tied }: { tied?: boolean } = {},
): JsonObject {
  const { quantization_config: _, ...kept } = original
  return { ...kept, ...(tied !== undefined && { tie_word_embeddings: tied }), ...(quantization && { quantization_config: quantization }) }
}
