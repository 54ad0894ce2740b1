import type { Method } from '../checkpoint/layouts/layout.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { modules, type OpenModel } from '../models/open-model.ts'
import type { Modifier, Needs } from '../modifiers/modifier.ts'
import type { Recipe, RecipeModifier } from '../recipe/recipe.ts'
import { matchTargets } from '../schemes/match.ts'
import { type NamedScheme, patterns } from '../schemes/resolve.ts'
import { groupSizeProblem, resolveGroupSize, schemeLabel } from '../schemes/scheme.ts'
import { SchemeError } from '../schemes/scheme-error.ts'
import { UserError } from '../util/errors.ts'
import type { SettledGroup } from './config-groups.ts'
import { type PlannedRescale, planRescales } from './rescales.ts'
import type { StagedLinear } from './staged-linear.ts'
import { layoutIn } from './written-format.ts'

/** A modifier of the recipe with the linears it gets. */
export interface PlannedModifier {
  /** As the recipe names it. */
  readonly name: string
  readonly modifier: Modifier
  readonly needs: Needs
  /** Linear name to scheme: those it quantizes itself, or, of a transform, all that are quantized after it. */
  readonly targets: ReadonlyMap<string, QuantizationScheme>
  /** The stages that a transform rescales; null for a modifier that quantizes. */
  readonly rescales: readonly PlannedRescale[] | null
}

export interface Assignment {
  readonly modifiers: readonly PlannedModifier[]
  /** By linear name. */
  readonly schemes: ReadonlyMap<string, QuantizationScheme>
  /** In recipe order. */
  readonly groups: readonly SettledGroup[]
  readonly warnings: readonly string[]
}

/** Who compresses a linear, and how. */
interface Owner {
  readonly entry: RecipeModifier
  readonly scheme: QuantizationScheme
}

/**
 * Gives every linear of the model to the modifier and scheme that the recipe says.
 * Errors: RecipeError for a target that matches nothing, a group size that does not divide, a scheme that the modifier cannot use, a
 * linear given to two modifiers, linears of one stage with different schemes, nothing to compress.
 */
export async function assign(
  source: OpenModel,
  recipe: Recipe,
  linears: readonly StagedLinear[],
  format: Method,
  strict: boolean,
): Promise<Assignment> {
  requireOrder(recipe)
  const quantizing = new Map<RecipeModifier, { schemes: QuantizationScheme[]; targets: Map<string, QuantizationScheme> }>()
  const owners = new Map<string, Owner>()
  const groups: SettledGroup[] = []
  const warnings: string[] = []
  for (const entry of recipe.modifiers) {
    const { definition } = entry
    if (!definition.quantizes) continue
    const completed = entry.schemes.map((item) => complete(entry, item))
    const schemes = completed.map(({ scheme }) => scheme)
    const matched = at(entry, () => matchTargets(modules(source.model), schemes, ignoreOf(entry, source)))
    warnings.push(...reportUnmatched(entry, completed, matched, strict))
    const targets = new Map<string, QuantizationScheme>()
    for (const [index, item] of completed.entries()) {
      requireLinears(source, entry, item, matched.assigned, index)
      const meant = linears.flatMap(({ spec }) => (matched.assigned.get(spec.name) === index ? [spec] : []))
      const specs = meant.filter(({ name }) => (definition.leaves?.(name) ?? null) === null)
      warnings.push(...leftAlone(entry, meant, specs))
      requireExpressible(entry, item, specs)
      if (specs.length === 0) {
        throw entry.errorAt(
          item.path,
          `Cannot apply ${definition.names[0]}: its targets leave no linear for ${schemeLabel(item.scheme)}, expected at least one`,
        )
      }
      const scheme = await settleSizes(entry, item, specs, format)
      for (const { name } of specs) {
        const owner = owners.get(name)?.entry.definition.names[0]
        if (owner)
          throw entry.errorAt([], `Cannot compress ${name} twice: ${owner} and ${definition.names[0]} both target it, expected one`)
        owners.set(name, { entry, scheme })
        targets.set(name, scheme)
      }
      groups.push({ name: item.name, scheme, linears: specs.map(({ name }) => name) })
    }
    quantizing.set(entry, { schemes, targets })
  }
  requireWholeStages(source, linears, owners)
  const schemes = new Map([...owners].map(([name, { scheme }]) => [name, scheme]))
  const cached = recipe.modifiers.some(({ definition, options }) => definition.quantizes && options.kv_cache_scheme)
  const modifiers = recipe.modifiers.flatMap((entry): PlannedModifier[] => {
    const { definition } = entry
    const options = entry.options as never
    const own = quantizing.get(entry)
    const needs = definition.needs(options, own?.schemes ?? [])
    if (own) return [{ name: definition.names[0], modifier: definition.create(options), needs, targets: own.targets, rescales: null }]
    if (!definition.rescales) return []
    const rescales = at(entry, () => planRescales(source, entry, linears, schemes, cached))
    requireSuited(entry, rescales, schemes)
    return [{ name: definition.names[0], modifier: definition.create(options), needs, targets: schemes, rescales }]
  })
  return { modifiers, schemes, groups, warnings }
}

