import { bitsandbytesConfig, isSkipped } from '../checkpoint/bitsandbytes-config.ts'
import { quantizationConfig } from '../checkpoint/config.ts'
import { awqConfig, type ExchangeModel, gptqConfig } from '../checkpoint/exchange-config.ts'
import type { JsonObject } from '../checkpoint/json-file.ts'
import type { Layout, Method } from '../checkpoint/layouts/layout.ts'
import { layoutFor, layoutNamed } from '../checkpoint/layouts.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { type OpenModel, otherLinears } from '../models/open-model.ts'
import type { Recipe } from '../recipe/recipe.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import { packageVersion } from '../util/package-version.ts'
import { configGroups, type SettledGroup } from './config-groups.ts'
import { ignoredNames } from './plan-tensors.ts'

/** Whose formats a checkpoint can be written in. */
export const FORMATS: readonly Method[] = ['compressed-tensors', 'gptq', 'awq', 'bitsandbytes']

/** The layout of a scheme's weights in a checkpoint of a format. Errors: CheckpointError for a scheme that no layout stores. */
export async function layoutIn(format: Method, scheme: QuantizationScheme): Promise<Layout> {
  if (format === 'awq') return layoutNamed('awq')
  if (format === 'gptq') return layoutNamed(scheme.weights?.symmetric === false ? 'gptq_v2' : 'gptq')
  const layout = await layoutFor(scheme)
  if (layout.method === format) return layout
  if (format === 'bitsandbytes')
    throw new CheckpointError(`Cannot use ${schemeLabel(scheme)} in a bitsandbytes checkpoint: expected what BitsAndBytesModifier makes.`)
  throw new CheckpointError(
    `Cannot use format ${layout.format} in a compressed-tensors checkpoint: expected one of its own, and gptq or awq as the format of the run.`,
  )
}

/** What a checkpoint of compressed linears says in config.json, and the files that go beside it. */
export interface WrittenQuantization {
  /** Null where nothing is quantized. */
  readonly section: JsonObject | null
  readonly files: readonly { readonly name: string; readonly text: string }[]
}

/** Words the schemes of linears for the loaders of a format. */
export async function writtenQuantization(
  format: Method,
  source: OpenModel,
  groups: readonly SettledGroup[],
  cache: QuantizationArgs | null,
): Promise<WrittenQuantization> {
  const { model } = source
  const compressed = new Set(groups.flatMap(({ linears }) => linears))
  const all = [...Array.from({ length: model.layers }, (_, layer) => model.linears(layer)).flat(), model.head()]
  const untouched = all.flatMap(({ name }) => (compressed.has(name) ? [] : [name]))
  const alias = model.headAlias !== undefined && !compressed.has(model.head().name) ? [model.headAlias] : []
  const ignore = [...ignoredNames(source, untouched, compressed), ...alias, ...otherLinears(source)]
  if (format === 'compressed-tensors') {
    const written = groups.length > 0 ? configGroups(model, groups, ignore) : {}
    return { section: groups.length > 0 || cache ? await quantizationConfig(written, ignore, cache) : null, files: [] }
  }
  const [{ scheme }] = groups
  const exchange: ExchangeModel = {
    scheme,
    linears: [...compressed],
    left: ignore,
    head: model.head().name,
    quantizer: `llmpress:${packageVersion()}`,
  }
  if (format === 'bitsandbytes') return { section: bitsandbytesConfig({ scheme, left: ignore, head: model.head().name }), files: [] }
  const { section, file } = format === 'gptq' ? gptqConfig((await layoutIn(format, scheme)).format, exchange) : awqConfig(exchange)
  return { section, files: [file] }
}

/** Model types whose activations transformers and AutoAWQ scale in AWQ checkpoints (`AWQ_SCALES_MAPPINGS`): scales that nothing here makes. */
const SCALED_ACTIVATIONS = ['starcoder2', 'falcon', 'mpt', 'gptj', 'gpt_neox', 'gpt_bigcode', 'bloom']

/**
 * The format of a run: what is asked for, or what the codes of its modifiers are for. Errors: RecipeError where the two are not the same.
 */
