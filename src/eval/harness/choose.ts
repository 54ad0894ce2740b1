import type { OpenModel } from '../../models/open-model.ts'
import { Contestant } from '../contestant.ts'
import { type ScoreOptions, scoreRows } from '../score-rows.ts'
import { answerRow, type PromptEncoder } from './encode.ts'
import type { PreparedTask } from './prepare.ts'
import { length } from './python-string.ts'
import { type Answer, largest } from './task-score.ts'

/**
 * Lets a model choose: the choice of the highest likelihood counts for `acc`, that of the highest likelihood per character for `acc_norm`.
 * Errors: CheckpointError, DataError.
 */
export async function chooseAnswers(
  source: OpenModel,
  encoder: PromptEncoder,
  { questions }: PreparedTask,
  options: ScoreOptions,
): Promise<{ answers: Answer[]; notes: string[] }> {
  const rows = questions.flatMap(({ prompt, choices }) => choices.map((choice) => answerRow(encoder, prompt, ` ${choice}`)))
  // Rows of one length go together: the longest first, so that memory which runs out does so at once.
  const order = Array.from(rows.keys()).sort((a, b) => rows[b].ids.length - rows[a].ids.length || a - b)
  const contestant = new Contestant(source)
  await scoreRows(
    [contestant],
    null,
    order.map((i) => rows[i]),
    options,
  )
  if (contestant.error) throw contestant.error
  const sums = new Float64Array(rows.length)
  let next = 0
  for (const i of order) for (let k = rows[i].targets.length; k > 0; k--) sums[i] += contestant.scores[next++]
  let at = 0
  const answers = questions.map(({ prompt, choices, gold }) => {
    const scores = Array.from(sums.subarray(at, at + choices.length))
    at += choices.length
    const isRight = (values: readonly number[]) => (largest(values) === gold ? 1 : 0)
    const perCharacter = scores.map((score, i) => score / length(choices[i]))
    return { prompt, scores, metrics: { 'acc,none': isRight(scores), 'acc_norm,none': isRight(perCharacter) } }
  })
  const cut = rows.filter((row) => row.cut > 0).length
  const notes = cut > 0 ? [`${cut} of ${rows.length} prompts are longer than ${encoder.context} tokens and were cut from the left`] : []
  return { answers, notes }
}
