import type { Tokenizer } from '../../data/tokenizer.ts'
import { openMatrices } from '../../kernels/open.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { UserError } from '../../util/errors.ts'
import { readGenerationDefaults } from '../generation/defaults.ts'
import { ResidentModel } from '../generation/resident-model.ts'
import { chooseToken, type Sampling } from '../generation/sample.ts'
import { TextStream } from '../generation/text-stream.ts'
import type { PromptEncoder } from './encode.ts'
import { endText } from './end-text.ts'
import type { PreparedTask } from './prepare.ts'
import { strip } from './python-string.ts'
import type { AnswerFilter, WrittenAnswers } from './task.ts'
import type { Answer } from './task-score.ts'

export interface WriteOptions {
  signal?: AbortSignal
  threads?: number
  /** Called after each question. */
  onQuestion?(done: number, of: number): void
}

const GREEDY: Sampling = { greedy: true, temperature: 1, topK: 0, topP: 1, seed: 0 }

/**
 * Lets a model write answers, always with the most likely token, up to one of the task's stops; each of its filters finds an answer in the
 * text. The whole model is in memory, as it is stored. Errors: UserError where the model has no room for an answer, CheckpointError.
 */
export async function writeAnswers(
  source: OpenModel,
  tokenizer: Tokenizer,
  encoder: PromptEncoder,
  { task, questions }: PreparedTask,
  written: WrittenAnswers,
  { signal, threads, onQuestion }: WriteOptions,
): Promise<{ answers: Answer[]; notes: string[] }> {
  const room = encoder.context - written.maxTokens
  if (room <= 0)
    throw new UserError(
      `Cannot run ${task.name} with ${source.name}: answers take up to ${written.maxTokens} tokens and the model has ${encoder.context} positions, expected more.`,
    )
  const stops = [...written.until, ...(await endText(source.path))]
  const ends = new Set([...(await readGenerationDefaults(source.path, source.config)).ends, ...specialStops(tokenizer, stops)])
  const matrices = await openMatrices({ threads })
  let resident: ResidentModel | undefined
  let cut = 0
  try {
    resident = await ResidentModel.read(source, matrices, () => signal?.throwIfAborted())
    const answers: Answer[] = []
    for (const [i, { prompt, choices, gold }] of questions.entries()) {
      const ids = encoder.encode(prompt)
      if (ids.length > room) cut++
      const text = await writeText(resident, tokenizer, ids.slice(-room), stops, ends, written.maxTokens, signal)
      answers.push({ prompt, text, ...judge(text, choices[gold], written) })
      onQuestion?.(i + 1, questions.length)
    }
    const notes = cut > 0 ? [`${cut} of ${questions.length} prompts are longer than ${room} tokens and were cut from the left`] : []
    return { answers, notes }
  } finally {
    resident?.dispose()
    await matrices.close()
  }
}

/** Stops that are one special token: those never come as text. */
function specialStops(tokenizer: Tokenizer, stops: readonly string[]): number[] {
  return stops.flatMap((stop) => {
    const ids = tokenizer.encodePlain(stop)
    return ids.length === 1 && tokenizer.decode(ids, { skipSpecial: true }) === '' ? ids : []
  })
}

async function writeText(
  resident: ResidentModel,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  stops: readonly string[],
  ends: ReadonlySet<number>,
  maxTokens: number,
  signal?: AbortSignal,
): Promise<string> {
  const sequence = resident.begin(1, prompt.length + maxTokens)
  const stream = new TextStream(tokenizer, [], stops)
  let logits = await sequence.read(Int32Array.from(prompt), signal)
  for (let count = 1; ; count++) {
    const id = chooseToken(logits, GREEDY, count)
    if (ends.has(id)) break
    stream.push(id)
    if (stream.stopped || count === maxTokens) break
    signal?.throwIfAborted()
    logits = await sequence.read(Int32Array.of(id))
  }
  if (!stream.stopped) stream.end()
  return stream.text
}

/** What the harness's filters find in a text and whether it is the right answer. */
export function judge(text: string, right: string, { filters, normalise }: WrittenAnswers): Pick<Answer, 'found' | 'metrics'> {
  const found = filters.map((filter): [string, string] => [filter.name, findAnswer(text, filter)])
  const expected = normalise(right)
  return {
    found: Object.fromEntries(found),
    metrics: Object.fromEntries(found.map(([name, answer]) => [`exact_match,${name}`, normalise(answer) === expected ? 1 : 0])),
  }
}

/** What the harness has for a text without an answer. */
const INVALID = '[invalid]'

function findAnswer(text: string, { pattern, take }: AnswerFilter): string {
  const matches = [...text.matchAll(pattern)]
  const match = take === 'first' ? matches[0] : matches[matches.length - 1]
  const group = match?.slice(1).find((part) => part !== undefined && part !== '')
  return group === undefined ? INVALID : strip(group)
}
