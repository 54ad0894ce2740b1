import { configText } from '../checkpoint/config.ts'
import { CheckpointWriter } from '../checkpoint/writer.ts'
import { type Engine, type EngineName, NO_ENGINE } from '../engine/engine.ts'
import { withEngine } from '../engine/with-engine.ts'
import { openKernels } from '../kernels/open.ts'
import type { LinearReport } from '../modifiers/modifier.ts'
import { DataError, UserError } from '../util/errors.ts'
import { packageVersion } from '../util/package-version.ts'
import { type CalibrationOptions, calibrationRows } from './calibration.ts'
import { checkedChunks } from './checked-chunks.ts'
import { companionFiles } from './companions.ts'
import type { OnProgress } from './events.ts'
import { type ExpertTokens, starvedExperts } from './expert-tokens.ts'
import { requireMemory } from './memory.ts'
import { modelCard } from './model-card.ts'
import { checkOneshot } from './options.ts'
import { type Plan, type PlanOptions, planRun } from './plan.ts'
import { REPORT_FILE, type RunRecord } from './record.ts'
import { streamLayers, type WalkContext, walkLayers } from './walk.ts'

export interface OneshotOptions extends PlanOptions, CalibrationOptions {
  /** `auto` takes the best that runs here. A run that needs no data multiplies nothing and opens none. */
  engine?: EngineName | 'auto'
  /** Threads of the engine and of the kernels; all cores by default. Results do not depend on it. */
  threads?: number
  /** Stops the run; nothing that looks like a checkpoint is left. */
  signal?: AbortSignal
  /**
   * Called at each step, and not waited for. What it throws ends the run like any other error: nothing that looks like a checkpoint is left,
   * and `oneshot` rejects with it. Only at `done` the checkpoint stands: it stays, and `oneshot` still rejects.
   */
  onProgress?: OnProgress
}

/**
 * Compresses a model as a recipe says and writes a compressed-tensors checkpoint.
 * Runs with data take turns where a process starts several, since they share one engine.
 * Errors: UserError and its kinds before any compute; RunError for what goes wrong later; the signal's reason when it is aborted.
 */
export async function oneshot(options: OneshotOptions): Promise<RunRecord>
export async function oneshot(
  model: string,
  recipe: string | object,
  options?: Omit<OneshotOptions, 'model' | 'recipe'>,
): Promise<RunRecord>
export async function oneshot(
  first: OneshotOptions | string,
  recipe?: string | object,
  rest: Omit<OneshotOptions, 'model' | 'recipe'> = {},
): Promise<RunRecord> {
  if (typeof first !== 'string') return run(first)
  if (recipe === undefined)
    throw new UserError('Cannot run oneshot: no recipe was given, expected oneshot(model, recipe) or oneshot({ model, recipe }).')
  if (typeof rest !== 'object') throw new UserError(`Cannot run oneshot: found ${typeof rest} options, expected an object.`)
  return run({ ...rest, model: first, recipe })
}

async function run(options: OneshotOptions): Promise<RunRecord> {
  checkOneshot(options)
  const { signal = new AbortController().signal, onProgress = () => {} } = options
  const started = performance.now()
  signal.throwIfAborted()
  const plan = await planRun(options)
  try {
    onProgress({
      type: 'plan',
      model: plan.source.path,
      output: plan.output,
      layers: plan.source.model.layers,
      linears: plan.linears.filter(({ scheme }) => scheme).length,
      needsInputs: plan.needs !== 'weights',
    })
    for (const message of plan.warnings) onProgress({ type: 'warning', message })
    const writer = await CheckpointWriter.open(plan.output, plan.shards, { overwrite: options.overwrite ?? false })
    try {
      const record = await compress(plan, writer, options, signal, onProgress, started)
      onProgress({ type: 'done', record })
      return record
    } catch (error) {
      // What went wrong first is what the user must hear.
      await writer.abort().catch(() => {})
      throw error
    }
  } finally {
    await plan.close()
  }
}

