import type { Command } from 'commander'
import type { Method } from '../checkpoint/layouts/layout.ts'
import type { EngineName } from '../engine/engine.ts'
import { DEFAULT_DATASET } from '../oneshot/calibration.ts'
import type { RunForecast } from '../oneshot/forecast.ts'
import type { Plan } from '../oneshot/plan.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import type { ServerFinding } from '../servers/server.ts'
import type { Target } from '../servers/targets.ts'
import { UserError } from '../util/errors.ts'
import { foldLayers } from '../util/layer-names.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { formatBytes, formatCount, formatSeconds, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { LENGTH_HELP, ROWS_HELP } from './run-options.ts'
import { findingsText, targetOption } from './servers.ts'
import {
  engineOption,
  formatOption,
  jsonOption,
  localFilesOption,
  MODEL_HELP,
  maxMemoryOption,
  modifiersOption,
  recipeOption,
} from './shared-options.ts'
import { facts, sizeChange } from './tables.ts'

interface Flags {
  recipe: string
  modifiers?: string[]
  output?: string
  format?: Method
  overwrite?: boolean
  strict?: boolean
  target?: Target
  localFilesOnly?: boolean
  numCalibrationSamples?: number
  maxSeqLength?: number
  maxMemory?: number
  engine: EngineName | 'auto'
  json?: boolean
}

/** What `plan --json` prints. */
interface PlanSummary {
  model: string
  modelType: string
  recipe: string
  output: string
  schemes: { modifier: string; scheme: string; layout: string; weights: number; linears: string[] }[]
  /** Stages whose inputs are rescaled before rounding; `source` takes up the division. `skipped` says why one is not. */
  rescales: { modifier: string; stage: string; source: string; linears: string[]; skipped: string | null }[]
  untouched: string[]
  size: { before: number; after: number }
  shards: { file: string; bytes: number }[]
  /** The rows that it is planned for; null when the recipe needs no data. */
  calibration: { rows: number; tokens: number } | null
  /** What the run will take: bytes of memory, of scratch and of output, and an estimate of its time. */
  forecast: RunForecast
  warnings: string[]
  /** Who loads the result, and on what: `vLLM (GPU sm75+, CPU), transformers (GPU, CPU)`. */
  servedBy: string
  /** What the target makes of the result; null without a target. */
  findings: ServerFinding[] | null
}

const EXAMPLES = `
Examples:
  $ llmpress plan ./model --recipe gptq-w4a16
  $ llmpress plan ./model --recipe my-recipe.yaml --json
  $ llmpress plan ./model --recipe FP8_BLOCK --target vllm`

/** `llmpress plan MODEL --recipe R`: everything `oneshot` would do, without doing it. */
export function addPlan(program: Command): void {
  program
    .command('plan')
    .summary('show what oneshot would do')
    .description(
      'Shows what oneshot would do with a model and a recipe. Reads no weights, writes nothing (a model of the hub is downloaded first).',
    )
    .argument('<model>', MODEL_HELP)
    .addOption(recipeOption())
    .addOption(modifiersOption())
    .option('-o, --output <dir>', 'the folder that would be written (default: ./{model name}-{recipe name})')
    .addOption(formatOption())
    .option('--overwrite', 'the output folder may hold a checkpoint that would be replaced')
    .option('--strict', 'treat warnings as errors')
    .addOption(targetOption())
    .option('--num-calibration-samples <n>', ROWS_HELP, wholeNumber(1))
    .option('--max-seq-length <n>', LENGTH_HELP, wholeNumber(2))
    .addOption(maxMemoryOption())
    .addOption(engineOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runPlan)
}

async function runPlan(
  model: string,
  { json = false, target, engine, numCalibrationSamples, maxSeqLength, ...flags }: Flags,
): Promise<void> {
  const { planRun, forecastRun } = await import('../index.ts')
  const { plannedModel } = await import('../oneshot/planned-model.ts')
  const { servedBy, serverProblems, targetVersion } = await import('../servers/servers.ts')
  const plan = await withDownloads((hub) => planRun({ model, ...flags, ...hub }))
  try {
    const served = plannedModel(plan)
    const findings = target ? serverProblems(target, served) : null
    const rows = {
      ...(numCalibrationSamples !== undefined && { numCalibrationSamples }),
      ...(maxSeqLength !== undefined && { maxSeqLength }),
    }
    const forecast = await forecastRun(plan, { engine, ...rows, ...(flags.maxMemory !== undefined && { maxMemory: flags.maxMemory }) })
    const summary = { ...summarize(plan, forecast), servedBy: servedBy(served), findings }
    if (json) printJson(summary)
    else print([describePlan(summary), ...(target && findings ? ['', findingsText(targetVersion(target), findings)] : [])].join('\n'))
    if (target && findings) requireServed(targetVersion(target), findings)
  } finally {
    await plan.close()
  }
}

/** Under an explicit target, what it would refuse is an error before compute. */
function requireServed(version: string, findings: readonly ServerFinding[]): void {
  const errors = findings.filter(({ severity }) => severity === 'error')
  if (errors.length === 0) return
  const [{ message }] = errors
  const more = errors.length > 1 ? `, and ${plural(errors.length - 1, 'problem')} more` : ''
  throw new UserError(
    `Cannot have the result of this recipe loaded by ${version}: ${message}${more}; expected a scheme that it has a kernel for.`,
  )
}