/** Errors: RecipeError for a transform that comes twice, after a quantizer, or without the one that it is for. */
function requireOrder({ modifiers }: Recipe): void {
  const seen = new Map<string, number>()
  for (const [index, entry] of modifiers.entries()) {
    const { names, quantizes, rescales, rewrites } = entry.definition
    if (quantizes) continue
    const [name] = names
    if (seen.has(name))
      throw entry.errorAt(
        [],
        `Cannot apply ${name} twice: found it as modifier ${Number(seen.get(name)) + 1} and ${index + 1}, expected one`,
      )
    seen.set(name, index)
    const before = modifiers.slice(0, index).find(({ definition }) => definition.quantizes || (rewrites && !definition.rewrites))
    if (before) {
      const other = before.definition.names[0]
      throw entry.errorAt([], `Cannot apply ${name} after ${other}: ${other} works on what it changes, expected ${name} before it`)
    }
    if (rescales?.forQuantizer && !modifiers.slice(index).some(({ definition }) => definition.quantizes)) {
      throw entry.errorAt(
        [],
        `Cannot apply ${name} alone: it prepares weights for a quantizer, expected one after it, such as QuantizationModifier`,
      )
    }
    if (!rescales && !rewrites) {
      throw entry.errorAt(
        [],
        `Cannot use ${name}: it neither quantizes nor rescales nor rewrites, expected a definition that does one of them`,
      )
    }
  }
}

/** Errors: RecipeError for a transform that refuses the scheme of a linear that it would rescale. */
function requireSuited(entry: RecipeModifier, rescales: readonly PlannedRescale[], schemes: ReadonlyMap<string, QuantizationScheme>): void {
  const { names, refuses } = entry.definition
  for (const name of rescales.flatMap(({ linears, skipped }) => (skipped === null ? linears : []))) {
    const scheme = schemes.get(name)
    const refusal = scheme && refuses?.(scheme, entry.options as never)
    if (refusal) throw entry.errorAt([], `Cannot use ${names[0]} on ${name}, which is to be ${schemeLabel(scheme)}: ${refusal}`)
  }
}

/** Runs `work`, turning an error about a scheme into one that points at its place in the recipe. */
function at<T>(entry: RecipeModifier, work: () => T, path: readonly (string | number)[] = []): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof SchemeError) throw entry.errorAt([...path, ...error.path], error.message)
    if (error instanceof UserError && error.constructor === UserError) throw entry.errorAt([...path], error.message)
    throw error
  }
}

/** Linears that a modifier leaves as they are though its targets match. */
function leftAlone({ definition }: RecipeModifier, meant: readonly LinearSpec[], kept: readonly LinearSpec[]): string[] {
  const left = meant.filter((spec) => !kept.includes(spec))
  if (left.length === 0) return []
  const [{ name }] = left
  return [`${left.length} linears stay as they are (${name}): ${definition.leaves?.(name)}`]
}

function complete(entry: RecipeModifier, item: NamedScheme): NamedScheme {
  const { definition } = entry
  const scheme = at(entry, () => definition.completes?.(entry.options as never, item.scheme) ?? item.scheme, item.path)
  const refusal = definition.refuses?.(scheme)
  if (refusal) throw entry.errorAt([...item.path], `Cannot use scheme ${schemeLabel(scheme)} with ${definition.names[0]}: ${refusal}`)
  return { ...item, scheme }
}

/** A head that the checkpoint calls otherwise than recipes do is meant by either name. */
function ignoreOf({ definition, options }: RecipeModifier, { model }: OpenModel): readonly string[] {
  const { ignore } = definition.schemes?.(options as never) ?? options
  const list = patterns(ignore as string | readonly string[] | undefined)
  return list.map((pattern) => (pattern === model.headAlias ? model.head().name : pattern))
}

function reportUnmatched(
  entry: RecipeModifier,
  named: readonly NamedScheme[],
  { unmatchedTargets, unmatchedIgnores }: ReturnType<typeof matchTargets>,
  strict: boolean,
): string[] {
  for (const { pattern, scheme, index, nearest } of unmatchedTargets) {
    const path = [...named[scheme ?? 0].path, index]
    throw entry.errorAt(
      path,
      `Cannot apply ${entry.definition.names[0]}: target "${pattern}" matches no module, expected a module's name, class (Linear) or re: pattern${nearest ? `; did you mean "${nearest}"?` : ''}`,
    )
  }
  return unmatchedIgnores.map(({ pattern, index, nearest }) => {
    const message = `ignore entry "${pattern}" of ${entry.definition.names[0]} matches no module${nearest ? `; did you mean "${nearest}"?` : ''}`
    if (strict) throw entry.errorAt(['ignore', index], `Cannot apply ${entry.definition.names[0]}: ${message}`)
    return message
  })
}

