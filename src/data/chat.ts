import { DataError } from '../util/errors.ts'
import { kindOf } from './kind-of.ts'

/** One turn of a conversation. */
export interface ChatMessage {
  /** `system`, `user`, `assistant`, `tool`, or another that the model's template knows. */
  readonly role: string
  readonly content: string
}

/** Roles as ShareGPT's `from` names them. */
const SHARE_GPT: Readonly<Record<string, string>> = { human: 'user', gpt: 'assistant', chatgpt: 'assistant', bot: 'assistant' }

/**
 * The turns of a conversation in one of the two usual forms: `{ role, content }`, or ShareGPT's `{ from, value }`. Content that comes in
 * parts is joined where all are text. Errors: DataError that names the turn and the key.
 */
export function chatMessages(value: readonly unknown[], where: string): ChatMessage[] {
  if (value.length === 0) throw new DataError(`Cannot use ${where}: found a conversation without messages, expected one at least`)
  return value.map((turn, i) => chatMessage(turn, `message ${i + 1} of ${where}`))
}

function chatMessage(turn: unknown, where: string): ChatMessage {
  if (typeof turn !== 'object' || turn === null || Array.isArray(turn))
    throw new DataError(`Cannot use ${where}: found ${kindOf(turn)}, expected an object with "role" and "content"`)
  const { role, content, from, value } = turn as Record<string, unknown>
  const who = role ?? from
  const said = textOf(content ?? value)
  if (typeof who !== 'string') throw new DataError(`Cannot use ${where}: "role" holds ${kindOf(who)}, expected user, assistant or system`)
  if (said === null) {
    const found = content ?? value
    const what = Array.isArray(found) ? 'parts that are no text' : kindOf(found)
    throw new DataError(`Cannot use ${where}: "content" holds ${what}, expected a text`)
  }
  return { role: role === undefined && Object.hasOwn(SHARE_GPT, who) ? SHARE_GPT[who] : who, content: said }
}

function textOf(content: unknown): string | null {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return null
  const parts = content.map((part: unknown) => (typeof part === 'object' && part !== null && 'text' in part ? part.text : part))
  return parts.every((part) => typeof part === 'string') ? parts.join('') : null
}
