/** A value of the jinja package while a template runs. */
interface TemplateValue {
  readonly type: string
  readonly value: unknown
  toString(): string
}

/**
 * A value as Python's `str` has it, which is what Jinja prints: `True`, `None`, `['user', 1.0]`. Nothing for what is undefined.
 * Errors: Error for what Python would print with an address, such as a function.
 */
export function pythonText(value: TemplateValue): string {
  if (value.type === 'StringValue') return String(value.value)
  return value.type === 'UndefinedValue' ? '' : represented(value)
}

/** Python's `repr`. */
function represented(item: TemplateValue): string {
  const { type, value } = item
  switch (type) {
    case 'StringValue':
      return quoted(String(value))
    case 'BooleanValue':
      return value ? 'True' : 'False'
    case 'NullValue':
      return 'None'
    case 'UndefinedValue':
      return 'Undefined'
    case 'IntegerValue':
    case 'FloatValue':
      return item.toString()
    case 'ArrayValue':
      return `[${(value as TemplateValue[]).map(represented).join(', ')}]`
    case 'TupleValue': {
      const items = (value as TemplateValue[]).map(represented)
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`
    }
    case 'ObjectValue':
      return `{${[...(value as Map<string, TemplateValue>)].map(([key, own]) => `${quoted(key)}: ${represented(own)}`).join(', ')}}`
    default:
      throw new Error(`it prints a ${type.replace(/Value$/, '').toLowerCase()}`)
  }
}

const SHORT: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** In single quotes, or in double ones where that saves escapes; what cannot be printed by its number (CPython's unicode_repr). */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const body = text.replace(/[\\\n\r\t']|[\p{C}\p{Z}]/gu, (character) => {
    if (character === ' ') return character
    if (character === "'") return quote === "'" ? "\\'" : character
    return SHORT[character] ?? byNumber(character.codePointAt(0) ?? 0)
  })
  return quote + body + quote
}

function byNumber(code: number): string {
  const hex = code.toString(16)
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}
