import fc from 'fast-check'

/** A change at a place in a JSON value: the place is drawn by a path of choices, so that it shrinks. */
export interface Mutation {
  readonly steps: readonly number[]
  readonly action: 'replace' | 'remove' | 'repeat' | 'rename'
  readonly value: unknown
}

/** Values that readers trip over: wrong types, numbers at the ends of every range, names that objects have anyway, deep and long things. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  '',
  '../../etc/passwd',
  '/etc/passwd',
  '__proto__',
  'constructor',
  '\u0000',
  'x'.repeat(10_000),
  '(a+)+$',
  0,
  -1,
  0.5,
  1e9,
  2 ** 31,
  2 ** 53,
  1e308,
  -1e308,
  [],
  {},
  [[]],
  [null],
  { constructor: 1 },
  JSON.parse('{"__proto__": {"a": 1}}'),
  Array.from({ length: 1000 }, (_, i) => i),
  JSON.parse('['.repeat(50) + ']'.repeat(50)),
]

/** One to three mutations. */
export const mutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    steps: fc.array(fc.nat(1000), { minLength: 1, maxLength: 6 }),
    action: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'repeat', 'rename'),
    value: fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue({ maxDepth: 2 })),
  }),
  { minLength: 1, maxLength: 3 },
)

/** A copy of a JSON value with mutations applied. */
export function mutate(original: unknown, changes: readonly Mutation[]): unknown {
  const copy = structuredClone(original)
  for (const change of changes) apply(copy, change)
  return copy
}

function apply(root: unknown, { steps, action, value }: Mutation): void {
  let parent = root
  for (const [depth, step] of steps.entries()) {
    if (typeof parent !== 'object' || parent === null) return
    const keys = Object.keys(parent)
    if (keys.length === 0) return
    const key = keys[step % keys.length]
    const holder = parent as Record<string, unknown>
    const child = holder[key]
    const isLast = depth === steps.length - 1 || typeof child !== 'object' || child === null
    if (!isLast) {
      parent = child
      continue
    }
    // A copy: a later mutation may change it, or put it into itself.
    if (action === 'replace') holder[key] = structuredClone(value)
    else if (action === 'remove') delete holder[key]
    else if (action === 'repeat') holder[`${key}${key}`] = child
    else {
      delete holder[key]
      holder[typeof value === 'string' ? value : `${key}_`] = child
    }
    return
  }
}

/** Cuts and puts in characters, so that a text is damaged below the level of its syntax. */
export const edits: fc.Arbitrary<{ at: number; drop: number; insert: string }[]> = fc.array(
  fc.record({
    at: fc.nat(1_000_000),
    drop: fc.nat(20),
    insert: fc.oneof(
      fc.constantFrom(
        '"',
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '- ',
        '\n',
        '\n  ',
        '&a ',
        '*a',
        '<<: ',
        '!!js/function ',
        '!!python/x ',
        '---\n',
        '\t',
        '#',
        '|',
        '\ufeff',
      ),
      fc.string({ maxLength: 5 }),
    ),
  }),
  { minLength: 1, maxLength: 4 },
)

/** A text with edits applied. */
export function edit(text: string, changes: readonly { at: number; drop: number; insert: string }[]): string {
  return changes.reduce((now, { at, drop, insert }) => {
    const start = at % (now.length + 1)
    return now.slice(0, start) + insert + now.slice(start + drop)
  }, text)
}
