/** Markup that can go into a page as it is. */
export interface Html {
  readonly markup: string
}

type Part = Html | string | number | null | readonly Part[]

/** A piece of a page: what is put into the template is escaped, unless it is Html itself. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  return { markup: strings.map((text, i) => text + (i < values.length ? markupOf(values[i]) : '')).join('') }
}

/** Trusted markup: assets of this package. */
export function raw(markup: string): Html {
  return { markup }
}

/** JSON for a script element: nothing in it can end the element or begin a comment. */
export function jsonForScript(value: unknown): Html {
  return raw(JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029'))
}

function markupOf(value: Part): string {
  if (value === null) return ''
  if (typeof value === 'string' || typeof value === 'number') return escaped(String(value))
  if (isList(value)) return value.map(markupOf).join('')
  return value.markup
}

function isList(value: Part): value is readonly Part[] {
  return Array.isArray(value)
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;')
}
