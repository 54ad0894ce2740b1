import { openCheckpoint } from '../checkpoint/reader.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import type { Dataset } from '../data/rows.ts'
import { type Engine, type EngineName, NO_ENGINE } from '../engine/engine.ts'
import { withEngine } from '../engine/with-engine.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { openKernels } from '../kernels/open.ts'
import type { ModifierDefinition } from '../modifiers/modifier.ts'
import { UserError } from '../util/errors.ts'
import { packageVersion } from '../util/package-version.ts'
import { calibrationRows } from './calibration.ts'
import type { OnProgress } from './events.ts'
import { fingerprintOf } from './fingerprint.ts'
import { numericsOf } from './numerics-of.ts'
import { checkRebuild } from './options.ts'
import { type Plan, planRebuild } from './plan.ts'
import { type RebuildRequest, readRebuildRequest } from './rebuild-request.ts'
import { hashSource } from './source-hashes.ts'
import { inMemory } from './tensor-store.ts'
import { type CompressedLayer, streamLayers, walkLayers } from './walk.ts'

export interface RebuildOptions extends HubOptions {
  /** A layer's number, counted from 0, or its name (`model.layers.3`, `lm_head`); the first by default. */
  layer?: number | string
  /** The original, where it is no longer what the report names. */
  against?: string
  /** The calibration data, where the run was given it in code. */
  dataset?: Dataset
  /** The one of the run by default: another rounds otherwise. */
  engine?: EngineName
  threads?: number
  /** As in `oneshot`: a report names modifiers, and never loads code. */
  modifiers?: readonly (ModifierDefinition | string)[]
  onProgress?: OnProgress
}

/** What came of making one layer again. */
export interface Rebuilt {
  /** `model.layers.0` */
  layer: string
  /** The original that it was made from. */
  model: string
  /** Tensors that were compared, and those of them whose bytes are the same. */
  tensors: number
  same: number
  /** Tensors whose bytes are not those of the checkpoint. */
  problems: string[]
  /** What differs between the run and this one, and may explain it. */
  notes: string[]
}

/**
 * Makes one layer of a checkpoint once more, from the original and the recipe that llmpress-report.json names, and compares bytes. Without
 * data that costs the layer; with data the walk goes through all layers before it too, since they make its inputs.
 * Errors: CheckpointError for a checkpoint without a report of this version; UserError for data or a layer that is not there; those of a run.
 */
export async function rebuild(checkpoint: string, options: RebuildOptions = {}): Promise<Rebuilt> {
  checkRebuild(checkpoint, options)
  const folder = await modelFolder(checkpoint, options)
  const request = await readRebuildRequest(folder.path)
  const { localFilesOnly, onDownload, signal } = options
  const hub: HubOptions = { ...(localFilesOnly && { localFilesOnly }), ...(onDownload && { onDownload }), ...(signal && { signal }) }
  const model = options.against ?? request.model
  const { recipe, format } = request
  const plan = await planRebuild({ model, recipe, format, ...(options.modifiers && { modifiers: options.modifiers }), ...hub })
  try {
    const index = layerIndex(plan, options.layer ?? 0)
    const rows = plan.needs === 'weights' ? null : await rowsAgain(plan, request, options, hub)
    const found = await fingerprintOf(plan, rows)
    if (found.data !== request.hashes.data)
      throw new UserError(
        `Cannot rebuild ${checkpoint}: the calibration rows are not those of the run, expected the same data (${request.rows?.dataset ?? 'given in code'}).`,
      )
    const layer = await makeLayer(plan, rows, index, request, options)
    const others = found.model === request.hashes.model ? [] : await otherFiles(plan, request, options.signal)
    const notes = differences(request, found, layer.engine, others)
    return { ...(await compare(plan, layer.made, index, folder.path)), model, notes }
  } finally {
    await plan.close()
  }
}

async function rowsAgain(
  plan: Plan,
  request: RebuildRequest,
  { dataset }: RebuildOptions,
  hub: HubOptions,
): Promise<readonly Int32Array[]> {
  const { dataset: named, ...others } = request.rows ?? { dataset: null }
  const data = dataset ?? named
  if (data === null) throw new UserError('Cannot rebuild: the calibration rows were given in code, expected them in the option dataset.')
  return (await calibrationRows(plan, { ...others, dataset: data, seed: request.seed, ...hub })).rows
}

