import { existsSync, readFileSync } from 'node:fs'
import type { Rule } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import type { EngineName } from './engine.ts'

/**
 * What factors of the large products are rounded to: those of the forward pass and of the statistics. Sums, and all other arithmetic, are
 * float32 in either.
 */
export const PRECISIONS = ['float32', 'bfloat16'] as const
export type Precision = (typeof PRECISIONS)[number]

/** What oneDNN, which multiplies for TensorFlow, looks at when it is loaded. */
const VARIABLE = 'TF_SET_ONEDNN_FPMATH_MODE'

/** Sets what TensorFlow is loaded with. Has no effect once it is. */
export function preparePrecision(precision: Precision): void {
  if (precision === 'bfloat16') process.env[VARIABLE] = 'BF16'
  else delete process.env[VARIABLE]
}

/** What the TensorFlow of this process was loaded with. */
export function loadedPrecision(): Precision {
  return process.env[VARIABLE] === 'BF16' ? 'bfloat16' : 'float32'
}

/** Errors: UserError for bfloat16 on an engine or a processor that gains nothing by it. */
export function requirePrecision(precision: Precision, engine: EngineName): void {
  if (precision === 'float32') return
  const use = 'expected --precision float32'
  if (engine !== 'native') throw new UserError(`Cannot use bfloat16 products: the ${engine} engine has none, ${use} or --engine native.`)
  if (!multipliesBfloat16()) throw new UserError(`Cannot use bfloat16 products: this processor has no instructions for them, ${use}.`)
}

/**
 * Whether the processor has AMX for bfloat16; only Linux is asked. oneDNN's mode does nothing for float32 products on one that has
 * AVX512_BF16 alone (AMD Zen 5: the same sums and the same speed).
 */
function multipliesBfloat16(): boolean {
  const path = '/proc/cpuinfo'
  return existsSync(path) && /\bamx_bf16\b/.test(readFileSync(path, 'utf8'))
}

/** What a `precision` option may be. */
export const precisionRule: Rule = {
  expected: PRECISIONS.map((name) => JSON.stringify(name)).join(' or '),
  fits: (value) => PRECISIONS.some((name) => name === value),
}
