import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { CONFIG_FILE } from '../checkpoint/config.ts'
import { totalBytes } from '../checkpoint/shards.ts'
import { type SizeReport, sizeReport } from '../eval/size-report.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { describedCheckpoint } from '../models/described-checkpoint.ts'
import type { OpenModel } from '../models/open-model.ts'
import type { ModifierDefinition } from '../modifiers/modifier.ts'
import { elementCount } from '../numerics/dtype.ts'
import { type Plan, planDescribed } from '../oneshot/plan.ts'
import { UserError } from '../util/errors.ts'
import { checkEstimate } from './options.ts'

export interface EstimateOptions extends HubOptions {
  /** Recipes to size beside the plain types: each a file, the name of a shipped recipe, a preset, YAML text, or an object. */
  recipes?: readonly (string | object)[]
  /** Tokens that the key-value cache is sized for; 4096 by default, or what the model can hold. */
  context?: number
  /** Modifiers of the caller's own that recipes name. */
  modifiers?: readonly (ModifierDefinition | string)[]
}

/** What the weights take in one form. */
export interface SizedWeights extends SizeReport {
  /** `float32`, `float16`, `int8`, `int4`, or the recipe's name. */
  name: string
  bytes: number
  /** All that is stored over all parameters. */
  bitsPerParameter: number
  /** Why the model cannot be compressed so; sizes are then those of the original. Null where it can. */
  problem: string | null
}

export interface Estimate {
  model: string
  modelType: string
  parameters: number
  /** Parameters of the linears that recipes compress by default, so without the output projection. */
  linearParameters: number
  /** Bytes as config.json says that they are stored. */
  stored: number
  weights: SizedWeights[]
  /** Keys and values in 16 bits; null where the architecture keeps no cache of that kind. */
  cache: { bytesPerToken: number; context: number; bytes: number } | null
}

/** What stands for a type in general: scales for at most 128 columns, and the output projection as it is. */
const TYPES = [
  ['int8', { rtn: { scheme: 'W8A16', group_size: 'auto', ignore: ['lm_head'] } }],
  ['int4', { rtn: { scheme: 'W4A16', group_size: 'auto', ignore: ['lm_head'] } }],
] as const

/**
 * What a model takes in memory, from its config.json alone: weights in 32 and 16 bits, in 8 and 4 (W8A16, W4A16 with everything that they
 * store), and by any recipe; and the key-value cache.
 * Errors: CheckpointError for an architecture that is not known; RecipeError for a recipe that is wrong in itself.
 */
export async function estimate(model: string, options: EstimateOptions = {}): Promise<Estimate> {
  checkEstimate(model, options)
  const source = await described(model, options)
  const parameters = parametersOf(source)
  const before = totalBytes([...source.reader.tensors.values()])
  const plain = (name: string, bytes: number): SizedWeights => ({
    ...{ name, bytes, bitsPerParameter: (8 * bytes) / parameters, problem: null },
    ...sizeReport(before, bytes),
  })
  const weights = [plain('float32', 4 * parameters), plain('float16', 2 * parameters)]
  for (const [name, recipe] of TYPES) weights.push(await sizedOrProblem(source, before, name, recipe))
  for (const recipe of options.recipes ?? []) weights.push(sized(source, before, await planOf(source, recipe, options.modifiers)))
  const linearParameters = Array.from({ length: source.model.layers }, (_, layer) => source.model.linears(layer))
    .flat()
    .reduce((sum, { rows, columns }) => sum + rows * columns, 0)
  return {
    model,
    modelType: source.model.modelType,
    parameters,
    linearParameters,
    stored: before,
    weights,
    cache: cacheOf(source, options.context),
  }
}

/** A model by its config.json: of a folder, the file itself, or a model of the hub. */
export async function described(model: string, options: HubOptions): Promise<OpenModel> {
  const folder = basename(model) === CONFIG_FILE && existsSync(model) ? dirname(model) : model
  return describedCheckpoint((await modelFolder(folder, { ...options, weights: false })).path)
}

function parametersOf({ reader }: OpenModel): number {
  let count = 0
  for (const { shape } of reader.tensors.values()) count += elementCount(shape)
  return count
}

function planOf(source: OpenModel, recipe: string | object, modifiers: EstimateOptions['modifiers'] = []): Promise<Plan> {
  return planDescribed(source, { recipe, modifiers })
}

function sized(source: OpenModel, before: number, { recipe, size: { after } }: Plan): SizedWeights {
  const bitsPerParameter = (8 * after) / parametersOf(source)
  return { name: recipe.name, bytes: after, bitsPerParameter, problem: null, ...sizeReport(before, after) }
}

async function sizedOrProblem(source: OpenModel, before: number, name: string, recipe: object): Promise<SizedWeights> {
  const plan = await planOf(source, recipe).catch(problemOf)
  if (typeof plan !== 'string') return { ...sized(source, before, plan), name }
  return { name, bytes: before, bitsPerParameter: (8 * before) / parametersOf(source), problem: plan, ...sizeReport(before, before) }
}

/** Why a model cannot be compressed in some way. Other errors are thrown on. */
export function problemOf(error: unknown): string {
  if (error instanceof UserError) return error.message
  throw error
}

/** Tokens that a cache is sized for, where nobody says. */
const CONTEXT = 4096
/** Bytes of a key or value in 16 bits. */
const CACHED = 2

/** Layers with windows keep less than this. */
export function cacheOf({ model }: OpenModel, context = Math.min(CONTEXT, model.maxPositions)): Estimate['cache'] {
  if (!model.attention) return null
  const { kvHeads, headDim } = model.attention
  const bytesPerToken = 2 * CACHED * model.layers * kvHeads * headDim
  return { bytesPerToken, context, bytes: bytesPerToken * context }
}
