/**
 * Number literals of a JSON text that JavaScript would write otherwise (`30.0`, `1e-05`), by path: keys and indices joined by a slash.
 * The text must be valid JSON.
 */
export function numberLiterals(text: string): Map<string, string> {
  const literals = new Map<string, string>()
  // Strings, numbers, words and punctuation; what lies between is white space.
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[a-z]+|[{}[\],:]/g) ?? []
  const path: (string | number)[] = []
  let previous = ''
  for (const [i, token] of tokens.entries()) {
    if (token === '{' || token === '[') path.push(token === '[' ? 0 : '')
    else if (token === '}' || token === ']') path.pop()
    else if (token === ',') {
      const last = path.length - 1
      const index = path[last]
      if (typeof index === 'number') path[last] = index + 1
    } else if (tokens[i + 1] === ':' && token.startsWith('"')) path[path.length - 1] = JSON.parse(token) as string
    else if (/^[-\d]/.test(token) && String(Number(token)) !== token && previous !== '') literals.set(path.join('/'), token)
    previous = token
  }
  return literals
}

/**
 * A value as indented JSON whose numbers are written as `literals` has them where the value at the path is still the same: Python's readers
 * tell 30.0 from 30, and some refuse the second where they expect the first.
 */
export function stringifyWith(value: unknown, literals: ReadonlyMap<string, string>, path = '', indent = ''): string {
  const at = (key: string | number) => (path === '' ? String(key) : `${path}/${key}`)
  const deeper = `${indent}  `
  if (typeof value === 'number') {
    const literal = literals.get(path)
    return literal !== undefined && Number(literal) === value ? literal : JSON.stringify(value)
  }
  if (Array.isArray(value)) {
    const items = value.map((item, i) => deeper + stringifyWith(item ?? null, literals, at(i), deeper))
    return items.length === 0 ? '[]' : `[\n${items.join(',\n')}\n${indent}]`
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).filter(([, item]) => item !== undefined)
  const lines = entries.map(([key, item]) => `${deeper}${JSON.stringify(key)}: ${stringifyWith(item, literals, at(key), deeper)}`)
  return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n${indent}}`
}
