import {
  type CollectionTag,
  CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Tags,
  type YAMLSeq,
} from 'yaml'
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
/** Recipes nest less than ten deep; readers that call themselves overflow the stack at some thousands. */
const MOST_LEVELS = 64
/** Widest excerpt of a source line around an error, in characters. */
const FRAME_WIDTH = 120

function frame(text: string, { line, column }: Position): string {
  const lines = text.split('\n')
  // Of long lines (JSON on one line) what lies around the caret, the same columns of each line.
  const start = column > FRAME_WIDTH ? column - 1 - FRAME_WIDTH / 2 : 0
  const excerpt = (source: string) => {
    const cut = source.slice(start, start + FRAME_WIDTH)
    return `${start > 0 ? '…' : ''}${cut}${source.length > start + FRAME_WIDTH ? '…' : ''}`
  }
  const width = String(line + 1).length
  const number = (n: number | '') => String(n).padStart(width)
  const shown = [line - 1, line, line + 1]
    .filter((n) => n >= 1 && n <= lines.length && (n === line || lines[n - 1]?.trim() !== ''))
    .map((n) => `${n === line ? '>' : ' '} ${number(n)} | ${excerpt(lines[n - 1]?.replace(/\r$/, '') ?? '')}`)
  const caret = `  ${number('')} | ${' '.repeat(column - 1 - start + (start > 0 ? 1 : 0))}^`
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
  if (error.code === 'MULTIPLE_DOCS') return 'Cannot read recipe: found a second YAML document after a line of --- or ..., expected one'
  // What the lexer lets pass: many lines, each indented further.
  if (error.message.startsWith('Maximum call stack')) return tangleProblem('read recipe', `more than ${MOST_LEVELS} levels`)
  return `Cannot read recipe: ${error.message}`
}

/** Where the text nests deeper than it may, or null. By the lexer, which does not call itself. */
function tooDeepAt(text: string): number | null {
  let flow = 0
  let block = 0
  let offset = 0
  for (const token of new Lexer().lex(text)) {
    const type = CST.tokenType(token)
    if (type === 'flow-seq-start' || type === 'flow-map-start') flow++
    else if (type === 'flow-seq-end' || type === 'flow-map-end') flow--
    // `- - - x`: each one opens a list. Over several lines every level takes a longer indent, and so the text has no room for thousands.
    else if (type === 'seq-item-ind' || type === 'explicit-key-ind') block++
    else if (type === 'newline') block = 0
    if (flow + block > MOST_LEVELS) return offset
    if (!MARKS.includes(type ?? '')) offset += token.length
  }
  return null
}

/** What the lexer says between the pieces of the text, without being one. */
const MARKS: readonly string[] = ['doc-mode', 'flow-error-end', 'scalar']

/** What makes a value unfit for code that goes down into it: it holds itself, or it is nested too deep. Null for every other value. */
export function findTangle(value: unknown): { path: Path; found: string } | null {
  const parents: unknown[] = []
  const path: (string | number)[] = []
  const visit = (item: unknown): string | null => {
    if (typeof item !== 'object' || item === null) return null
    if (parents.includes(item)) return 'a value that contains itself'
    if (parents.length >= MOST_LEVELS) return `more than ${MOST_LEVELS} levels`
    parents.push(item)
    for (const [key, child] of Array.isArray(item) ? item.entries() : Object.entries(item)) {
      path.push(key)
      const found = visit(child)
      if (found !== null) return found
      path.pop()
    }
    parents.pop()
    return null
  }
  const found = visit(value)
  return found === null ? null : { path, found }
}

/** `found more than 64 levels, expected ...` */
export function tangleProblem(subject: string, found: string): string {
  return `Cannot ${subject}: found ${found}, expected plain values nested at most ${MOST_LEVELS} deep`
}

const PYTHON = 'tag:yaml.org,2002:python/'
const ENUMS = ['ActivationOrdering', 'DynamicType', 'QuantizationStrategy', 'QuantizationType']

/**
 * The tags that llm-compressor leaves in the recipes it saves, for what are plain values to us: an enum is the one word in its list, a
 * tuple is a list. They are read by name; nothing is run. Every other tag is refused.
 */
function customTags(tags: Tags): Tags {
  const plain = (tag: string, resolve: (list: YAMLSeq) => unknown): CollectionTag => ({
    tag,
    collection: 'seq',
    resolve: (list) => resolve(list as YAMLSeq) as Node,
  })
  const enums = ENUMS.map((name) =>
    plain(`${PYTHON}object/apply:compressed_tensors.quantization.quant_args.${name}`, (list) =>
      list.items.length === 1 ? list.items[0] : list,
    ),
  )
  return [...tags, ...enums, plain(`${PYTHON}tuple`, (list) => list)]
}

function tagProblem(text: string, offset: number): string {
  const tag = text.slice(offset).split(/\s/)[0]
  const hint = tag?.startsWith('!!python') ? ' (llm-compressor writes such tags for some values; put the plain value in its place)' : ''
  return `Cannot read recipe: found tag ${tag}, expected plain values${hint}`
}

/**
 * Reads YAML or JSON. `label` names the source in errors. Errors: RecipeError with line, column and frame for bad syntax, a key given
 * twice, a second document, tags, aliases that expand too far or hold themselves, more than 64 levels, or more than a mebibyte of text.
 */
export function parseYaml(text: string, label: string): YamlSource {
  if (text.length > LARGEST)
    throw new RecipeError(`Cannot read recipe ${label}: found ${text.length} characters, expected at most ${LARGEST}`)
  const lines = new LineCounter()
  const at = (offset: number, message: string, also: readonly string[] = []) => {
    const { line, col } = lines.linePos(offset)
    const position = { file: label, line: Math.max(1, line), column: Math.max(1, col) }
    return new RecipeError(message, position, [frame(text, position), ...also].join('\n'))
  }
  const deep = tooDeepAt(text)
  if (deep !== null) {
    // The line counter fills as the parser goes.
    for (let i = 0; i <= text.length; i++) if (i === 0 || text[i - 1] === '\n') lines.addNewLine(i)
    throw at(deep, tangleProblem('read recipe', `more than ${MOST_LEVELS} levels`))
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: true, customTags })
  const [error] = document.errors
  if (error) throw at(error.pos[0], syntaxProblem(text, error))
  const [warning] = document.warnings
  if (warning) throw at(warning.pos[0], tagProblem(text, warning.pos[0]))
  const errorAt: YamlSource['errorAt'] = (path, message, spot = 'value', also = []) => at(offsetOf(document, path, spot), message, also)
  const value = toValue(document, label)
  const tangle = findTangle(value)
  if (tangle) throw errorAt(tangle.path, tangleProblem('read recipe', tangle.found))
  return { value, errorAt }
}

function toValue(document: Document.Parsed, label: string): unknown {
  try {
    return document.toJS({ maxAliasCount: MOST_ALIASES })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const found = /alias count/.test(message) ? 'found aliases that expand too often or contain themselves' : message
    throw new RecipeError(`Cannot read recipe ${label}: ${found}, expected fewer than ${MOST_ALIASES} aliases`)
  }
}
