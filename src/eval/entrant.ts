import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { type OpenModel, openModel } from '../models/open-model.ts'
import { UserError } from '../util/errors.ts'
import type { ModelEvaluation } from './evaluation.ts'

/** A model that is evaluated: opened where it can be, and what was found out so far. An error of its own stops it and not the others. */
export class Entrant {
  /** As it was named. */
  readonly name: string
  readonly found: Omit<ModelEvaluation, 'verdict'>
  #source: OpenModel | null = null

  constructor(name: string) {
    this.name = name
    this.found = {
      model: name,
      isOriginal: false,
      error: null,
      text: null,
      divergence: null,
      tasks: [],
      failedTasks: {},
      notes: [],
    }
  }

  /** Null where it could not be opened. */
  get source(): OpenModel | null {
    return this.#source
  }

  get isOriginal(): boolean {
    return this.found.isOriginal
  }

  /** Finds and opens the model; what is wrong with it stands in `found`. */
  async open(hub: HubOptions): Promise<void> {
    try {
      const { path, warnings } = await modelFolder(this.name, hub)
      this.found.notes.push(...warnings)
      this.#source = await openModel(path)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Does something with the model unless it has failed. */
  async attempt(work: (source: OpenModel) => Promise<void>): Promise<void> {
    if (!this.#source || this.found.error !== null) return
    try {
      await work(this.#source)
    } catch (error) {
      this.fail(error)
    }
  }

  /** Takes down what went wrong. Errors: what is not about the model is thrown on. */
  fail(error: unknown): void {
    if (!(error instanceof UserError)) throw error
    this.found.error ??= error.message
  }

  async close(): Promise<void> {
    await this.#source?.close()
  }
}
