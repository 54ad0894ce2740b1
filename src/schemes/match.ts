import { createContext, runInContext } from 'node:vm'
import { nearest } from '../util/nearest.ts'
import { pythonPattern } from '../util/python-pattern.ts'
import { SchemeError } from './scheme-error.ts'

/** A module of a model as targets see it: its dotted name and its class, `Linear` or `Embedding`. */
export interface ModuleName {
  readonly name: string
  readonly className: string
}

/** A target or ignore pattern that no module answers to. */
export interface Unmatched {
  readonly pattern: string
  /** Index of the scheme whose target it is; null for an ignore. */
  readonly scheme: number | null
  /** Index within that scheme's targets, or within the ignore list. */
  readonly index: number
  /** What was probably meant, ready to be written instead. */
  readonly nearest: string | undefined
}

export interface TargetMatch {
  /** Module name to index of its scheme, in the order of the modules. Modules without scheme or ignored are absent. */
  readonly assigned: Map<string, number>
  readonly unmatchedTargets: Unmatched[]
  readonly unmatchedIgnores: Unmatched[]
}

const LONGEST_PATTERN = 1000
/** Milliseconds for one pattern over all names. Real patterns take well under one; nested repetition takes for ever. */
const TIME_LIMIT = 2000

/**
 * A Python pattern as a JavaScript expression that matches from the start of a name, as `re.match` does, and not to its end.
 * Errors: SchemeError naming the pattern.
 */
export function pythonRegExp(pattern: string): RegExp {
  if (pattern.length > LONGEST_PATTERN) {
    throw new SchemeError(
      `Cannot use pattern "re:${pattern.slice(0, 40)}…": ${pattern.length} characters, expected at most ${LONGEST_PATTERN}`,
    )
  }
  try {
    return pythonPattern(pattern)
  } catch (error) {
    throw new SchemeError(
      `Cannot use pattern "re:${pattern}": ${error instanceof Error ? error.message : error}, expected a regular expression`,
    )
  }
}

/** Names that a pattern matches. Run in a context with a time limit: a recipe must not hang the program by nested repetition. */
function namesMatching(pattern: string, names: readonly string[]): Set<string> {
  const context = createContext({ expression: pythonRegExp(pattern), names })
  try {
    return new Set<string>(runInContext('names.filter((name) => expression.test(name))', context, { timeout: TIME_LIMIT }))
  } catch {
    throw new SchemeError(`Cannot use pattern "re:${pattern}": no answer after ${TIME_LIMIT} ms, expected one without nested repetition`)
  }
}

/**
 * The names that a pattern of a list stands for: itself, or by `re:` all that match from their start. Errors: SchemeError for a bad one.
 */
export function matchNames(pattern: string, names: readonly string[]): Set<string> {
  if (pattern.startsWith('re:')) return namesMatching(pattern.slice(3), names)
  return new Set(names.filter((name) => name === pattern))
}

/** 0 exact name, 1 regular expression, 2 class: the order in which compressed-tensors prefers targets. */
type Kind = 0 | 1 | 2

function matchesOf(pattern: string, modules: readonly ModuleName[]): Map<string, Kind> {
  const found = new Map<string, Kind>()
  if (pattern.startsWith('re:')) {
    const names = modules.map((module) => module.name)
    for (const name of namesMatching(pattern.slice(3), names)) found.set(name, 1)
    return found
  }
  for (const { name, className } of modules) {
    if (name === pattern) found.set(name, 0)
    else if (className === pattern || pattern === 'Module') found.set(name, 2)
  }
  return found
}

/** `q_proj` matches no full name: what was meant is the pattern of all names that end so. */
function suggestion(pattern: string, modules: readonly ModuleName[]): string | undefined {
  if (pattern.startsWith('re:')) return undefined
  const ending = modules.filter(({ name }) => name.endsWith(`.${pattern}`))
  if (ending.length > 0) return ending.length === 1 ? ending[0]?.name : `re:.*\\.${pattern.replaceAll('.', '\\.')}$`
  const lastPart = (name: string) => name.slice(name.lastIndexOf('.') + 1)
  const classes = new Set(modules.map((module) => module.className))
  const parts = new Set(modules.map((module) => lastPart(module.name)))
  const found = nearest(pattern, [...classes, ...modules.map((module) => module.name), ...parts])
  if (found === undefined || classes.has(found) || modules.some((module) => module.name === found)) return found
  return suggestion(found, modules)
}

interface Rule {
  pattern: string
  scheme: number
  matches: Map<string, Kind>
}

/** The same target in two schemes belongs to the later one; Python's sort order is by code point. */
function rulesOf(schemes: readonly { readonly targets: readonly string[] }[], modules: readonly ModuleName[]): Rule[] {
  const byPattern = new Map<string, Rule>()
  schemes.forEach(({ targets }, scheme) => {
    for (const pattern of targets)
      byPattern.set(pattern, { pattern, scheme, matches: byPattern.get(pattern)?.matches ?? matchesOf(pattern, modules) })
  })
  return [...byPattern.values()].sort((a, b) => (a.pattern < b.pattern ? -1 : 1))
}

function schemeOf(name: string, rules: readonly Rule[]): number | undefined {
  for (const kind of [0, 1, 2]) {
    const rule = rules.find(({ matches }) => matches.get(name) === kind)
    if (rule) return rule.scheme
  }
  return undefined
}

/**
 * Which scheme each module gets, as compressed-tensors decides it (`utils/match.py`): `re:` patterns match from the start of the full
 * name, other targets are full names or classes (`Linear`, `Embedding`, `Module`). Exact names go before patterns before classes;
 * within a kind the alphabet decides, not the order of the recipe. Errors: SchemeError for a pattern that cannot be used.
 */
export function matchTargets(
  modules: readonly ModuleName[],
  schemes: readonly { readonly targets: readonly string[] }[],
  ignore: readonly string[],
): TargetMatch {
  const rules = rulesOf(schemes, modules)
  const ignoreMatches = ignore.map((pattern) => matchesOf(pattern, modules))
  const ignored = new Set(ignoreMatches.flatMap((matches) => [...matches.keys()]))
  const assigned = new Map<string, number>()
  for (const { name } of modules) {
    const scheme = ignored.has(name) ? undefined : schemeOf(name, rules)
    if (scheme !== undefined) assigned.set(name, scheme)
  }
  const silent = new Set(rules.filter(({ matches }) => matches.size === 0).map(({ pattern }) => pattern))
  const unmatchedTargets = schemes.flatMap(({ targets }, scheme) =>
    targets.flatMap((pattern, index) => (silent.has(pattern) ? [{ pattern, scheme, index, nearest: suggestion(pattern, modules) }] : [])),
  )
  const unmatchedIgnores = ignore.flatMap((pattern, index) =>
    ignoreMatches[index]?.size === 0 ? [{ pattern, scheme: null, index, nearest: suggestion(pattern, modules) }] : [],
  )
  return { assigned, unmatchedTargets, unmatchedIgnores }
}
