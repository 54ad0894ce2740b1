export { formatBytes } from '../util/format-bytes.ts'

/** A duration given in seconds: `0.42 s`, `12.3 s`, `3 min 05 s`, `2 h 05 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
}

/** A share as a percentage of three significant digits: `0.71 %`, `33.1 %`; tiny ones as `1.2e-5 %`, zero as `0 %`. */
export function formatPercent(share: number): string {
  const percent = 100 * share
  if (percent === 0) return '0 %'
  if (Math.abs(percent) < 1e-3) return `${percent.toExponential(1)} %`
  const decimals = Math.min(5, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(percent)))))
  return `${percent.toFixed(decimals)} %`
}

/** A whole number with thousands separated: `24,480`. */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** A count with its noun: `1 layer`, `4 layers`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** Keeps the end of a text that is wider than `width`, which is where names differ: `…experts.13.down_proj`. */
export function clipStart(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`
}

/** A word as a shell reads it back: quoted where it has to be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