async function compress(
  plan: Plan,
  writer: CheckpointWriter,
  options: OneshotOptions,
  signal: AbortSignal,
  onProgress: OnProgress,
  started: number,
): Promise<RunRecord> {
  const rows = plan.needs !== 'weights' ? await calibrationRows(plan, options) : null
  const warnings = [...plan.warnings, ...(rows?.warnings ?? [])]
  for (const message of rows?.warnings ?? []) onProgress({ type: 'warning', message })
  if (options.strict && rows?.warnings.length) throw new DataError(`Cannot calibrate under --strict: ${rows.warnings.join('; ')}`)
  const data = rows && { source: rows.source, rows: rows.rows.length, tokens: rows.rows.reduce((sum, row) => sum + row.length, 0) }
  if (data) onProgress({ type: 'data', ...data })
  const seconds = { data: elapsed(started), layers: 0, total: 0 }

  const { linears, rescaled, experts, engine, threads } =
    rows && data
      ? await withEngine({ engine: options.engine ?? 'auto', ...withThreads(options), signal }, (opened) => {
          requireMemory(plan, data.rows, data.tokens, opened.name)
          return computeLayers(plan, writer, opened, rows.rows, options, signal, onProgress, seconds)
        })
      : await computeLayers(plan, writer, NO_ENGINE, null, options, signal, onProgress, seconds)
  seconds.total = elapsed(started)

  const { name, text } = plan.recipe
  const record: RunRecord = {
    llmpress: packageVersion(),
    model: plan.source.path,
    output: plan.output,
    recipe: { name, text },
    engine: { name: engine.name, detail: engine.detail, threads },
    seed: options.seed ?? 0,
    data,
    linears,
    ...(experts.length > 0 && { experts }),
    rewritten: [...new Set([...plan.source.reader.rewritten, ...rescaled])],
    untouched: plan.linears.filter(({ scheme }) => !scheme).map(({ spec }) => spec.name),
    warnings: [...warnings, ...linears.flatMap(concerns), ...starvedExperts(experts)],
    size: plan.size,
    seconds,
    peakMemory: process.resourceUsage().maxRSS * 1024,
    files: [],
  }
  for await (const { name, bytes } of companionFiles(plan.source)) await writer.writeFile(name, bytes)
  await writer.writeFile('recipe.yaml', text)
  await writer.writeFile('README.md', modelCard(plan, record))
  await writer.writeFile('config.json', await configText(plan.source.path, plan.config))
  record.files = writer.files()
  await writer.writeFile(REPORT_FILE, `${JSON.stringify(record, null, 2)}\n`)
  signal.throwIfAborted()
  await writer.finish()
  return record
}

/** The layers on an engine, into the writer; all that the kernels' threads are needed for. */
async function computeLayers(
  plan: Plan,
  writer: CheckpointWriter,
  engine: Engine,
  rows: readonly Int32Array[] | null,
  options: OneshotOptions,
  signal: AbortSignal,
  onProgress: OnProgress,
  seconds: RunRecord['seconds'],
): Promise<WrittenLayers & { engine: Engine; threads: number }> {
  const kernels = await openKernels(withThreads(options))
  try {
    onProgress({ type: 'engine', name: engine.name, detail: engine.detail })
    const started = performance.now()
    const context: WalkContext = { engine, kernels, signal, onProgress }
    const layers = rows ? walkLayers(plan, rows, context) : streamLayers(plan, context)
    const written = await writeLayers(plan, writer, layers, signal, onProgress)
    seconds.layers = elapsed(started)
    return { ...written, engine, threads: kernels.threads }
  } finally {
    await kernels.close()
  }
}

/** What the layers said when they were written. */
interface WrittenLayers {
  linears: LinearReport[]
  rescaled: string[]
  experts: ExpertTokens[]
}

function withThreads({ threads }: OneshotOptions): { threads?: number } {
  return threads ? { threads } : {}
}

/** Writes each layer as it comes, with the tensors that stay as they are; gives the reports of all linears. */
async function writeLayers(
  plan: Plan,
  writer: CheckpointWriter,
  layers: ReturnType<typeof streamLayers>,
  signal: AbortSignal,
  onProgress: OnProgress,
): Promise<WrittenLayers> {
  const { model, reader } = plan.source
  const started = performance.now()
  const linears: LinearReport[] = []
  const rescaled: string[] = []
  const experts: ExpertTokens[] = []
  const written = new Set<string>()
  const copyUntouched = async (layer: number) => {
    for (const { info } of plan.passThrough.filter((tensor) => tensor.layer === layer && !written.has(tensor.info.name))) {
      signal.throwIfAborted()
      await writer.writeChunks(info, checkedChunks(reader, info.name))
    }
  }
  let index = 0
  onProgress({ type: 'layer:start', name: model.layerName(0), index: 0, of: model.layers })
  for await (const { name, tensors, ...added } of layers) {
    for (const tensor of tensors) {
      await writer.write(tensor)
      written.add(tensor.name)
    }
    linears.push(...added.reports)
    rescaled.push(...added.rescaled)
    experts.push(...added.experts)
    if (index < model.layers) {
      await copyUntouched(index)
      const seconds = elapsed(started)
      const etaSeconds = (seconds / (index + 1)) * (model.layers - index - 1)
      onProgress({ type: 'layer:done', name, index, of: model.layers, seconds, etaSeconds })
      if (index + 1 < model.layers)
        onProgress({ type: 'layer:start', name: model.layerName(index + 1), index: index + 1, of: model.layers })
    }
    index++
  }
  await copyUntouched(model.layers)
  return { linears, rescaled, experts }
}

// Half of what a linear does, or more, is lost: no scheme that is meant to be used comes near.
const ALARMING = 0.5

/** What of a linear's report must not go unnoticed. */
function concerns({ name, fallback, error, errorOf }: LinearReport): string[] {
  const lost = error >= ALARMING ? [`${name}: ${(100 * error).toFixed(0)} % of its ${errorOf} are lost, as squared error`] : []
  return fallback ? [`${name}: ${fallback}`, ...lost] : lost
}

function elapsed(started: number): number {
  return (performance.now() - started) / 1000
}
