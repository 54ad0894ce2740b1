import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { configText } from '../checkpoint/config.ts'
import type { TensorData } from '../checkpoint/tensor.ts'
import { CheckpointWriter, type Leftover } from '../checkpoint/writer.ts'
import type { Rows } from '../data/rows.ts'
import { type Engine, type EngineName, NO_ENGINE } from '../engine/engine.ts'
import type { Precision } from '../engine/precision.ts'
import { type TurnOptions, withEngine } from '../engine/with-engine.ts'
import type { PushedRepo } from '../hub/push-folder.ts'
import type { RepoId } from '../hub/repo-id.ts'
import { requirePushable } from '../hub/require-pushable.ts'
import { type HubSettings, hubSettings } from '../hub/settings.ts'
import { openKernels } from '../kernels/open.ts'
import { isWide } from '../models/open-model.ts'
import type { LinearReport } from '../modifiers/modifier.ts'
import { PAGE_FILE, reportPage } from '../report/page.ts'
import { REPORT_FILE, type RunRecord } from '../report/record.ts'
import { reportRun } from '../report/run-data.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { DataError, UserError } from '../util/errors.ts'
import { packageVersion } from '../util/package-version.ts'
import { span } from '../util/span.ts'
import { type CalibrationOptions, calibrationRows, rowsWanted } from './calibration.ts'
import { checkSaved } from './check-saved.ts'
import { requireCopyable } from './checked-chunks.ts'
import { companionFiles } from './companions.ts'
import type { OnProgress } from './events.ts'
import { withExactSizes } from './exact-sizes.ts'
import { starvedExperts } from './expert-tokens.ts'
import { type Fingerprint, fingerprintOf } from './fingerprint.ts'
import { foundFinished } from './finished.ts'
import { requireMemory } from './forecast.ts'
import { readHidden } from './hidden-file.ts'
import { Journal, journalFiles, mismatch, type Progress, type Resumable, readJournal } from './journal.ts'
import { placeRun, requireScratch, shapeOf } from './memory.ts'
import { memoryBudget } from './memory-budget.ts'
import { modelCard } from './model-card.ts'
import { numericsOf } from './numerics-of.ts'
import { checkOneshot } from './options.ts'
import { type Plan, type PlanOptions, planAgain } from './plan.ts'
import { remarksOf, skippedStages } from './remarks.ts'
import type { Run } from './run.ts'
import { ScratchFile } from './scratch-file.ts'
import { withSourceHashes } from './source-hashes.ts'
import { inMemory, ScratchStore, type TensorStore } from './tensor-store.ts'
import { streamLayers, type WalkContext, walkLayers } from './walk.ts'
import { writeLayers } from './write-layers.ts'

export interface OneshotOptions extends PlanOptions, CalibrationOptions {
  /** `auto` takes the best that runs here. A run that needs no data multiplies nothing and opens none. */
  engine?: EngineName | 'auto'
  /**
   * `bfloat16`: factors of the forward pass's products and of the Hessians' are rounded to it, sums stay float32; these are two to
   * three times as fast on processors with AMX or AVX512_BF16, on the native engine. `float32` by default.
   */
  precision?: Precision
  /** Threads of the engine and of the kernels; all cores by default. Results do not depend on it. */
  threads?: number
  /** `org/name` or `org/name@branch` on the hub: the finished checkpoint is uploaded there, with its model card. Needs HF_TOKEN. */
  pushToHub?: string
  /** The repository of `pushToHub` is private: made so, or refused where it is there and others can see it. */
  private?: boolean
  /**
   * Stops the run at once; nothing that looks like a checkpoint is left. The same call goes on from the last layers that the journal in the
   * output folder has, if it has any.
   */
  signal?: AbortSignal
  /** Stops the run when the layer in hand is finished and written down: `oneshot` rejects with RunStopped, and the same call goes on. */
  stop?: AbortSignal
  /** Begins again where a run was stopped in the output folder, whatever it was; else a run with other inputs there is an error. */
  restart?: boolean
  /** Rounds plainly where a modifier changes nothing or gives NaN, and says so in the record; else that is an error. */
  allowFallback?: boolean
  /**
   * Called at each step, and not waited for. What it throws ends the run like any other error: nothing that looks like a checkpoint is left,
   * and `oneshot` rejects with it. Only at `done` the checkpoint stands: it stays, and `oneshot` still rejects.
   */
  onProgress?: OnProgress
}

