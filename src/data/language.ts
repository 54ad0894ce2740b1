import { franc } from 'franc-min'

/** Enough to tell a language by its trigrams, little enough to cost nothing. */
const SAMPLE = 1000

/** A text's language as an English name (`English`, `Japanese`), by its beginning; null where none can be told, as for numbers. */
export function languageOf(text: string): string | null {
  const code = franc(text.slice(0, SAMPLE))
  if (code === 'und') return null
  return new Intl.DisplayNames(['en'], { type: 'language' }).of(code) ?? code
}
