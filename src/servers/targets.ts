import type { Rule } from '../util/check-options.ts'

/** The servers whose rules are known. */
export const TARGETS = ['vllm', 'transformers', 'sglang'] as const

/** A server whose rules are known. */
export type Target = (typeof TARGETS)[number]

/** For functions that take a target as an option. */
export const targetRule: Rule = { expected: `one of ${TARGETS.join(', ')}`, fits: (value) => TARGETS.some((target) => target === value) }