/**
 * Compresses a model as a recipe says and writes a compressed-tensors checkpoint, or a GPTQ or AWQ one. Where the output folder has the
 * finished checkpoint of the same run, from the same files, recipe, data, engine and version, its record is the result and nothing is computed.
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
  const settings = hubSettings(options)
  const target = options.pushToHub === undefined ? null : requirePushable(options.pushToHub, settings)
  if (options.private && !target)
    throw new UserError('Cannot run oneshot: private says who may see what is pushed, expected pushToHub (--push-to-hub) with it.')
  const plan = await span('step', 'plan', () => planAgain(options))
  try {
    const record = await compressInto(plan, options, signal, onProgress, started)
    if (target) record.pushed = await push(target, record, options, settings)
    onProgress({ type: 'done', record })
    return record
  } finally {
    await plan.close()
  }
}

/** What a run with data computes on. */
function engineWanted(options: OneshotOptions, source: Plan['source'], signal: AbortSignal): TurnOptions {
  return {
    engine: options.engine ?? 'auto',
    precision: options.precision ?? 'float32',
    givesBack: options.maxMemory !== undefined || isWide(source),
    ...withThreads(options),
    signal,
  }
}

/** The calibration rows of a plan; null where it needs none. Errors: as `calibrationRows`; DataError for its warnings under --strict. */
async function rowsOf(plan: Plan, options: OneshotOptions, onProgress: OnProgress): Promise<Rows | null> {
  if (plan.needs === 'weights') return null
  const rows = await span('step', 'rows', () => calibrationRows(plan, options))
  for (const message of rows.warnings) onProgress({ type: 'warning', message })
  if (options.strict && rows.warnings.length) throw new DataError(`Cannot calibrate under --strict: ${rows.warnings.join('; ')}`)
  return rows
}

function announce(plan: Plan, onProgress: OnProgress): void {
  onProgress({
    type: 'plan',
    model: plan.origin.reference,
    output: plan.output,
    layers: plan.source.model.layers,
    linears: plan.linears.filter(({ scheme }) => scheme).length,
    needsInputs: plan.needs !== 'weights',
  })
  for (const message of plan.warnings) onProgress({ type: 'warning', message })
}

/** Compresses into the plan's output folder; gives the record that stands there. */
async function compressInto(
  planned: Plan,
  options: OneshotOptions,
  signal: AbortSignal,
  onProgress: OnProgress,
  started: number,
): Promise<RunRecord> {
  const found = await foundFinished(planned, {
    allowFallback: options.allowFallback ?? false,
    announce: () => announce(planned, onProgress),
    rows: () => rowsOf(planned, options, onProgress),
    numerics: (rows) =>
      rows ? withEngine(engineWanted(options, planned.source, signal), async (engine) => numericsOf(engine)) : numericsOf(NO_ENGINE),
  })
  if (found) {
    signal.throwIfAborted()
    onProgress({ type: 'found', output: planned.output })
    return found
  }
  requireMemory(planned, options)
  const plan = await withExactSizes(planned, signal)
  announce(plan, onProgress)
  const rows = await rowsOf(plan, options, onProgress)
  const fingerprint = await fingerprintOf(planned, rows?.rows ?? null)
  const { writer, journal, resumed } = await openOutput(plan, fingerprint, options)
  try {
    if (writer.isPublishing) return await published(plan, writer)
    if (resumed) onProgress({ type: 'resume', layers: resumed.layers, of: plan.source.model.layers, linears: resumed.reports.length })
    return await compress(
      { plan, fingerprint, writer, journal, resumed, signal, stop: options.stop ?? null, onProgress },
      options,
      rows,
      started,
    )
  } catch (error) {
    // What went wrong first is what the user must hear.
    await writer.abort({ keep: journal.isThere }).catch(() => {})
    throw error
  }
}

