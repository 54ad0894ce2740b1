import { resolve } from 'node:path'
import { patchConfig } from '../checkpoint/config.ts'
import type { Method } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { planShards, type Shard, totalBytes } from '../checkpoint/shards.ts'
import { type ModelFolder, modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { uncomputable } from '../models/computable.ts'
import { type OpenModel, openModel, storedName } from '../models/open-model.ts'
import type { ModifierDefinition, Needs } from '../modifiers/modifier.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { loadRecipe } from '../recipe/parse.ts'
import type { Recipe } from '../recipe/recipe.ts'
import type { KindSize, RunRecord } from '../report/record.ts'
import { resolveKvCacheScheme } from '../schemes/kv-cache.ts'
import { needsInputs } from '../schemes/observers.ts'
import { CheckpointError, UserError } from '../util/errors.ts'
import { remembered } from '../util/remembered.ts'
import { assign, type PlannedModifier } from './assign.ts'
import { finishedRecord } from './finished-record.ts'
import { checkOneshot } from './options.ts'
import { requireSpace, requireTarget } from './output-target.ts'
import { type PassThrough, resultTensors, untouchedTensors } from './plan-tensors.ts'
import { foreignTensors, modelWarnings } from './plan-warnings.ts'
import { sizeByKind } from './size-kinds.ts'
import type { PlannedLinear, StagedLinear } from './staged-linear.ts'
import { formatOf, layoutIn, requireFormat, writtenQuantization } from './written-format.ts'

export interface PlanOptions extends HubOptions {
  /** A checkpoint folder, or `org/name` or `org/name@revision` on the hub. */
  model: string
  /** A recipe file, the name of a shipped recipe, a scheme preset, YAML text, or an object. */
  recipe: string | object
  /** The folder to write; `./{model name}-{recipe name}` by default. */
  output?: string
  /** Replaces a checkpoint in the output folder; the old one stays until the new one is whole. */
  overwrite?: boolean
  /** Bytes that the run may take, as a number or as text (`4GB`); what the machine or its container has by default. */
  maxMemory?: number | string
  /** Whose format the checkpoint is written in, for whose loaders; by default that of the recipe's modifiers, mostly `compressed-tensors`. */
  format?: Method
  /** Makes warnings of the plan errors. */
  strict?: boolean
  /** Modifiers of the caller's own: definitions, or packages or paths that export one. Recipes name them. */
  modifiers?: readonly (ModifierDefinition | string)[]
}

/** Everything a run will do, settled before compute. Close it when done. */
export interface Plan {
  readonly source: OpenModel
  /** Where the source comes from. */
  readonly origin: ModelFolder
  readonly recipe: Recipe
  readonly output: string
  /** The record of a finished run in the output folder, of this one or of another; only where a plan may have one. */
  readonly finished: RunRecord | null
  readonly format: Method
  readonly modifiers: readonly PlannedModifier[]
  /** In the order of the walk; lm_head last. */
  readonly linears: readonly PlannedLinear[]
  /** What the modifiers need at most: calibration rows through the layers as compressed so far, and through the originals beside. */
  readonly needs: Needs
  /** Whether a modifier measures second moments of inputs. */
  readonly secondMoments: boolean
  /** How the key-value cache is quantized, and the type that its scales are stored in. */
  readonly cache: QuantizationArgs | null
  readonly cacheDtype: FloatDType
  /** Stored tensors that are copied as they are, with the layer whose completion writes them. */
  readonly passThrough: readonly PassThrough[]
  /** Names of those that no part of the architecture reads. */
  readonly foreign: readonly string[]
  readonly shards: readonly Shard[]
  /** The config.json to write. */
  readonly config: Readonly<Record<string, unknown>>
  /** Other files that say how the weights are compressed, where loaders of the format look for one. */
  readonly configFiles: readonly { readonly name: string; readonly text: string }[]
  /** Bytes of all tensors. */
  readonly size: { readonly before: number; readonly after: number }
  readonly kinds: readonly KindSize[]
  readonly warnings: readonly string[]
  close(): Promise<void>
}

/**
 * Settles a run from the recipe, config.json and the tensor headers; reads no weights and writes nothing, but that a model of the hub is
 * downloaded into its cache first.
 * Errors: UserError and its kinds, for everything that can be known to go wrong.
 */
export async function planRun(options: PlanOptions): Promise<Plan> {
  checkOneshot(options, 'planRun')
  return planned(options, 'unused')
}

/** As `planRun`, of a run that may have come to its end before: a checkpoint in the output folder is left to the caller to judge. */
export async function planAgain(options: PlanOptions & { readonly restart?: boolean }): Promise<Plan> {
  // What modifiers of the user's own do is in no record.
  const isOwn = (options.modifiers?.length ?? 0) > 0
  return planned(options, options.overwrite || options.restart || isOwn ? 'unused' : 'finished')
}

/** As `planRun`, for a run that compares what it makes and writes nothing: no output folder is looked at. */
export async function planRebuild(options: Omit<PlanOptions, 'output' | 'overwrite'>): Promise<Plan> {
  return planned(options, 'none')
}

/**
 * As `planRun`, of a model that is only described (`describedCheckpoint`), for what the result would be; nothing can be run by it.
 * Errors: as `planRun`.
 */
export async function planDescribed(
  source: OpenModel,
  { recipe, modifiers = [] }: Pick<PlanOptions, 'recipe' | 'modifiers'>,
): Promise<Plan> {
  const { path, name } = source
  const origin = { path, name, id: name, commit: null, reference: path, warnings: [], remote: null }
  return settle(source, origin, await loadRecipe(recipe, { modifiers }), { model: path, recipe }, 'none')
}

/** What the output folder may be: none at all is looked at, one that can be written to, or one with a finished checkpoint as well. */
type Target = 'none' | 'unused' | 'finished'

async function planned(options: PlanOptions, allowed: Target): Promise<Plan> {
  const recipe = await loadRecipe(options.recipe, { modifiers: options.modifiers ?? [] })
  const origin = await modelFolder(options.model, options)
  const original = { ...(await openModel(origin.path)), name: origin.name }
  try {
    return await settle(await rewritten(original, recipe), origin, recipe, options, allowed)
  } catch (error) {
    await original.close()
    throw error
  }
}

/** The model as the recipe's rotations and the like make it, read through them. */
async function rewritten(source: OpenModel, { modifiers }: Recipe): Promise<OpenModel> {
  let view = source
  for (const { definition, options, errorAt } of modifiers) {
    if (!definition.rewrites) continue
    requireComputable(source, definition.names[0])
    try {
      view = await definition.rewrites(options as never, view)
    } catch (error) {
      throw error instanceof UserError && error.constructor === UserError ? errorAt([], error.message) : error
    }
  }
  return view
}

async function settle(
  source: OpenModel,
  origin: ModelFolder,
  recipe: Recipe,
  { output, overwrite = false, strict = false, format: asked }: PlanOptions,
  allowed: Target,
): Promise<Plan> {
  if (source.config.quantization_config) {
    throw new CheckpointError(
      `Cannot compress ${source.path}: it is already quantized (config.json has quantization_config), expected an original.`,
    )
  }
  const format = formatOf(recipe, asked)
  const target = resolve(output ?? `${source.name}-${recipe.name}`)
  const finished = allowed === 'finished' ? await finishedRecord(target) : null
  const writes = allowed !== 'none' && !finished
  if (writes) await requireTarget(target, source.path, overwrite)
  const staged = stagedLinears(source)
  const { modifiers, schemes, groups, warnings } = await assign(source, recipe, staged, format, strict)
  const linears: PlannedLinear[] = []
  const layoutOf = remembered((scheme: QuantizationScheme) => layoutIn(format, scheme))
  for (const entry of staged) {
    const scheme = schemes.get(entry.spec.name) ?? null
    const stored = floatDtype(source, entry.spec.name)
    // Scales of GPTQ and AWQ are float16, whatever the model is.
    const dtype = scheme && (format === 'gptq' || format === 'awq') ? 'F16' : stored
    linears.push({ ...entry, dtype, scheme, layout: scheme && (await layoutOf(scheme)) })
  }
  requireMeasurable(modifiers, linears)
  const passThrough = untouchedTensors(source, linears)
  const cache = cacheScheme(recipe)
  const specs = linears.map(({ spec }) => spec)
  await requireFormat(`write ${target}`, format, source, groups, specs, cache)
  const needs = needsOf(modifiers, linears, cache)
  if (needs !== 'weights') requireComputable(source, 'a recipe that needs calibration data')
  const foreign = foreignTensors(source, passThrough)
  const allWarnings = [...origin.warnings, ...warnings, ...modelWarnings(source, new Set(schemes.keys()), foreign)]
  if (strict && allWarnings.length > 0) throw new UserError(`Cannot plan under --strict: ${allWarnings.join('; ')}`)
  const cacheDtype = linears[0].dtype
  const tensors = resultTensors(source, linears, passThrough, cache && { args: cache, dtype: cacheDtype })
  const size = { before: totalBytes([...source.reader.tensors.values()]), after: totalBytes(tensors) }
  if (writes) await requireSpace(target, size.after)
  const { section, files } = await writtenQuantization(format, source, groups, cache)
  const untied = source.model.tied && schemes.has(source.model.head().name)
  return {
    source,
    origin,
    recipe,
    output: target,
    finished,
    format,
    modifiers,
    linears,
    needs,
    secondMoments: recipe.modifiers.some(({ definition }) => definition.secondMoments),
    cache,
    cacheDtype,
    passThrough,
    foreign,
    shards: planShards(tensors),
    config: patchConfig(source.config, section, { ...(untied && { tied: false }) }),
    configFiles: files,
    size,
    kinds: sizeByKind(source, staged, tensors),
    warnings: allWarnings,
    close: () => source.close(),
  }
}

/** Errors: UserError where files could not be laid out before the run: a tensor's length follows from weights that transforms will change. */
function requireMeasurable(modifiers: readonly PlannedModifier[], linears: readonly PlannedLinear[]): void {
  const transform = modifiers.find(({ rescales }) => rescales !== null)
  const measured = linears.find(
    ({ spec, scheme, layout, dtype }) => scheme?.weights && layout?.lengths?.(scheme.weights, spec.rows, spec.columns, dtype),
  )
  if (!transform || !measured) return
  throw new UserError(
    `Cannot compress ${measured.spec.name} after ${transform.name}: double quantization stores a number as text, whose length must be known before the run, ` +
      'expected bnb_4bit_use_double_quant: false, or no transform before it.',
  )
}

/** Errors: CheckpointError where nothing can be computed with the model. */
function requireComputable(source: OpenModel, what: string): void {
  const reason = uncomputable(source)
  if (reason !== null) throw new CheckpointError(`Cannot use ${what} on ${source.path}: ${reason}.`, { file: 'config.json' })
}

/** What the modifiers ask for; stored ranges of activations need inputs whatever the modifier says. */
function needsOf(modifiers: readonly PlannedModifier[], linears: readonly PlannedLinear[], cache: QuantizationArgs | null): Needs {
  const asked = (['originals', 'inputs'] as const).find((level) => modifiers.some(({ needs }) => needs === level))
  if (asked) return asked
  return cache || linears.some(({ scheme }) => scheme && needsInputs(scheme)) ? 'inputs' : 'weights'
}

function stagedLinears({ model }: OpenModel): StagedLinear[] {
  const layers = Array.from({ length: model.layers }, (_, layer) =>
    model.linears(layer).map((spec) => ({ spec, layer, stage: stageOf(model.stages(layer), spec.name, model.layerName(layer)) })),
  )
  return [...layers.flat(), { spec: model.head(), layer: model.layers, stage: model.headStage }]
}

function stageOf<T extends { linears: readonly string[] }>(stages: readonly T[], linear: string, layer: string): T {
  const stage = stages.find(({ linears }) => linears.some((name) => `${layer}.${name}` === linear))
  if (!stage) throw new RangeError(`Cannot plan ${linear}: no stage of the architecture has it, expected one`)
  return stage
}

function floatDtype({ reader, model }: OpenModel, linear: string): FloatDType {
  const { name, dtype, file } = reader.info(storedName(model, linear))
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return dtype
  throw new CheckpointError(`Cannot compress ${name}: its dtype is ${dtype}, expected F32, F16 or BF16.`, { file, tensor: name })
}

/** The scheme of the key-value cache that the recipe's modifiers agree on, null for none. */
function cacheScheme({ modifiers }: Recipe): QuantizationArgs | null {
  let found: QuantizationArgs | null = null
  for (const { definition, options, errorAt } of modifiers) {
    const partial = definition.quantizes ? options.kv_cache_scheme : null
    if (!partial) continue
    const scheme = resolveKvCacheScheme(partial)
    if (found && JSON.stringify(found) !== JSON.stringify(scheme)) {
      throw errorAt(
        ['kv_cache_scheme'],
        'Cannot quantize the key-value cache in two ways: another modifier has a different kv_cache_scheme, expected one',
      )
    }
    found = scheme
  }
  return found
}
