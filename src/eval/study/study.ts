import type { Dataset } from '../../data/rows.ts'
import { loadTokenizer } from '../../data/tokenizer.ts'
import type { EngineName } from '../../engine/engine.ts'
import { withEngine } from '../../engine/with-engine.ts'
import { modelFolder } from '../../hub/model-folder.ts'
import type { HubOptions } from '../../hub/settings.ts'
import { uncomputable } from '../../models/computable.ts'
import { isWide, type OpenModel, openModel } from '../../models/open-model.ts'
import { hashSource } from '../../oneshot/source-hashes.ts'
import { BINS } from '../../report/histogram.ts'
import type { StudiedModel, StudiedName, Study } from '../../report/study.ts'
import { CheckpointError, RunError, UserError } from '../../util/errors.ts'
import { packageVersion } from '../../util/package-version.ts'
import { Contestant } from '../contestant.ts'
import { type Generated, generateFrom, requireRoom } from '../generation/generate.ts'
import { checkStudy } from '../options.ts'
import { perplexityOf } from '../perplexity.ts'
import { scoreRows } from '../score-rows.ts'
import { wholeRow } from '../scored-row.ts'
import { SIMPLE_QUANTIZERS } from '../simple-quantizers.ts'
import { textRows } from '../text-form.ts'
import { countWeights } from './count-weights.ts'
import { firstWeight } from './first-weight.ts'
import { parameterNames, quantizedView } from './quantized-view.ts'
import { studiedSizes } from './sizes.ts'
import { studyVerdict } from './verdict.ts'

export interface StudyOptions extends HubOptions {
  /** A checkpoint folder that is not compressed, or org/name on the hub. */
  model: string
  /** What all go on from; `I have a dream` by default. */
  prompt?: string
  /** Tokens of a text at most, those of the prompt among them; 50 by default. */
  maxLength?: number
  /** Of so many of the most likely tokens one is drawn, 0 for all; 30 by default. */
  topK?: number
  /** Of the draws, which begin anew for each model; 0 by default. */
  seed?: number
  /** The one text that all are scored on: a file, a built-in name, texts or token rows; `docs-text` by default. */
  text?: Dataset
  /** Tokens per window of it; 512 by default, or the model's positions where it has fewer. */
  window?: number
  /** At most so many windows, from the start of the text; 8 by default. */
  windows?: number
  /** What the histograms' bins divide; -2 to 2 by default. What lies outside is dropped. */
  range?: readonly [number, number]
  /** 150 by default. */
  bins?: number
  engine?: EngineName | 'auto'
  threads?: number
  /** Called as work goes on: `done` of `of` steps of `what`. */
  onStep?(what: string, done: number, of: number): void
}

/** Of what is not said. */
const PROMPT = 'I have a dream'
const MAX_LENGTH = 50
const TOP_K = 30
const TEXT = 'docs-text'
const WINDOWS = 8
const RANGE = [-2, 2] as const

/**
 * What eight bits for every whole tensor do to a model: each parameter, embeddings, norms and biases among them, is quantized by its largest
 * magnitude (absmax) and by its range (zero-point) in a copy, which is a view of the original's files: nothing is written, and the SHA-256 of the
 * files is the same before and after. All three are counted into histograms, go on from one prompt by the same draws and are scored on one text; sizes are
 * set beside that of LLM.int8(). Errors, all but the last before anything is computed: CheckpointError for a model that is compressed, that cannot
 * be computed, or with weights that are no finite floats, naming file and tensor; DataError without a tokenizer or text; UserError for wrong
 * options and a prompt that leaves no room; RunError where the files change meanwhile; the signal's reason.
 */
export async function study(options: StudyOptions): Promise<Study> {
  checkStudy(options)
  const started = performance.now()
  const folder = await modelFolder(options.model, options)
  const source = await openModel(folder.path)
  try {
    const found = await studied(source, options)
    return { ...found, warnings: [...folder.warnings, ...found.warnings], seconds: (performance.now() - started) / 1000 }
  } finally {
    await source.close()
  }
}

