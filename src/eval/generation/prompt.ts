import type { ChatMessage } from '../../data/chat.ts'
import type { Tokenizer } from '../../data/tokenizer.ts'
import { DataError, UserError } from '../../util/errors.ts'

/** What a text is to go on from. */
export interface Prompt {
  /** As the model reads it. */
  readonly text: string
  readonly ids: readonly number[]
}

/**
 * A prompt's tokens: a text with what the tokenizer puts before it, or messages as the model's chat template writes them, up to where the
 * answer begins. Errors: UserError where there are none, or no room is left for new tokens; DataError where there is no chat template.
 */
export function readPrompt(
  prompt: string | undefined,
  messages: readonly ChatMessage[] | undefined,
  tokenizer: Tokenizer,
  model: string,
): Prompt {
  if (messages) {
    if (!tokenizer.renderChat)
      throw new DataError(
        `Cannot chat with ${model}: it has no chat template, expected one in chat_template.jinja or tokenizer_config.json`,
      )
    const text = tokenizer.renderChat(messages, 'the messages', { forAnswer: true })
    return { text, ids: atLeastOne(tokenizer.encodePlain(text)) }
  }
  const text = prompt ?? ''
  const whole = tokenizer.encode(text)
  // What stands after a text would end it.
  return { text, ids: atLeastOne(whole.slice(0, whole.length - tokenizer.suffix.length)) }
}

function atLeastOne(ids: number[]): number[] {
  if (ids.length > 0) return ids
  throw new UserError('Cannot generate: the prompt has no tokens, expected some text.')
}
