import type { Template } from '@huggingface/jinja'
import { pythonText } from './python-text.ts'

/** The name of the function that printed values go through. No template has a variable of that name. */
const PRINTED = 'llmpress_printed'

/** What a rewritten template needs among its variables. */
export const PRINTING: Readonly<Record<string, unknown>> = {
  [PRINTED]: ([value]: Parameters<typeof pythonText>) => pythonText(value),
}

/** Parts of the package's syntax tree that are lists of statements, whose values are printed one after another. */
const BLOCKS = new Set(['body', 'alternate', 'defaultBlock'])

/** What stands in such a list and prints nothing, or a text that is one. */
const PLAIN = new Set(['StringLiteral', 'Set', 'If', 'For', 'Macro', 'Break', 'Continue', 'Comment', 'CallStatement', 'FilterStatement'])

interface Node {
  type: string
  [part: string]: unknown
}

/**
 * Changes a template so that it prints as Python does: the package writes values as JavaScript or JSON, `true` and `["user"]`. Each printed
 * expression, both sides of `~` and what `| string` takes go through `pythonText`. The items that `| join` puts together do not: they are
 * texts in every template seen.
 */
export function printAsPython({ parsed }: Template): void {
  rewrite(parsed)
}

function rewrite(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewrite)
  // An object literal: pairs of expressions.
  if (value instanceof Map) return new Map([...value].map(([key, own]) => [rewrite(key), rewrite(own)]))
  if (!isNode(value)) return value
  for (const [part, own] of Object.entries(value)) {
    const done = rewrite(own)
    value[part] = BLOCKS.has(part) && Array.isArray(done) ? done.map((node) => (PLAIN.has(node.type) ? node : printed(node))) : done
  }
  if (value.type === 'BinaryExpression' && isNode(value.operator) && value.operator.value === '~') {
    value.left = printed(value.left)
    value.right = printed(value.right)
  }
  const text = value.type === 'FilterExpression' && isNode(value.filter) && value.filter.value === 'string'
  return text ? printed(value.operand) : value
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** `llmpress_printed([expression])`: in a list, because the package strips an argument itself of its type, and 1.0 would become 1. */
function printed(expression: unknown): Node {
  const list = { type: 'ArrayLiteral', value: [expression] }
  return { type: 'CallExpression', callee: { type: 'Identifier', value: PRINTED }, args: [list] }
}
