export { formatBytes, formatCount, formatPercent, formatSeconds, plural } from '../util/format.js'

/** Keeps the end of a text that is wider than `width`, which is where names differ: `…experts.13.down_proj`. */
export function clipStart(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`
}

/** A word as a shell reads it back: quoted where it has to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
