import fc from 'fast-check'

/**
 * The same cases in every run, so that a change is judged by what it changes. `LLMPRESS_SEED=random` (or a number) draws others: what they
 * find is mended, and becomes a test of its own.
 */
const asked = process.env.LLMPRESS_SEED ?? '20261123'
if (asked !== 'random') fc.configureGlobal({ seed: Number(asked) })
