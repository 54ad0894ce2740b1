import type { Tokenizer } from '../../data/tokenizer.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { DataError, UserError } from '../../util/errors.ts'
import type { ScoredRow } from '../scored-row.ts'
import { rstrip } from './python-string.ts'

/** How prompts become tokens for one model. */
export interface PromptEncoder {
  encode(text: string): number[]
  /** The most tokens that the model reads. */
  readonly context: number
}

// lm-evaluation-harness's DEFAULT_MAX_LENGTH, of models that say nothing: those without a table of positions.
const UNLIMITED = 2048

/**
 * `withBos`: puts the token that begins a sequence before prompts also where the tokenizer does not. Errors: UserError for a model without
 * one.
 */
export function promptEncoder(tokenizer: Tokenizer, { model, config, name }: OpenModel, withBos: boolean): PromptEncoder {
  const context = Number.isSafeInteger(model.maxPositions) ? model.maxPositions : UNLIMITED
  const { prefix } = tokenizer
  // A prompt that has it as text is not given it twice.
  const start = prefix.length > 0 ? tokenizer.decode(prefix) : ''
  const encode = (text: string) => (start !== '' && text.startsWith(start) ? tokenizer.encodePlain(text) : tokenizer.encode(text))
  if (!withBos) return { context, encode }
  const bos = config.bos_token_id
  if (typeof bos !== 'number' || !Number.isInteger(bos) || bos < 0 || bos >= model.vocab)
    throw new UserError(`Cannot add a first token for ${name}: bos_token_id of its config.json is ${bos}, expected a token's id.`)
  return {
    context,
    encode: (text) => {
      const ids = encode(text)
      return ids[0] === bos ? ids : [bos, ...ids]
    },
  }
}

/**
 * A prompt and an answer whose tokens are scored, as lm-evaluation-harness cuts them: both are encoded as one, white space at the end of the
 * prompt counts as the answer's, and what is too long for the model is cut from the left. `cut`: so many tokens.
 * Errors: DataError for an answer without a token of its own or longer than the model's positions.
 */
export function answerRow({ encode, context }: PromptEncoder, prompt: string, answer: string): ScoredRow & { cut: number } {
  const bare = rstrip(prompt)
  const whole = encode(prompt + answer)
  const targets = whole.slice(encode(bare).length)
  if (targets.length === 0 || targets.length > context) {
    const found = targets.length === 0 ? 'no token of its own' : `${targets.length} tokens, the model ${context} positions`
    throw new DataError(`Cannot score the answer ${JSON.stringify(answer.slice(0, 60))}: it has ${found}, expected one token to that many`)
  }
  // The last token is predicted and not read.
  const ids = whole.slice(-(context + 1)).slice(0, -1)
  return {
    ids: Int32Array.from(ids),
    first: ids.length - targets.length,
    targets: Int32Array.from(targets),
    cut: whole.length - 1 - ids.length,
  }
}
