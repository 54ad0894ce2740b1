import type { Tokenizer } from '../../data/tokenizer.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { chooseAnswers } from './choose.ts'
import { promptEncoder } from './encode.ts'
import type { PreparedTask } from './prepare.ts'
import { metricsOf, type TaskScore } from './task-score.ts'
import { writeAnswers } from './write.ts'

export interface RunTaskOptions {
  signal?: AbortSignal
  threads?: number
  /** Puts the token that begins a sequence before prompts also where the tokenizer does not. */
  addBosToken?: boolean
  /** Rows of one length that go through a layer together, at most. */
  batch?: number
  /** Steps done: layers of the model, times blocks of rows, or questions. */
  onStep?(done: number, of: number): void
}

/** Asks a model a task's questions. An engine has to be open. Errors: CheckpointError, DataError, UserError; the signal's reason. */
export async function runTask(
  source: OpenModel,
  tokenizer: Tokenizer,
  prepared: PreparedTask,
  { signal, threads, addBosToken = false, batch, onStep = () => {} }: RunTaskOptions,
): Promise<TaskScore> {
  const started = performance.now()
  const { task, shots, total, questions } = prepared
  const encoder = promptEncoder(tokenizer, source, addBosToken)
  const { answers, notes } = task.written
    ? await writeAnswers(source, tokenizer, encoder, prepared, task.written, {
        onQuestion: onStep,
        ...(signal && { signal }),
        ...(threads !== undefined && { threads }),
      })
    : await chooseAnswers(source, encoder, prepared, { onLayer: onStep, ...(signal && { signal }), ...(batch && { batch }) })
  return {
    task: task.name,
    version: task.version,
    shots,
    source: prepared.source,
    asked: questions.length,
    of: total,
    metrics: metricsOf(answers),
    answers,
    notes,
    seconds: (performance.now() - started) / 1000,
  }
}