/** Uploads what was written, and nothing else that may stand in the folder. */
async function push(
  repo: RepoId,
  record: RunRecord,
  { private: isPrivate = false, onProgress }: OneshotOptions,
  settings: HubSettings,
): Promise<PushedRepo> {
  const files = [...record.files.map(({ name }) => name), REPORT_FILE, PAGE_FILE]
  const title = `${basename(record.output)}, compressed with llmpress ${record.llmpress}`
  const { pushFolder } = await import('../hub/push-folder.ts')
  return pushFolder({ repo, folder: record.output, files, title, isPrivate }, settings, (progress) =>
    onProgress?.({ type: 'upload', repo: repo.name, ...progress }),
  )
}

/** Takes the output folder, with what a stopped run of the same inputs left there. Errors: UserError where it was another run. */
async function openOutput(
  plan: Plan,
  fingerprint: Fingerprint,
  { overwrite = false, restart = false }: OneshotOptions,
): Promise<Pick<Run, 'writer' | 'journal' | 'resumed'>> {
  let resumed: Resumable | null = null
  const leftover = async (staging: string): Promise<Leftover | null> => {
    resumed = restart ? null : await readJournal(staging, fingerprint, plan.output)
    return resumed && { tensors: new Set(resumed.tensors), files: journalFiles(resumed) }
  }
  const writer = await CheckpointWriter.open(plan.output, plan.shards, { overwrite, leftover })
  return { writer, journal: new Journal(writer.staging, fingerprint, resumed), resumed }
}

/** A run that was stopped when all was done but for moving the files up. */
async function published({ output }: Plan, writer: CheckpointWriter): Promise<RunRecord> {
  await writer.publish()
  // The folder may have another name by now.
  return { ...(JSON.parse(await readFile(join(output, REPORT_FILE), 'utf8')) as RunRecord), output }
}

async function compress(run: Run, options: OneshotOptions, rows: Rows | null, started: number): Promise<RunRecord> {
  const { plan, writer, resumed, signal, onProgress } = run
  const data = rows && { source: rows.source, rows: rows.rows.length, tokens: rows.rows.reduce((sum, row) => sum + row.length, 0) }
  if (data) onProgress({ type: 'data', ...data })
  const dataSeconds = elapsed(started)
  // Before the hours of compute: a model folder may be moved while it runs.
  const config = await configText(plan.source.path, plan.config)
  for await (const { name, bytes } of companionFiles(plan.source)) await writer.writeFile(name, bytes)

  if (rows) await span('io', 'check', () => requireCopyable(plan.source.reader, uncopied(run), signal))
  const { result, sources } = await withSourceHashes(plan.source, signal, () => computeOn(run, options, rows))
  const { progress, engine, threads, scratch, warnings: passedOver } = result
  if (rows) collectGarbage()

  const { name, text } = plan.recipe
  const linears = [...progress.reports]
  const record: RunRecord = {
    llmpress: packageVersion(),
    model: plan.origin.reference,
    output: plan.output,
    recipe: { name, text },
    ...(plan.format !== 'compressed-tensors' && { format: plan.format }),
    hashes: { model: run.fingerprint.model, recipe: run.fingerprint.recipe, data: run.fingerprint.data },
    sources,
    engine: { name: engine.name, detail: engine.detail, threads },
    seed: options.seed ?? 0,
    data: data && { ...data, request: rowsWanted(plan, options) },
    linears,
    ...(progress.experts.length > 0 && { experts: [...progress.experts] }),
    rewritten: [...new Set([...plan.source.reader.rewritten, ...progress.rescaled])],
    untouched: plan.linears.filter(({ scheme }) => !scheme).map(({ spec }) => spec.name),
    foreign: [...plan.foreign],
    skipped: skippedStages(plan),
    remarks: remarksOf(linears, skippedStages(plan)),
    warnings: [
      ...plan.warnings,
      ...(rows?.warnings ?? []),
      ...passedOver,
      ...linears.flatMap(concerns),
      ...starvedExperts(progress.experts),
    ],
    size: plan.size,
    kinds: [...plan.kinds],
    seconds: { data: dataSeconds, layers: progress.seconds, total: elapsed(started) + (resumed?.seconds ?? 0) },
    peakMemory: process.resourceUsage().maxRSS * 1024,
    ...(scratch !== null && { scratch }),
    files: [],
  }
  await writer.writeFile('recipe.yaml', text)
  await writer.writeFile('README.md', modelCard(plan, record))
  for (const { name, text } of plan.configFiles) await writer.writeFile(name, text)
  await writer.writeFile('config.json', config)
  await span('io', 'check', () => checkSaved(plan, writer.staging, linears, signal))
  record.files = await span('io', 'hash', () => writer.files())
  await writer.writeFile(REPORT_FILE, `${JSON.stringify(record, null, 2)}\n`)
  await span('io', 'page', async () => {
    const shown = reportRun({ name: basename(plan.output), record, statistics: progress.statistics })
    await writer.writeFile(PAGE_FILE, await reportPage([shown]))
  })
  signal.throwIfAborted()
  await span('io', 'finish', () => writer.finish())
  return record
}

