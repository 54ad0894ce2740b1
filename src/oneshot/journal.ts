import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { env } from 'node:process'
import { replaceDurably } from '../checkpoint/durable.ts'
import type { LinearReport } from '../modifiers/modifier.ts'
import type { ExpertTokens } from '../report/record.ts'
import type { StageStatistics } from '../report/statistics.ts'
import { UserError } from '../util/errors.ts'
import type { Fingerprint } from './fingerprint.ts'
import { type HiddenFile, writeHidden } from './hidden-file.ts'
import type { HiddenStates } from './streams.ts'
import type { TensorStore } from './tensor-store.ts'

const JOURNAL = 'journal.json'

/**
 * Seconds of work that a crash may cost beside the layer in hand, where LLMPRESS_JOURNAL_SECONDS says nothing else: hidden states of many
 * rows take a while to write.
 */
const SECONDS = 5
/** Seconds that an entry may take without being put off: then entries are 2 % of the time, and they stay so. */
const CHEAP = 0.1

/** What a run has done so far: all that it takes to go on. */
export interface Progress {
  /** Layers that are finished. */
  readonly layers: number
  /** Names of the tensors that are whole on disk. */
  readonly tensors: readonly string[]
  readonly reports: readonly LinearReport[]
  /** What was measured at each stage. */
  readonly statistics: readonly StageStatistics[]
  /** Names of tensors that were rescaled. */
  readonly rescaled: readonly string[]
  /** Calibration tokens of the experts. */
  readonly experts: readonly ExpertTokens[]
  /** Spent on the layers. */
  readonly seconds: number
  /** What computed: another engine rounds otherwise. */
  readonly engine: string
}

/** The journal of a run that was stopped. */
export interface Resumable extends Progress {
  /** The hidden states that enter the next layer; null in runs without data. */
  readonly hidden: HiddenFile | null
}

interface Stored {
  readonly fingerprint: Fingerprint
  readonly progress: Resumable
}

const PARTS: Readonly<Record<keyof Fingerprint, string>> = {
  version: 'the version of llmpress',
  model: 'the model',
  recipe: 'the recipe',
  data: 'the calibration rows',
}

/**
 * What the run whose staging folder this is had done when it stopped; null where there is nothing to go on with. Errors: UserError where it
 * was another run, naming what differs.
 */
export async function readJournal(staging: string, fingerprint: Fingerprint, output: string): Promise<Resumable | null> {
  const stored = await read(join(staging, JOURNAL))
  if (!stored) return null
  const differing = differingParts(stored.fingerprint, fingerprint)
  if (differing.length > 0) throw mismatch(output, stored.progress, differing.join(' and '))
  return stored.progress
}

/** The parts in which two fingerprints differ, in words. */
export function differingParts(then: Partial<Fingerprint> | undefined, now: Partial<Fingerprint>): string[] {
  return (Object.keys(PARTS) as (keyof Fingerprint)[])
    .filter((part) => part in now && then?.[part] !== now[part])
    .map((part) => PARTS[part])
}

/** Whether what a staging folder holds is to be gone on with. */
export function hasJournal(staging: string): boolean {
  return existsSync(join(staging, JOURNAL))
}

/** Why a stopped run cannot be gone on with. */
export function mismatch(output: string, { layers }: Progress, what: string): UserError {
  return new UserError(
    `Cannot go on with the run that was stopped in ${output} after ${layers} layers: ${what} differed then, expected the same. ` +
      'Pass --restart to begin again (--overwrite is about whole checkpoints), or choose another output folder.',
  )
}

async function read(path: string): Promise<Stored | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Stored
  } catch {
    // Not there; or not written to its end by a file system that broke its promise: nothing to rely on.
    return null
  }
}

/** Files of the staging folder that belong to a stopped run beside its tensors. */
export function journalFiles({ hidden }: Resumable): string[] {
  return hidden ? [JOURNAL, hidden.name] : [JOURNAL]
}

/** Writes down what a run has done, layer by layer, so that it can be gone on with whenever it is stopped. */
export class Journal {
  readonly #staging: string
  readonly #fingerprint: Fingerprint
  #hidden: string | null
  #written = performance.now()
  #isThere: boolean
  readonly #least = Number(env.LLMPRESS_JOURNAL_SECONDS || SECONDS)
  /** How long the last entry took. */
  #cost = 0

  /** `resumed`: what the run goes on from. */
  constructor(staging: string, fingerprint: Fingerprint, resumed: Resumable | null) {
    this.#staging = staging
    this.#fingerprint = fingerprint
    this.#hidden = resumed?.hidden?.name ?? null
    this.#isThere = resumed !== null
  }

  /** Whether there is something to go on from. */
  get isThere(): boolean {
    return this.#isThere
  }

  /** Whether enough time has passed since the last entry: more where an entry takes more than a tenth of a second. */
  get isDue(): boolean {
    return performance.now() - this.#written >= 1000 * this.#least * Math.max(1, this.#cost / CHEAP)
  }

  /** Writes an entry in the place of the last one. The tensors it names are synced before. Errors: as `writeError`. */
  async write(progress: Progress, hidden: HiddenStates | null, store: TensorStore): Promise<void> {
    const started = performance.now()
    const name = `hidden-${progress.layers}.f32`
    const file = hidden && (await writeHidden(join(this.#staging, name), name, hidden, store))
    const stored: Stored = { fingerprint: this.#fingerprint, progress: { ...progress, hidden: file } }
    await replaceDurably(join(this.#staging, JOURNAL), JSON.stringify(stored))
    if (this.#hidden !== null && this.#hidden !== name) await rm(join(this.#staging, this.#hidden), { force: true })
    this.#hidden = file && name
    this.#isThere = true
    this.#written = performance.now()
    this.#cost = (this.#written - started) / 1000
  }
}
