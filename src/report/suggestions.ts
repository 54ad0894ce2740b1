import { formatBytes, formatPercent, plural } from '../util/format.js'
import { editRecipe, type Quantizer, quantizerOf, type RecipeEdit } from './recipe-edit.ts'
import type { RunRecord } from './record.ts'
import type { Suggestion } from './report-run.ts'
import type { StageStatistics } from './statistics.ts'
import { median } from './verdict.ts'

/** More would be a list to choose from instead of advice. */
const MOST = 4

/** What is known when something is suggested. */
interface Situation {
  readonly record: RunRecord
  readonly statistics: readonly StageStatistics[] | null
  readonly quantizer: Quantizer
  /** Of the integer weights, where only weights are quantized and all alike: bits, group size, with zero points or not. */
  readonly weights: { readonly bits: number; readonly group: number | null; readonly asymmetric: boolean } | null
}

interface Idea {
  readonly title: string
  readonly why: string
  readonly edit: RecipeEdit
}

/** What to try next, the most promising first. Figures are those of README.md. */
export function suggestionsFor(record: RunRecord, statistics: readonly StageStatistics[] | null): Suggestion[] {
  const quantizer = quantizerOf(record.recipe.text)
  const situation = quantizer && { record, statistics, quantizer, weights: weightsOf(record) }
  const ideas = situation ? [gptq, worstLinears, best, asymmetric, smallerGroups, fewerBits].flatMap((rule) => rule(situation) ?? []) : []
  const edited = ideas.flatMap(({ title, why, edit }): Suggestion[] => {
    const changed = editRecipe(record.recipe.text, edit)
    return changed ? [{ title, why, ...changed, flags: '' }] : []
  })
  return [...moreData(record), ...edited].slice(0, MOST)
}

function weightsOf({ linears }: RunRecord): Situation['weights'] {
  const schemes = new Set(linears.map(({ scheme }) => scheme))
  const [, bits, where, group, asymmetric] = /^W(\d)A16 (g(\d+)|channel)( asym)?$/.exec([...schemes].join('\n')) ?? []
  return where === undefined ? null : { bits: Number(bits), group: group ? Number(group) : null, asymmetric: asymmetric !== undefined }
}

function gptq({ quantizer, weights }: Situation): Idea | null {
  if (quantizer.algorithm !== 'rtn' || !weights || weights.bits > 4) return null
  return {
    title: 'Let GPTQ round',
    why: 'It reads calibration rows and makes up for each rounding error in the weights still to come. On SmolLM2-135M at 4 bits perplexity was 19.60 instead of 23.82 (original: 17.26). Minutes instead of seconds.',
    edit: { algorithm: 'gptq' },
  }
}

function best({ quantizer, weights }: Situation): Idea | null {
  const { quality = 'balanced' } = quantizer.options
  if (quantizer.algorithm !== 'gptq' || !weights || weights.bits > 4 || quality === 'best') return null
  return {
    title: 'Take quality: best',
    why: 'Codes then aim at what the original model computes, although inputs have drifted. On SmolLM2-135M at 4 bits perplexity was 18.42 instead of 19.60 (original: 17.26). Needs a second forward pass.',
    edit: { set: { quality: 'best' } },
  }
}

/** Linears that lose so many times the median are worth their bytes. */
const OUTLYING = 4
/** Less than this is not worth any. */
const HARMLESS = 0.005

function worstLinears({ record: { linears }, statistics, weights }: Situation): Idea | null {
  if (!statistics || !weights) return null
  const middle = median(linears.map(({ error }) => error))
  const errors = new Map(linears.map(({ name, error }) => [name, error]))
  const isBad = ({ name }: { name: string }) => (errors.get(name) ?? 0) >= Math.max(OUTLYING * middle, HARMLESS)
  // A stage has one scheme, since servers fuse its linears.
  const stages = statistics.filter((stage) => stage.linears.some(isBad))
  const names = stages.flatMap((stage) => stage.linears.map(({ name }) => name))
  if (names.length === 0 || names.length > Math.max(3, linears.length / 10)) return null
  const worst = names.reduce((most, name) => ((errors.get(name) ?? 0) > (errors.get(most) ?? 0) ? name : most))
  const more = stages.flatMap((stage) => stage.linears).reduce((sum, { total }) => sum + (total * (16 - weights.bits)) / 8, 0)
  return {
    title: `Keep ${plural(names.length, 'linear')} in 16 bits`,
    why: `${worst} loses ${formatPercent(errors.get(worst) ?? 0)}, the one in the middle ${formatPercent(middle)}. Costs about ${formatBytes(Math.round(more))}.`,
    edit: { ignore: names },
  }
}

function asymmetric({ quantizer, weights }: Situation): Idea | null {
  if (weights?.bits !== 4 || weights.asymmetric || String(quantizer.options.scheme).toUpperCase() !== 'W4A16') return null
  return {
    title: 'Give groups zero points',
    why: 'Weights of a group are seldom symmetric. On SmolLM2-135M at 4 bits: 22.66 instead of 23.82 with rounding, 19.44 instead of 19.60 with GPTQ. Costs 4 bits a group.',
    edit: { set: { scheme: 'W4A16_ASYM' } },
  }
}

function smallerGroups({ weights }: Situation): Idea | null {
  if (!weights || weights.bits > 4 || (weights.group !== 128 && weights.group !== 64)) return null
  const size = weights.group / 2
  return {
    title: `Take groups of ${size}`,
    why: `A scale then serves ${size} weights, and an outlier spoils fewer of them. Costs ${16 / size - 16 / weights.group} bits a weight. Rounding docs-llama-4m to 4 bits scored 24.07 in groups of 128, 23.86 in groups of 32 (original: 23.68).`,
    edit: { set: { group_size: size } },
  }
}

function fewerBits({ record: { linears }, quantizer, weights }: Situation): Idea | null {
  if (weights?.bits !== 8 || linears.some(({ error }) => error > HARMLESS) || quantizer.options.scheme === undefined) return null
  return {
    title: 'Try 4 bits',
    why: 'Hardly anything is lost at 8 bits. With GPTQ and 4 bits the linears take half as much again; judge the result by its perplexity.',
    edit: { algorithm: 'gptq', set: { scheme: 'W4A16', group_size: 'auto' } },
  }
}

/** Held-back rows lose so many times what the others do when there are too few of them. */
const OVERFITTED = 1.5

function moreData({ linears, data }: RunRecord): Suggestion[] {
  const judged = linears.filter(({ heldBackError }) => heldBackError !== undefined)
  const dead = linears.filter(({ deadColumns = 0 }) => deadColumns > 0).length
  if (!data || (judged.length === 0 && dead === 0)) return []
  const ratio = median(judged.map(({ error, heldBackError = 0 }) => (error > 0 ? heldBackError / error : 1)))
  if (!(ratio >= OVERFITTED) && dead === 0) return []
  const why = [
    ...(ratio >= OVERFITTED
      ? [`Rows that were held back lose ${ratio.toFixed(1)} times what those lose that the codes were fitted to.`]
      : []),
    ...(dead > 0 ? [`${plural(dead, 'linear')} had input channels that no token reached.`] : []),
  ]
  const flags = `--num-calibration-samples ${2 * data.request.numCalibrationSamples}`
  return [{ title: 'Calibrate with more rows', why: why.join(' '), recipe: null, diff: [], flags }]
}
