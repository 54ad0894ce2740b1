import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml'
import { type Position, RecipeError } from '../util/errors.ts'

export type Path = readonly (string | number)[]

/** Whether an error is about a key itself (a word that is not known) or about what it holds. */
export type Spot = 'key' | 'value'

/** A recipe's text, read, with the way back from a path in its value to a line and column. */
export interface YamlSource {
  readonly value: unknown
  /** An error that points at `path`, or at the nearest thing around it that is written in the text. `also` follows the source frame. */
  errorAt(path: Path, message: string, spot?: Spot, also?: readonly string[]): RecipeError
}

/** Recipes are a few kilobytes; what is larger is something else. In characters. */
const LARGEST = 1 << 20
/** How often aliases may expand: enough for shared option blocks, too little for a bomb. */
const MOST_ALIASES = 100

function frame(text: string, { line, column }: Position): string {
  const lines = text.split('\n')
  const width = String(line + 1).length
  const number = (n: number | '') => String(n).padStart(width)
  const shown = [line - 1, line, line + 1]
    .filter((n) => n >= 1 && n <= lines.length && (n === line || lines[n - 1]?.trim() !== ''))
    .map((n) => `${n === line ? '>' : ' '} ${number(n)} | ${lines[n - 1]?.replace(/\r$/, '')}`)
  const caret = `  ${number('')} | ${' '.repeat(column - 1)}^`
  const at = shown.findIndex((row) => row.startsWith('>'))
  return [...shown.slice(0, at + 1), caret, ...shown.slice(at + 1)].join('\n')
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
}

/** Offset in the text of what a path leads to. Stops at the last step that is written there: merged keys and defaults are not. */
function offsetOf(document: Document.Parsed, path: Path, spot: Spot): number {
  let node: unknown = document.contents
  let offset = document.contents?.range?.[0] ?? 0
  for (const [depth, step] of path.entries()) {
    const resolved = isAlias(node) ? node.resolve(document) : node
    const pair = isMap(resolved) ? resolved.items.find((item) => keyText(item) === String(step)) : undefined
    const next: unknown = pair ? pair.value : isSeq(resolved) ? resolved.items[Number(step)] : undefined
    const key = pair?.key as Node | undefined
    const value = next as Node | undefined
    const place = (spot === 'key' && depth === path.length - 1) || !value?.range || isNothing(value) ? (key ?? value) : value
    if (!place?.range) break
    offset = place.range[0]
    node = next
  }
  return offset
}

/** `key:` with nothing after it is a scalar without text; its key is the better place to point at. */
function isNothing(node: Node): boolean {
  return isScalar(node) && node.value === null && node.range?.[0] === node.range?.[1]
}

function syntaxProblem(text: string, error: { code: string; message: string; pos: [number, number] }): string {
  const found = /^("[^"]*"|'[^']*'|[^:\s]+)/.exec(text.slice(error.pos[0]))?.[0]
  if (error.code === 'DUPLICATE_KEY') {
    return `Cannot read recipe: found key ${found} twice in one mapping, expected it once (use a list, \`- ${found}: {...}\`, for two of a kind)`
  }
  return `Cannot read recipe: ${error.message}`
}

function tagProblem(text: string, offset: number): string {
  const tag = text.slice(offset).split(/\s/)[0]
  const hint = tag?.startsWith('!!python') ? ' (llm-compressor writes such tags for some values; put the plain value in its place)' : ''
  return `Cannot read recipe: found tag ${tag}, expected plain values${hint}`
}

/**
 * Reads YAML or JSON. `label` names the source in errors. Errors: RecipeError with line, column and frame for bad syntax, a key given
 * twice, tags, aliases that expand too far, or more than a mebibyte of text.
 */
export function parseYaml(text: string, label: string): YamlSource {
  if (text.length > LARGEST)
    throw new RecipeError(`Cannot read recipe ${label}: found ${text.length} characters, expected at most ${LARGEST}`)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: true })
  const at = (offset: number, message: string, also: readonly string[] = []) => {
    const { line, col } = lines.linePos(offset)
    const position = { file: label, line: Math.max(1, line), column: Math.max(1, col) }
    return new RecipeError(message, position, [frame(text, position), ...also].join('\n'))
  }
  const [error] = document.errors
  if (error) throw at(error.pos[0], syntaxProblem(text, error))
  const [warning] = document.warnings
  if (warning) throw at(warning.pos[0], tagProblem(text, warning.pos[0]))
  return {
    value: toValue(document, label),
    errorAt: (path, message, spot = 'value', also = []) => at(offsetOf(document, path, spot), message, also),
  }
}

function toValue(document: Document.Parsed, label: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES })
  } catch (error) {
    throw new RecipeError(
      `Cannot read recipe ${label}: ${error instanceof Error ? error.message : error}, expected fewer than ${MOST_ALIASES} aliases`,
    )
  }
}