/** Errors: UserError that says which layers there are. */
function layerIndex({ source: { model }, linears }: Plan, wanted: number | string): number {
  const head = model.head().name
  const names = [...Array.from({ length: model.layers }, (_, layer) => model.layerName(layer)), head]
  const index = names.findIndex((name, at) => name === wanted || (at < model.layers && String(at) === String(wanted)))
  const isThere = index >= 0 && (index < model.layers || linears.some(({ layer, scheme }) => layer === index && scheme))
  if (isThere) return index
  throw new UserError(
    `Cannot rebuild the layer ${wanted}: found ${index < 0 ? 'none of that name' : 'that it is not compressed'}, ` +
      `expected 0 to ${model.layers - 1}, or a name such as ${names[0]}.`,
  )
}

async function makeLayer(
  plan: Plan,
  rows: readonly Int32Array[] | null,
  index: number,
  request: RebuildRequest,
  { engine: wanted, threads, signal = new AbortController().signal, onProgress = () => {} }: RebuildOptions,
): Promise<{ made: CompressedLayer; engine: Engine }> {
  const chosen = threads === undefined ? {} : { threads }
  const walk = async (engine: Engine) => {
    const kernels = await openKernels(chosen)
    try {
      onProgress({ type: 'engine', name: engine.name, detail: engine.detail })
      // Where the run fell back, so does this one.
      const context = { engine, kernels, signal, onProgress, store: inMemory, allowFallback: true }
      let at = rows ? 0 : index
      for await (const made of rows ? walkLayers(plan, rows, context) : streamLayers(plan, context, index)) {
        if (at++ === index) return { made, engine }
      }
      throw new RangeError(`Cannot rebuild layer ${index}: the walk ended before it`)
    } finally {
      await kernels.close()
    }
  }
  if (!rows) return walk(NO_ENGINE)
  // The record says in words what its products were taken in.
  const precision = request.engine?.detail.includes('bfloat16') ? 'bfloat16' : 'float32'
  return withEngine({ engine: wanted ?? request.engine?.name ?? 'auto', precision, ...chosen, signal }, walk)
}

/** Names of the original's files that are not those that the run read; all of them where the report does not say. */
async function otherFiles({ source }: Plan, { sources }: RebuildRequest, signal = new AbortController().signal): Promise<string[]> {
  const now = await hashSource(source, signal)
  return now.filter(({ name, sha256 }) => sources.get(name) !== sha256).map(({ name }) => name)
}

function differences(
  { version, hashes, engine: then }: RebuildRequest,
  now: { recipe: string },
  engine: Engine,
  others: readonly string[],
): string[] {
  const notes: string[] = []
  if (version !== packageVersion()) notes.push(`the run was of llmpress ${version}, this is ${packageVersion()}`)
  if (now.recipe !== hashes.recipe) notes.push('the recipe gives another plan now')
  if (others.length > 0) notes.push(`the original is not the one that the run read: other bytes in ${others.join(', ')}`)
  if (then && numericsOf(then) !== numericsOf(engine)) notes.push(`the run was computed by ${then.name}, ${then.detail}`)
  return notes
}

async function compare(
  plan: Plan,
  { name, tensors }: CompressedLayer,
  index: number,
  folder: string,
): Promise<Omit<Rebuilt, 'model' | 'notes'>> {
  const made = new Set(tensors.map(({ name }) => name))
  const copied = plan.passThrough.filter(({ info, layer }) => layer === index && !made.has(info.name)).map(({ info }) => info)
  const problems: string[] = []
  const stored = await openCheckpoint(folder)
  try {
    for (const { name, dtype, shape, bytes } of tensors) {
      if (!(await isStored(stored, { name, dtype, shape }, [bytes]))) problems.push(`${name} has other bytes than its rebuilt form`)
    }
    for (const info of copied) {
      if (!(await isStored(stored, info, plan.source.reader.readChunks(info.name))))
        problems.push(`${info.name} has other bytes than the original`)
    }
  } finally {
    await stored.close()
  }
  const count = tensors.length + copied.length
  return { layer: name, tensors: count, same: count - problems.length, problems }
}

/** Whether a checkpoint has a tensor of that type, shape and content. */
async function isStored(
  stored: TensorReader,
  { name, dtype, shape }: { name: string; dtype: string; shape: readonly number[] },
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<boolean> {
  if (!stored.has(name)) return false
  const info = stored.info(name)
  if (info.dtype !== dtype || info.shape.join() !== shape.join()) return false
  let at = 0
  for await (const chunk of chunks) {
    if (at + chunk.length > info.end - info.begin) return false
    if (Buffer.compare(await stored.readRange(name, at, at + chunk.length), chunk) !== 0) return false
    at += chunk.length
  }
  return at === info.end - info.begin
}