async function studied(source: OpenModel, options: StudyOptions): Promise<Omit<Study, 'seconds'>> {
  const { model: name, prompt = PROMPT, maxLength = MAX_LENGTH, topK = TOP_K, seed = 0, windows = WINDOWS } = options
  const { text = TEXT, window, range = RANGE, bins = BINS, engine, threads, signal, onStep } = options
  requireStudiable(source)
  const asked = {
    ...{ model: name, prompt, maxLength: Math.min(maxLength, source.model.maxPositions), topK, seed },
    ...{ ...(engine && { engine }), ...(threads && { threads }), ...(signal && { signal }) },
  }
  await requireRoom(source, asked)
  const request = { dataset: text, windows, ...(window && { window }) }
  const {
    rows,
    source: textName,
    warnings,
  } = await textRows(source, () => loadTokenizer(source.path), request, source.model.maxPositions, options)
  if (rows.every(({ length }) => length < 2))
    throw new UserError(
      `Cannot score ${textName}: it has ${rows.reduce((sum, { length }) => sum + length, 0)} token, expected two at least.`,
    )

  const never = new AbortController().signal
  const before = await hashSource(source, signal ?? never)
  const names = parameterNames(source)
  const { weights, edges, histograms, ranges } = await countWeights(source, names, {
    ...{ range, bins, signal },
    onParameter: (done, of) => onStep?.('weights', done, of),
  })
  const weight = await firstWeight(source, ranges)
  const models: Copy[] = [
    { name: 'original', source },
    ...SIMPLE_QUANTIZERS.map((quantizer) => ({ name: quantizer, source: quantizedView(source, quantizer, ranges) })),
  ]
  const scored = await withEngine(
    { engine: engine ?? 'auto', givesBack: isWide(source), ...(threads && { threads }), ...(signal && { signal }) },
    () => score(models, rows, { ...(signal && { signal }), onLayer: (done, of) => onStep?.('text', done, of) }),
  )
  const written: Omit<Generated, 'warnings'>[] = []
  for (const [i, copy] of models.entries()) {
    onStep?.('writing', i, models.length)
    written.push(await generateFrom(copy.source, asked))
  }
  onStep?.('writing', models.length, models.length)
  const after = await hashSource(source, signal ?? never)
  const studiedModels = models.map((copy, i) => ({
    ...{ name: copy.name, ...scored[i], meanError: histograms[i].meanError },
    ...{ text: written[i].text, newTokens: written[i].newTokens, sameTokens: alike(written[i].ids, written[0].ids) },
  }))
  const sizes = studiedSizes(source)
  const longest = rows.reduce((most, { length }) => Math.max(most, length), 0)
  return {
    ...{ model: name, modelType: source.model.modelType, llmpress: packageVersion(), parameters: weights, tensors: names.length },
    files: before.map(({ name: file, bytes, sha256 }, i) => ({
      name: file,
      bytes,
      before: sha256,
      after: unchanged(file, sha256, after[i].sha256),
    })),
    ...{ prompt, sampling: { maxLength: asked.maxLength, topK, temperature: written[0].sampling.temperature, seed } },
    text: { name: textName, tokens: rows.reduce((sum, { length }) => sum + length - 1, 0), windows: rows.length, window: longest },
    ...{ weight, edges, histograms, models: studiedModels, sizes, verdict: studyVerdict(studiedModels, sizes), warnings },
  }
}

/** One of the models of a study. */
interface Copy {
  readonly name: StudiedName
  readonly source: OpenModel
}

/** Errors: CheckpointError for a model that is compressed, or that cannot be computed with. */
function requireStudiable(source: OpenModel): void {
  if (source.compressed.size > 0) {
    const message = `Cannot study ${source.path}: it is already quantized, expected an original. 'llmpress eval' scores compressed checkpoints.`
    throw new CheckpointError(message, { file: 'config.json' })
  }
  const reason = uncomputable(source)
  if (reason !== null) throw new CheckpointError(`Cannot study ${source.path}: ${reason}.`, { file: 'config.json' })
}

type Scored = Pick<StudiedModel, 'perplexity' | 'perplexityDifference' | 'klDivergence' | 'topOneAgreement'>

/** All on the same rows, layer by layer side by side. Errors: what went wrong with any of them. */
async function score(
  copies: readonly Copy[],
  rows: readonly Int32Array[],
  options: { signal?: AbortSignal; onLayer(layer: number, of: number): void },
): Promise<Scored[]> {
  const contestants = copies.map(({ source }) => new Contestant(source))
  const [original] = contestants
  await scoreRows(contestants, original, rows.map(wholeRow), options)
  for (const { error } of contestants) if (error) throw error
  const reference = perplexityOf(original.scores)
  return contestants.map((contestant) => {
    const perplexity = perplexityOf(contestant.scores)
    const { kl, agreed, tokens } = contestant.divergence
    return {
      perplexity,
      perplexityDifference: Math.abs(perplexity - reference),
      // Of itself there is none to measure.
      klDivergence: contestant === original ? 0 : Math.max(0, kl / tokens),
      topOneAgreement: contestant === original ? 1 : agreed / tokens,
    }
  })
}

/** How many of the first ids are the same. */
function alike(ids: readonly number[], others: readonly number[]): number {
  const parts = ids.findIndex((id, i) => id !== others[i])
  return parts < 0 ? ids.length : parts
}

/** Errors: RunError for a file that is another than before. */
function unchanged(file: string, before: string, after: string): string {
  if (before === after) return after
  throw new RunError(`Cannot finish the study: ${file} has SHA-256 ${after}, expected ${before} as it had at the start. Was it written to?`)
}
