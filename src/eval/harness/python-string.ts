// What Python's str.strip takes away: other characters than JavaScript's trim, which takes U+FEFF and leaves U+001C to U+001F and U+0085.
const SPACE = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const LEADING = new RegExp(`^${SPACE}+`, 'u')
const TRAILING = new RegExp(`${SPACE}+$`, 'u')

/** `text.strip()` */
export function strip(text: string): string {
  return rstrip(text.replace(LEADING, ''))
}

/** `text.rstrip()` */
export function rstrip(text: string): string {
  return text.replace(TRAILING, '')
}

/** `text.capitalize()`: the first character large, all others small. */
export function capitalize(text: string): string {
  const [first = ''] = text
  // "ﬁ" becomes "Fi": of a character that becomes several, only the first is large.
  const [large = '', ...more] = first.toUpperCase()
  return large + (more.join('') + text.slice(first.length)).toLowerCase()
}

/** `len(text)`: characters, where JavaScript counts those beyond the first 65536 twice. */
export function length(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
