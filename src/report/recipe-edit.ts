import { type Document, isMap, isScalar, isSeq, type Pair, parseDocument, type Scalar, visit, type YAMLMap } from 'yaml'
import { diffLines } from './diff.ts'
import type { DiffLine } from './report-run.ts'

/** The one modifier of a recipe that quantizes, where it has one whose scheme is a preset by name. */
export interface Quantizer {
  readonly algorithm: 'rtn' | 'gptq'
  readonly options: Readonly<Record<string, unknown>>
}

/** What is to be changed about it. */
export interface RecipeEdit {
  readonly algorithm?: 'gptq'
  /** Options to set. */
  readonly set?: Readonly<Record<string, string | number>>
  /** Names to add to `ignore`. */
  readonly ignore?: readonly string[]
}

const NAMES: Readonly<Record<string, Quantizer['algorithm']>> = {
  QuantizationModifier: 'rtn',
  rtn: 'rtn',
  GPTQModifier: 'gptq',
  gptq: 'gptq',
}
const GPTQ: Readonly<Record<string, string>> = { QuantizationModifier: 'GPTQModifier', rtn: 'gptq' }

/** As recipes are usually written. */
const LAYOUT = { flowCollectionPadding: false }

type Found = Pair<Scalar<string>, YAMLMap>

/** Looks a recipe over; null where it has several quantizing modifiers, or one that this cannot edit. */
export function quantizerOf(recipe: string): Quantizer | null {
  const found = find(parseDocument(recipe))
  if (!found?.value) return null
  return { algorithm: NAMES[found.key.value], options: found.value.toJSON() as Record<string, unknown> }
}

/** The recipe with a change, and the lines that differ once both are laid out alike; null where `quantizerOf` is. */
export function editRecipe(recipe: string, { algorithm, set = {}, ignore = [] }: RecipeEdit): { recipe: string; diff: DiffLine[] } | null {
  const before = parseDocument(recipe)
  const after = parseDocument(recipe)
  const found = find(after)
  if (!found?.value) return null
  const options = found.value
  if (algorithm) found.key.value = GPTQ[found.key.value] ?? found.key.value
  for (const [name, value] of Object.entries(set)) options.set(name, value)
  if (ignore.length > 0) {
    const known = options.get('ignore')
    if (isSeq(known)) for (const name of ignore) known.add(after.createNode(name))
    else options.set('ignore', after.createNode([...(typeof known === 'string' ? [known] : []), ...ignore]))
  }
  const text = after.toString(LAYOUT)
  return { recipe: text, diff: diffLines(before.toString(LAYOUT), text) }
}

function find(document: Document): Found | null {
  if (document.errors.length > 0) return null
  const found: Found[] = []
  visit(document, {
    Pair(_, pair) {
      if (isScalar(pair.key) && typeof pair.key.value === 'string' && pair.key.value in NAMES && isMap(pair.value))
        found.push(pair as Found)
    },
  })
  const [only] = found
  return found.length === 1 && typeof only.value?.get('scheme') === 'string' ? only : null
}