export function formatOf({ modifiers }: Recipe, asked: Method | undefined): Method {
  const own = modifiers.find(({ definition }) => definition.format !== undefined)
  const made = own?.definition.format
  if (own === undefined || made === undefined) return asked ?? 'compressed-tensors'
  if (asked === undefined || asked === made) return made
  throw own.errorAt(
    [],
    `Cannot write the format ${asked}: ${own.definition.names[0]} makes checkpoints of ${made}, expected --format ${made}, or none`,
  )
}

/**
 * Refuses what a GPTQ, AWQ or bitsandbytes checkpoint has no words for. `doing`: `write ./out` or `convert ./model`. Errors: UserError naming the linear, what was found
 * and what can be done.
 */
export async function requireFormat(
  doing: string,
  format: Method,
  source: OpenModel,
  groups: readonly SettledGroup[],
  specs: readonly LinearSpec[],
  cache: QuantizationArgs | null,
): Promise<void> {
  if (format === 'compressed-tensors') return
  const refuse = (found: string, expected: string) => {
    const other = format === 'bitsandbytes' ? '' : ', or --format compressed-tensors'
    throw new UserError(`Cannot ${doing} as ${format}: ${found}, expected ${expected}${other}.`)
  }
  const schemes = new Map(groups.map(({ scheme }) => [signature(scheme), scheme]))
  const labels = [...schemes.values()].map(schemeLabel).join(' and ')
  if (groups.length === 0) refuse('found no compressed linear', 'at least one')
  if (schemes.size > 1) refuse(`found ${labels}, and such a checkpoint has one scheme for all linears`, 'one')
  if (cache) refuse('found kv_cache_scheme, which it has no words for', 'none')
  const named = [...schemes.values()].flatMap(({ weights }) => weights?.scale_dtype ?? []).find((name) => name !== 'torch.float16')
  if (named !== undefined)
    refuse(`found scale_dtype ${named.replace('torch.', '')}, and such a checkpoint has scales of its own type`, 'none')
  const { modelType, tied } = source.model
  const head = source.model.head().name
  const compressed = new Map(groups.flatMap(({ linears, scheme }) => linears.map((name) => [name, scheme] as const)))
  if (format === 'awq' && SCALED_ACTIVATIONS.includes(modelType))
    refuse(`AWQ loaders look for scales of activations in a ${modelType}, which are not made here`, 'another architecture')
  if (format === 'awq' && compressed.has(head)) refuse(`${head} is compressed, which AWQ loaders leave alone`, `${head} in ignore`)
  if (compressed.has(head) && tied) refuse(`${head} is compressed, and its weight is the embedding's`, `${head} in ignore`)
  if (format === 'bitsandbytes') requireTold(refuse, source, [...compressed.keys()], groups)
  for (const spec of specs) {
    const scheme = compressed.get(spec.name)
    if (!scheme) continue
    const problem = (await layoutIn(format, scheme)).refuses?.(scheme, spec.rows, spec.columns)
    if (problem) refuse(`${spec.name} is ${schemeLabel(scheme)} [${spec.rows}, ${spec.columns}]: ${problem}`, 'a scheme that fits')
  }
}

/** A list of modules to leave alone is read by prefixes and ends: it must not name compressed linears by chance. */
function requireTold(
  refuse: (found: string, expected: string) => void,
  source: OpenModel,
  compressed: readonly string[],
  groups: readonly SettledGroup[],
): void {
  const { model } = source
  const all = [...Array.from({ length: model.layers }, (_, layer) => model.linears(layer)).flat(), model.head()]
  const left = ignoredNames(
    source,
    all.flatMap(({ name }) => (compressed.includes(name) ? [] : [name])),
    new Set(compressed),
  )
  const { llm_int8_skip_modules: skipped } = bitsandbytesConfig({ scheme: groups[0].scheme, left, head: model.head().name })
  const hit = Array.isArray(skipped) ? compressed.find((name) => isSkipped(name, skipped)) : undefined
  if (hit !== undefined)
    refuse(`transformers would leave ${hit} alone with ${left.join(', ')}, whose name is a part of its own`, 'another ignore list')
}

/** What of a scheme such checkpoints speak of. */
function signature({ weights, input_activations: inputs }: QuantizationScheme): string {
  const { num_bits, type, strategy, group_size, symmetric, actorder, bitsandbytes } = weights ?? {}
  return JSON.stringify([num_bits, type, strategy, group_size, symmetric, actorder === 'group', bitsandbytes, inputs])
}