/** A plan as plain data: linears by modifier and scheme, in the order of the recipe. */
function summarize(plan: Plan, forecast: RunForecast): Omit<PlanSummary, 'servedBy' | 'findings'> {
  const schemes = new Map<string, PlanSummary['schemes'][number]>()
  for (const { spec, scheme, layout } of plan.linears) {
    if (!scheme || !layout) continue
    const modifier = plan.modifiers.find(({ targets, rescales }) => !rescales && targets.has(spec.name))?.name ?? ''
    const label = schemeLabel(scheme)
    const key = `${modifier} ${label} ${layout.format}`
    const entry = schemes.get(key) ?? { modifier, scheme: label, layout: layout.format, weights: 0, linears: [] }
    entry.weights += spec.rows * spec.columns
    entry.linears.push(spec.name)
    schemes.set(key, entry)
  }
  return {
    model: plan.origin.reference,
    modelType: plan.source.model.modelType,
    recipe: plan.recipe.name,
    output: plan.output,
    schemes: [...schemes.values()],
    rescales: plan.modifiers.flatMap(({ name, rescales }) =>
      (rescales ?? []).map(({ stage, source, linears, skipped }) => ({
        modifier: name,
        stage: stage.name,
        source,
        linears: [...linears],
        skipped,
      })),
    ),
    untouched: plan.linears.filter(({ scheme }) => !scheme).map(({ spec }) => spec.name),
    size: plan.size,
    shards: plan.shards.map(({ file, bytes }) => ({ file, bytes })),
    calibration: forecast.rows && { rows: forecast.rows.rows, tokens: forecast.rows.length },
    forecast,
    warnings: [...plan.warnings],
  }
}

/** A plan for people. */
function describePlan(summary: PlanSummary): string {
  const { bold, yellow } = colorsFor(process.stdout)
  const schemes = summary.schemes.map(({ modifier, scheme, layout, weights, linears }) =>
    [
      `${bold(scheme)} by ${modifier}, stored as ${layout}: ${plural(linears.length, 'linear')}, ${formatCount(weights)} weights`,
      ...foldLayers(linears).map((name) => `  ${name}`),
    ].join('\n'),
  )
  const { calibration } = summary
  const entries: [string, string][] = [
    ['Model', `${summary.model} (${summary.modelType})`],
    ['Recipe', summary.recipe],
    ['Untouched', summary.untouched.length ? foldLayers(summary.untouched).join(', ') : 'no linear'],
    ['Size', `${sizeChange(summary.size)}, ${plural(summary.shards.length, 'file')}`],
    [
      'Calibration',
      calibration
        ? `needs data: here ${calibration.rows} rows of ${calibration.tokens} tokens, by default of ${DEFAULT_DATASET}`
        : 'needs no data',
    ],
    ...forecastFacts(summary.forecast),
    ['Served by', summary.servedBy],
    ['Output', summary.output],
  ]
  const warnings = summary.warnings.map((text) => `  ${text}`)
  return [
    ...schemes,
    ...rescaleTexts(summary.rescales),
    facts(entries),
    ...(warnings.length ? [[yellow(bold('Warnings')), ...warnings].join('\n')] : []),
  ].join('\n\n')
}

/** What the run will take. */
function forecastFacts({ memory, parked, scratch, engine, time }: RunForecast): [string, string][] {
  const beside = parked ? ', with rows that do not fit in a scratch file' : ''
  return [
    ['Memory', `about ${formatBytes(memory.bytes)} of ${formatBytes(memory.allowed)}, at ${memory.stage}${beside}`],
    ...(scratch > 0 ? [['Scratch', `about ${formatBytes(scratch)} beside the output while it runs`] as [string, string]] : []),
    ...(time
      ? [
          [
            'Time',
            `roughly ${formatSeconds(time.seconds)}, an estimate: ${(time.flops / 1e12).toPrecision(2)} TFLOP at ${time.gflops.toFixed(0)} GFLOPS (${engine})`,
          ] as [string, string],
        ]
      : []),
  ]
}

/** What each transform rescales, one paragraph a transform, layers folded. */
function rescaleTexts(rescales: PlanSummary['rescales']): string[] {
  const { bold, dim } = colorsFor(process.stdout)
  const modifiers = [...new Set(rescales.map(({ modifier }) => modifier))]
  return modifiers.map((modifier) => {
    const own = rescales.filter((rescale) => rescale.modifier === modifier)
    // Reasons name a layer: the first stands for all.
    const kinds = new Map<string, PlanSummary['rescales']>()
    for (const rescale of own) {
      const key = `${rescale.stage} ${rescale.skipped === null}`
      kinds.set(key, [...(kinds.get(key) ?? []), rescale])
    }
    const lines = [...kinds.values()].map((kind) => {
      const [{ skipped }] = kind
      const linears = foldLayers(kind.flatMap((rescale) => rescale.linears)).join(', ')
      const sources = foldLayers(kind.map(({ source }) => source)).join(', ')
      return skipped === null ? `  ${linears} ${dim('by way of')} ${sources}` : dim(`  not ${linears}: ${skipped}`)
    })
    return [`${bold('Inputs rescaled')} by ${modifier}`, ...lines].join('\n')
  })
}