/**
 * compressed-tensors knows linears [rows, columns] only: its Conv1D is left alone without a word, and would be compressed in name only. In
 * bitsandbytes checkpoints transformers has linears in their place, the right way round.
 */
function requireExpressible(entry: RecipeModifier, { path }: NamedScheme, specs: readonly LinearSpec[]): void {
  const transposed = specs.filter((spec) => spec.transposed)
  if (transposed.length === 0 || entry.definition.format === 'bitsandbytes') return
  const more = transposed.length > 1 ? ` and ${transposed.length - 1} more` : ''
  throw entry.errorAt(
    path,
    `Cannot compress ${transposed[0].name}${more}: its weight is stored transposed (Conv1D), which compressed-tensors cannot express, ` +
      `expected linears; "re:.*${transposed[0].name.replace(/^.*\d+\./, '\\.')}$" and its likes in ignore leave them as they are, and the recipes nf4 and llm-int8 compress them`,
  )
}

/** A pattern may pass over norms, as it does for the peer; embeddings, and norms that are named, are asked for in vain. */
function requireLinears(
  { model }: OpenModel,
  entry: RecipeModifier,
  { scheme, path }: NamedScheme,
  assigned: ReadonlyMap<string, number>,
  index: number,
): void {
  for (const { name, className } of modules(model)) {
    if (className === 'Linear' || assigned.get(name) !== index) continue
    const named = scheme.targets.indexOf(name) >= 0 || scheme.targets.indexOf(className) >= 0
    if (className !== 'Embedding' && !named) continue
    throw entry.errorAt(
      path,
      `Cannot compress ${name}: it is not a linear, expected targets that match linears only, or "${name}" in ignore (embeddings and norms keep their weights)`,
    )
  }
}

/** Settles the group size for the widths at hand, and checks that a layout can store the scheme. */
async function settleSizes(
  entry: RecipeModifier,
  { scheme, path }: NamedScheme,
  specs: readonly LinearSpec[],
  format: Method,
): Promise<QuantizationScheme> {
  const { weights, input_activations: inputs } = scheme
  const widths = [...new Set(specs.map(({ columns }) => columns))]
  const settled = weights && at(entry, () => resolveGroupSize(weights, widths), path)
  for (const { name, columns } of specs) {
    const problem = settled && groupSizeProblem(settled, columns)
    if (problem)
      throw entry.errorAt(sizePath(entry, path), `Cannot compress ${name}: ${problem}; "group_size: auto" picks the largest that fits all`)
    const inputProblem = inputs && groupSizeProblem(inputs, columns)
    if (inputProblem) throw entry.errorAt(sizePath(entry, path), `Cannot quantize the inputs of ${name}: ${inputProblem}`)
  }
  const fitted = { ...scheme, weights: settled }
  // Formats of others take what compressed-tensors does, and say later what of it.
  await layoutIn(format === 'bitsandbytes' ? format : 'compressed-tensors', fitted)
  return fitted
}

/** Where the recipe decides a group size: `group_size` beside the preset, the preset itself, or the config group of the targets. */
function sizePath({ options }: RecipeModifier, targets: NamedScheme['path']): NamedScheme['path'] {
  if (options.group_size !== undefined && options.group_size !== null) return ['group_size']
  return typeof options.scheme === 'string' ? ['scheme'] : targets.slice(0, -1)
}

/** Servers fuse q/k/v and gate/up into one matrix: linears of a stage that differ in scheme load nowhere. */
function requireWholeStages({ model }: OpenModel, linears: readonly StagedLinear[], owners: ReadonlyMap<string, Owner>): void {
  const stages = new Map<string, { label: string; first: string }>()
  for (const { spec, layer, stage } of linears) {
    const owner = owners.get(spec.name)
    const label = owner ? `${schemeLabel(owner.scheme)} by ${owner.entry.definition.names[0]}` : 'uncompressed'
    const below = spec.name.slice(model.layerName(Math.min(layer, model.layers - 1)).length + 1)
    const fused = stage.fused?.find((names) => names.includes(below)) ?? stage.linears
    const key = `${layer} ${fused.join()}`
    const seen = stages.get(key)
    if (!seen) stages.set(key, { label, first: spec.name })
    else if (seen.label !== label) {
      const message =
        `Cannot split the ${stage.name} of a layer: ${seen.first} is ${seen.label} but ${spec.name} is ${label}, expected one scheme for ` +
        `${fused.join(', ')}, which servers fuse into one matrix`
      const blamed = owner ?? owners.get(seen.first)
      throw blamed ? blamed.entry.errorAt([], message) : new UserError(message)
    }
  }
}
