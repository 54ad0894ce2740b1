import type { ErrorObject } from 'ajv'
import { didYouMean } from '../util/nearest.ts'
import type { Path, Spot } from './yaml.ts'

/** What is wrong with one option. */
export interface Problem {
  /** Within the options that were validated. */
  readonly path: Path
  readonly spot: Spot
  readonly message: string
}

type Schema = Readonly<Record<string, unknown>>

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  null: 'null',
}

function bounds(schema: Schema): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`
  const words = [
    minimum !== undefined && `of at least ${minimum}`,
    exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
    maximum !== undefined && `of at most ${maximum}`,
    exclusiveMaximum !== undefined && `below ${exclusiveMaximum}`,
  ].filter(Boolean)
  return words.length > 0 ? ` ${words.join(' and ')}` : ''
}

/** A JSON schema in words: `"auto" or a whole number of at least 1`. */
function describe(schema: Schema): string {
  const branches = schema.anyOf ?? schema.oneOf
  if (Array.isArray(branches)) return [...new Set(branches.map(describe))].join(' or ')
  if ('const' in schema) return JSON.stringify(schema.const)
  if (Array.isArray(schema.enum)) return `one of ${schema.enum.map((value) => JSON.stringify(value)).join(', ')}`
  const types = Array.isArray(schema.type) ? schema.type : [schema.type]
  const words = types.map((type) => TYPE_WORDS[String(type)] ?? 'another value')
  return words.join(' or ') + bounds(schema)
}

function pathOf(error: ErrorObject): (string | number)[] {
  return error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function isBelow(error: ErrorObject, parent: ErrorObject): boolean {
  return error.schemaPath.startsWith(`${parent.schemaPath}/`) && error.instancePath.startsWith(parent.instancePath)
}

/** A branch that was meant: its type fits what is there, so what it complains about lies deeper or in the keys. */
function meantBranch(children: readonly ErrorObject[], parent: ErrorObject): readonly ErrorObject[] | undefined {
  const branches = new Map<string, ErrorObject[]>()
  for (const child of children) {
    const branch = child.schemaPath.slice(parent.schemaPath.length + 1).split('/')[0] ?? ''
    branches.set(branch, [...(branches.get(branch) ?? []), child])
  }
  const unfit = ['type', 'const', 'enum']
  return [...branches.values()].find((branch) => !branch.some((e) => e.instancePath === parent.instancePath && unfit.includes(e.keyword)))
}

/** Of alternatives that all failed ajv reports every branch; keep the one that was meant, else only that none fits. */
function withoutNoise(errors: readonly ErrorObject[]): ErrorObject[] {
  const dropped = new Set<ErrorObject>()
  const alternatives = errors
    .filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
    .sort((a, b) => a.schemaPath.length - b.schemaPath.length)
  for (const parent of alternatives) {
    if (dropped.has(parent)) continue
    const children = errors.filter((error) => isBelow(error, parent))
    const meant = meantBranch(children, parent)
    for (const child of children) if (!meant?.includes(child)) dropped.add(child)
    if (meant) dropped.add(parent)
  }
  return errors.filter((error) => !dropped.has(error))
}

/** A value in one line for messages, at most 60 characters. */
export function shown(value: unknown): string {
  // JSON has no NaN and no infinities, and calls them null.
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

function problem(error: ErrorObject, subject: string): Problem {
  const path = pathOf(error)
  const name = [subject, ...path].join('.')
  const schema = (error.parentSchema ?? {}) as Schema
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params.additionalProperty)
    const known = Object.keys((schema.properties as Schema | undefined) ?? {})
    return {
      path: [...path, key],
      spot: 'key',
      message: `Cannot use ${name}: found key ${shown(key)}${didYouMean(key, known)}, expected one of ${known.join(', ')}`,
    }
  }
  if (error.keyword === 'required') {
    return { path, spot: 'key', message: `Cannot use ${name}: found no "${error.params.missingProperty}", expected it` }
  }
  const known = ['type', 'const', 'enum', 'anyOf', 'oneOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum']
  const expected = known.includes(error.keyword) ? describe(schema) : `it ${error.message}`
  const near =
    typeof error.data === 'string' && Array.isArray(schema.enum)
      ? didYouMean(
          error.data,
          schema.enum.filter((v) => typeof v === 'string'),
        )
      : ''
  return { path, spot: 'value', message: `Cannot use ${name}: found ${shown(error.data)}${near}, expected ${expected}` }
}

/** ajv's findings (of `allErrors` and `verbose`) in words, one per mistake: NaN breaks both bounds. `subject` is the modifier. */
export function problemsOf(errors: readonly ErrorObject[], subject: string): Problem[] {
  const problems = withoutNoise(errors).map((error) => problem(error, subject))
  return problems.filter(({ message }, i) => problems.findIndex((other) => other.message === message) === i)
}
