import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { findPreset, isPresetName, PRESETS } from '../schemes/presets.ts'
import { RecipeError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { findTangle, tangleProblem } from './yaml.ts'

/** Where a recipe's text came from. */
export interface RecipeText {
  /** The file's base name, the preset's name, or `recipe`. */
  readonly name: string
  /** For error positions: the file as the user gave it, `<recipe text>`, ... */
  readonly label: string
  readonly text: string
  /** Lines of a Markdown file before its front matter, so that positions count from the top of the file. */
  readonly linesBefore: number
  readonly file?: string
}

const EXTENSIONS = ['.yaml', '.yml', '.json', '.md']
const LARGEST_FILE = 4 << 20
/** What a run leaves of its recipe in its folder. */
const WITHIN = 'recipe.yaml'

/** `recipes/` of the package: the same distance from src/recipe and from dist/recipe. */
const SHIPPED = new URL('../../recipes/', import.meta.url)

/** Names of the recipes that come with the package, without extension. */
export async function shippedRecipes(): Promise<string[]> {
  const files = await readdir(SHIPPED).catch(() => [])
  return files.filter((file) => file.endsWith('.yaml')).map((file) => basename(file, '.yaml'))
}

function frontMatter(text: string, file: string): { text: string; linesBefore: number } {
  const lines = text.split('\n')
  const start = lines.findIndex((line) => line.replace(/^\uFEFF/, '').trim() !== '')
  const fence = lines[start]?.replace(/^\uFEFF/, '').trim()
  const end = lines.findIndex((line, i) => i > start && line.trim() === fence)
  if ((fence !== '---' && fence !== '+++') || end < 0) {
    throw new RecipeError(`Cannot read recipe ${file}: found no front matter, expected YAML between two lines of --- at the top`)
  }
  return { text: `${lines.slice(start + 1, end).join('\n')}\n`, linesBefore: start + 1 }
}

async function fromFile(path: string, label: string, name: string): Promise<RecipeText> {
  const { size } = await stat(path)
  if (size > LARGEST_FILE) throw new RecipeError(`Cannot read recipe ${label}: found ${size} bytes, expected at most ${LARGEST_FILE}`)
  const whole = await readFile(path, 'utf8')
  const part = extname(path).toLowerCase() === '.md' ? frontMatter(whole, label) : { text: whole, linesBefore: 0 }
  return { name, label, file: path, ...part }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/** The recipe that a bare preset name stands for, in the shape llm-compressor reads. */
function presetText(preset: string): string {
  return stringify({
    default_stage: { default_modifiers: { QuantizationModifier: { targets: ['Linear'], ignore: ['lm_head'], scheme: preset } } },
  })
}

function unwritable(value: unknown, path: string): string | null {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') return `a ${typeof value} at ${path}`
  if (value === null || typeof value !== 'object') return null
  const prototype = Object.getPrototypeOf(value)
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null)
    return `a ${value.constructor?.name ?? 'class'} at ${path}`
  for (const [key, item] of Object.entries(value)) {
    const found = unwritable(item, `${path}.${key}`)
    if (found) return found
  }
  return null
}

function fromObject(source: object): RecipeText {
  const tangle = findTangle(source)
  if (tangle) throw new RecipeError(tangleProblem('use recipe object', `${tangle.found} at ${['recipe', ...tangle.path].join('.')}`))
  const problem = unwritable(source, 'recipe')
  if (problem) throw new RecipeError(`Cannot use recipe object: found ${problem}, expected plain values that YAML can hold`)
  return { name: 'recipe', label: '<recipe object>', text: stringify(source, { aliasDuplicateObjects: false }), linesBefore: 0 }
}

function looksLikeText(source: string): boolean {
  return source.includes('\n') || /[{[]|:\s|:$/.test(source)
}

/**
 * Finds the text of a recipe: an object, a file (.yaml, .yml, .json, .md), YAML or JSON text, the name of a recipe that comes with the
 * package, or of a preset scheme; case does not count in names. Errors: RecipeError that lists what there is.
 */
export async function readSource(source: string | object): Promise<RecipeText> {
  if (typeof source === 'object') return fromObject(source)
  if (source.includes('\n')) return { name: 'recipe', label: '<recipe text>', text: source, linesBefore: 0 }
  const extension = extname(source).toLowerCase()
  if (await isFile(source)) return fromFile(source, source, basename(source, extname(source)))
  const shipped = await shippedRecipes()
  const found = shipped.find((name) => name.toLowerCase() === source.toLowerCase())
  if (found) return fromFile(fileURLToPath(new URL(`${found}.yaml`, SHIPPED)), `${found}.yaml`, found)
  if (isPresetName(source)) {
    findPreset(source)
    const preset = source.toUpperCase()
    return { name: preset, label: `<preset ${preset}>`, text: presetText(preset), linesBefore: 0 }
  }
  if (await isFolder(source)) {
    const within = (await isFile(join(source, WITHIN))) ? `, such as ${join(source, WITHIN)}` : ''
    throw new RecipeError(`Cannot read recipe ${source}: it is a folder, expected a file${within}`)
  }
  if (EXTENSIONS.includes(extension) && !source.includes('{')) {
    const name = basename(source, extname(source))
    const hint = shipped.includes(name) ? `; a recipe of this name comes with llmpress, ask for "${name}"` : ''
    throw new RecipeError(`Cannot read recipe ${source}: no such file, expected a path from ${process.cwd()}${hint}`)
  }
  if (looksLikeText(source)) return { name: 'recipe', label: '<recipe text>', text: source, linesBefore: 0 }
  throw new RecipeError(
    `Cannot find recipe "${source}"${didYouMean(source, [...shipped, ...Object.keys(PRESETS)])}: neither a file, nor a recipe of llmpress (${shipped.join(', ')}), nor a preset scheme (${Object.keys(PRESETS).join(', ')})`,
  )
}
