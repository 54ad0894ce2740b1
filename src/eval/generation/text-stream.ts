import type { Tokenizer } from '../../data/tokenizer.ts'

/** What a decoder puts for bytes that are no character yet. */
const INCOMPLETE = '\ufffd'

/** Tokens of the prompt that the first new ones are decoded after: what they look like can depend on what stands before. */
const CONTEXT = 8

/**
 * Token ids to text as they come. A token can be part of a character, and a space can belong to the token after it: so each is decoded behind
 * those before it, and what may still change is held back, as is what may become one of the texts to stop at. Special tokens are left out.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer
  readonly #stops: readonly string[]
  /** The last tokens whose text is out, and those after them. */
  #ids: number[]
  #settled: number
  /** Text that is not out yet: it may be the beginning of a stop. */
  #held = ''
  #text = ''
  #stopped = false

  /** `prompt`: the ids before the first new one. */
  constructor(tokenizer: Tokenizer, prompt: readonly number[], stops: readonly string[] = []) {
    this.#tokenizer = tokenizer
    this.#stops = stops
    this.#ids = prompt.slice(-CONTEXT)
    this.#settled = this.#ids.length
  }

  /** Whether one of the stops has come; it and what follows it are not part of the text. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** All that is out. */
  get text(): string {
    return this.#text
  }

  /** Takes a token in; gives the text that is certain now. */
  push(id: number): string {
    this.#ids.push(id)
    const found = this.#decoded()
    if (found === '' || found.endsWith(INCOMPLETE)) return ''
    this.#settle()
    return this.#release(found, false)
  }

  /** What is left when no token follows. */
  end(): string {
    const found = this.#decoded()
    this.#settle()
    return this.#release(found, true)
  }

  /** The text of the tokens that are not settled. */
  #decoded(): string {
    const text = (ids: readonly number[]) => this.#tokenizer.decode(ids, { skipSpecial: true })
    const before = text(this.#ids.slice(0, this.#settled))
    const whole = text(this.#ids)
    // Where the text before is changed by what follows, it was an incomplete character of the prompt.
    return whole.startsWith(before) ? whole.slice(before.length) : whole.slice(Math.min(whole.length, before.length))
  }

  #settle(): void {
    this.#ids = this.#ids.slice(Math.max(0, Math.min(this.#settled, this.#ids.length - CONTEXT)))
    this.#settled = this.#ids.length
  }

  #release(more: string, isLast: boolean): string {
    if (this.#stopped) return ''
    const text = this.#held + more
    const at = Math.min(...this.#stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0))
    this.#stopped = Number.isFinite(at)
    const end = this.#stopped ? at : isLast ? text.length : text.length - this.#begun(text)
    this.#held = this.#stopped ? '' : text.slice(end)
    const out = text.slice(0, end)
    this.#text += out
    return out
  }

  /** Characters at the end of a text that a stop begins with. */
  #begun(text: string): number {
    const lengths = this.#stops.map((stop) => {
      for (let length = Math.min(stop.length - 1, text.length); length > 0; length--)
        if (text.endsWith(stop.slice(0, length))) return length
      return 0
    })
    return Math.max(0, ...lengths)
  }
}