/** Names of the tensors that stay as they are and are still to be copied. */
function uncopied({ plan, resumed }: Run): string[] {
  const written = new Set(resumed?.tensors)
  return plan.passThrough.flatMap(({ info: { name } }) => (written.has(name) ? [] : [name]))
}

/** The layers, on an engine where there are rows. */
function computeOn(run: Run, options: OneshotOptions, rows: Rows | null): ReturnType<typeof computeLayers> {
  if (!rows) return computeLayers(run, options, NO_ENGINE, null)
  return withEngine(engineWanted(options, run.plan.source, run.signal), (engine) => computeLayers(run, options, engine, rows.rows))
}

/** In the staging folder, which a later run clears of what a killed one left. */
const SCRATCH_FILE = 'scratch.f32'

/** The layers on an engine, into the writer; all that the kernels' threads are needed for. */
async function computeLayers(
  run: Run,
  options: OneshotOptions,
  engine: Engine,
  rows: readonly Int32Array[] | null,
): Promise<{ progress: Progress; engine: Engine; threads: number; scratch: number | null; warnings: string[] }> {
  const { plan, writer, resumed, signal, onProgress } = run
  const numerics = numericsOf(engine)
  if (resumed && resumed.engine !== numerics) {
    throw mismatch(plan.output, resumed, `the engine (${resumed.engine} then, ${numerics} now)`)
  }
  const placement = placeRun(plan, rows && shapeOf(rows), engine.name, memoryBudget(options.maxMemory))
  await requireScratch(plan, placement)
  const kernels = await openKernels(withThreads(options))
  let file: ScratchFile | null = null
  try {
    onProgress({ type: 'engine', name: engine.name, detail: engine.detail })
    const warnings = brokenEngines(engine)
    for (const message of warnings) onProgress({ type: 'warning', message })
    if (options.strict && warnings.length > 0) throw new UserError(`Cannot compute under --strict: ${warnings.join('; ')}`)
    if (placement.parked) {
      file = await ScratchFile.create(join(writer.staging, SCRATCH_FILE))
      onProgress({ type: 'scratch', path: file.path, bytes: placement.scratch })
    }
    // Of the tokenizer and the texts above all: beside the engine's memory it would stay for minutes.
    if (rows) collectGarbage()
    const store = file ? new ScratchStore(file) : inMemory
    const allowFallback = options.allowFallback ?? false
    const save = (tensor: TensorData) => span('io', 'write', () => writer.write(tensor))
    const context: WalkContext = { engine, kernels, signal, onProgress, store, allowFallback, save }
    const layers = rows ? walkLayers(plan, rows, context, startOf(run, store)) : streamLayers(plan, context, resumed?.layers)
    const progress = await writeLayers(run, layers, numerics, store)
    return { progress, engine, threads: kernels.threads, scratch: file?.bytes ?? null, warnings }
  } finally {
    await kernels.close()
    await file?.close()
  }
}

/** Engines that are there and could not be used: somebody counts on them. */
function brokenEngines({ name, rejected }: Engine): string[] {
  return rejected
    .filter(({ isPresent }) => isPresent)
    .map(({ engine, why }) => `the ${engine} engine is not used: ${why}; ${name} computes`)
}

/** Where a walk with data begins; null for the beginning. */
function startOf({ plan, writer, resumed }: Run, store: TensorStore): Parameters<typeof walkLayers>[3] {
  const file = resumed?.hidden
  if (!file) return null
  const path = join(writer.staging, file.name)
  return { layer: resumed.layers, hidden: (batches) => readHidden(path, file, batches, plan.source.model.hidden, store) }
}

function withThreads({ threads }: OneshotOptions): { threads?: number } {
  return threads ? { threads } : {}
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
