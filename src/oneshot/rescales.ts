import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { LinearSpec, StageSource, StageSpec } from '../models/architecture.ts'
import type { OpenModel } from '../models/open-model.ts'
import type { Mapping } from '../modifiers/modifier.ts'
import type { RecipeModifier } from '../recipe/recipe.ts'
import { matchNames } from '../schemes/match.ts'
import { nearest } from '../util/nearest.ts'
import { wholeExperts } from './plan-tensors.ts'
import type { StagedLinear } from './staged-linear.ts'

/** A stage whose inputs a modifier rescales, or would. */
export interface PlannedRescale {
  readonly layer: number
  readonly stage: StageSpec
  /** Full module names: what takes up the division, and what is multiplied. */
  readonly source: string
  readonly linears: readonly string[]
  /** Why the stage is left out; null where it is rescaled. */
  readonly skipped: string | null
}

/** A stage of one layer with its source, before it is decided upon. */
interface Candidate {
  readonly layer: number
  readonly stage: StageSpec & { readonly source: StageSource }
  readonly source: string
  readonly linears: readonly string[]
}

/**
 * The stages that a transform of the recipe rescales: those of its mappings, or all whose inputs come from where it says.
 * `schemes`: of all linears that the recipe quantizes; `cached`: whether the key-value cache is quantized.
 * Errors: RecipeError for a mapping that names no stage, or part of one.
 */
export function planRescales(
  source: OpenModel,
  entry: RecipeModifier,
  staged: readonly StagedLinear[],
  schemes: ReadonlyMap<string, QuantizationScheme>,
  cached: boolean,
): PlannedRescale[] {
  const { rescales } = entry.definition
  if (!rescales) return []
  const options = entry.options as never
  const candidates = candidatesOf(source, staged)
  const mappings = rescales.mappings(options)
  const names = [...new Set(candidates.flatMap((candidate) => [candidate.source, ...candidate.linears]))]
  const known = new Map<string, ReadonlySet<string>>()
  const matches: Matches = (pattern) => {
    const found = known.get(pattern) ?? matchNames(pattern, names)
    known.set(pattern, found)
    return found
  }
  const chosen = mappings
    ? mapped(entry, candidates, mappings, matches)
    : candidates.filter(({ stage }) => rescales.sources.includes(stage.source.kind))
  const ignored = new Set(rescales.ignore(options).flatMap((pattern) => [...matches(pattern)]))
  const whole = wholeExperts(source, new Set(schemes.keys()))
  const specs = new Map(staged.map(({ spec }) => [spec.name, spec]))
  return chosen
    .filter(({ source: from, linears }) => ![from, ...linears].every((name) => ignored.has(name)))
    .map((candidate) => {
      const { layer, stage, source: from, linears } = candidate
      const skipped = linears.some((name) => whole.has(`${name}.weight`))
        ? 'its experts are stored in one tensor, and none is compressed'
        : rescales.forQuantizer && !linears.some((name) => schemes.has(name))
          ? 'none of them is quantized'
          : problem(candidate, specs, schemes, (cached && source.model.attention?.module) || null)
      return { layer, stage, source: from, linears, skipped }
    })
}

/** All stages with a source. The head is none: the final norm may be all that keeps a tied output projection apart from the embedding. */
function candidatesOf({ model }: OpenModel, staged: readonly StagedLinear[]): Candidate[] {
  const candidates = new Map<string, Candidate & { linears: string[] }>()
  for (const { spec, layer, stage } of staged) {
    const { source } = stage
    if (!source || layer === model.layers) continue
    const key = `${layer} ${stage.name}`
    const full = `${model.layerName(layer)}.${source.name}`
    const candidate = candidates.get(key) ?? { layer, stage: { ...stage, source }, source: full, linears: [] }
    candidate.linears.push(spec.name)
    candidates.set(key, candidate)
  }
  return [...candidates.values()]
}

/** Why the source cannot take up a rescaling, or null. `cached`: the attention module, where the key-value cache is quantized. */
function problem(
  { stage, source, linears }: Candidate,
  specs: ReadonlyMap<string, LinearSpec>,
  schemes: ReadonlyMap<string, QuantizationScheme>,
  cached: string | null,
): string | null {
  if (stage.source.kind === 'norm') return null
  // By the time that a stage sees what attention makes of the values, their range has been observed.
  if (cached !== null && stage.source.name.startsWith(`${cached}.`))
    return `${source} fills the key-value cache, whose scales are settled before`
  const rows = stage.source.rows?.length ?? specs.get(source)?.rows
  const columns = specs.get(linears[0])?.columns
  if (rows !== columns)
    return `${source} has ${rows} rows${stage.source.rows ? ' of values' : ''} for ${columns} inputs (grouped-query attention)`
  const weights = schemes.get(source)?.weights
  if (!weights || (weights.type === 'int' && (weights.strategy === 'group' || weights.strategy === 'channel'))) return null
  return `the scales of ${source} (${weights.type}, strategy ${weights.strategy}) cannot take up a factor for each row`
}

/** Names that a pattern matches, worked out once for each. */
type Matches = (pattern: string) => ReadonlySet<string>

/** The stages that mappings name. */
function mapped(entry: RecipeModifier, candidates: readonly Candidate[], mappings: readonly Mapping[], matches: Matches): Candidate[] {
  return mappings.flatMap((mapping) => {
    const refuse = (message: string) => entry.errorAt([...mapping.path], `Cannot apply ${entry.definition.names[0]}: ${message}`)
    const found = candidates.filter((candidate) => {
      const complaint = misfit(candidate, candidates, mapping, matches)
      if (complaint) throw refuse(complaint)
      return complaint === null
    })
    if (found.length > 0) return found
    const linears = candidates.flatMap((candidate) => candidate.linears)
    const unmatched = mapping.balance.find((pattern) => !linears.some((name) => matches(pattern).has(name)))
    if (unmatched === undefined)
      throw refuse(
        `no stage reads the outputs of "${mapping.smooth}" into ${mapping.balance.join(', ')}, expected a module and what reads it`,
      )
    const hint = nearest(unmatched, linears)
    throw refuse(
      `its mapping names "${unmatched}", which matches no linear, expected full names or re: patterns${hint ? `; did you mean "${hint}"?` : ''}`,
    )
  })
}

/** Null where the mapping names the stage, undefined where it means others, else what is wrong with it. */
function misfit(
  { source, linears }: Candidate,
  candidates: readonly Candidate[],
  { balance, smooth }: Mapping,
  matches: Matches,
): string | null | undefined {
  const balanced = linears.filter((name) => balance.some((pattern) => matches(pattern).has(name)))
  if (balanced.length === 0) return undefined
  if (!matches(smooth).has(source)) {
    // A pattern may also match linears of stages that other mappings mean: wrong is only one whose source is found nowhere.
    if (candidates.some((candidate) => matches(smooth).has(candidate.source))) return undefined
    return `its mapping takes ${balanced[0]} from "${smooth}", expected ${source}, where its inputs come from`
  }
  const missing = linears.filter((name) => !balanced.includes(name))
  if (missing.length === 0) return null
  return `its mapping rescales ${balanced.join(', ')} but not ${missing.join(', ')}, expected all that read the outputs of ${source}`
}
