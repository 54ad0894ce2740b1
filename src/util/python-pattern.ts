/** Python's spellings that JavaScript has otherwise, outside of character classes. */
const PYTHON: readonly (readonly [RegExp, string])[] = [
  [/^\(\?P</, '(?<'],
  [/^\(\?P=(\w+)\)/, '\\k<$1>'],
  [/^\\A/, '^'],
  [/^\\Z/, '$'],
]

function translate(pattern: string): string {
  let out = ''
  let inClass = false
  for (let i = 0; i < pattern.length; ) {
    const rest = pattern.slice(i)
    const known = inClass ? undefined : PYTHON.find(([from]) => from.test(rest))
    if (known) {
      const piece = (known[0].exec(rest) ?? [''])[0]
      out += piece.replace(known[0], known[1])
      i += piece.length
      continue
    }
    const length = rest[0] === '\\' ? 2 : 1
    if (length === 1 && rest[0] === '[') inClass = true
    if (length === 1 && rest[0] === ']') inClass = false
    out += rest.slice(0, length)
    i += length
  }
  return out
}

/**
 * A Python pattern as a JavaScript expression that matches from the start of a name, as `re.match` does, and not to its end. Errors:
 * SyntaxError for what is no regular expression.
 */
export function pythonPattern(pattern: string): RegExp {
  const ignoreCase = pattern.startsWith('(?i)')
  return new RegExp(`^(?:${translate(ignoreCase ? pattern.slice(4) : pattern)})`, ignoreCase ? 'i' : '')
}
