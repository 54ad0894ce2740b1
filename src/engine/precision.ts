import { existsSync, readFileSync } from 'node:fs'
import type { Rule } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import type { EngineName } from './engine.ts'

/**
 * What factors of the large products are rounded to. With AMX: those of the forward pass and of the statistics, whose results stay float32.
 * With AVX512_BF16 alone: those of linears, their outputs, and what attention and gated MLPs make of these. Sums, and all other arithmetic, are
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
  if (!instructions()) throw new UserError(`Cannot use bfloat16 products: this processor has no instructions for them, ${use}.`)
}

/** Whether oneDNN rounds the factors of float32 products in this process. */
export function roundsProducts(): boolean {
  return loadedPrecision() === 'bfloat16' && instructions() === 'AMX'
}

/** Whether outputs of linears are rounded to bfloat16 in this process, beside their factors. */
export function roundsOutputs(): boolean {
  return loadedPrecision() === 'bfloat16' && instructions() === 'AVX512_BF16'
}

let known: 'AMX' | 'AVX512_BF16' | null | undefined

/**
 * The processor's instructions for bfloat16 products; only Linux is asked. oneDNN's mode for float32 products uses AMX only: with AVX512_BF16
 * alone (AMD Zen 5) sums and speed are those of float32, so there tensors themselves are converted (`bfloat16Product`).
 */
function instructions(): 'AMX' | 'AVX512_BF16' | null {
  known ??= instructionsOf('/proc/cpuinfo')
  return known
}

function instructionsOf(path: string): 'AMX' | 'AVX512_BF16' | null {
  const flags = existsSync(path) ? readFileSync(path, 'utf8') : ''
  return /\bamx_bf16\b/.test(flags) ? 'AMX' : /\bavx512_bf16\b/.test(flags) ? 'AVX512_BF16' : null
}

/** What a `precision` option may be. */
export const precisionRule: Rule = {
  expected: PRECISIONS.map((name) => JSON.stringify(name)).join(' or '),
  fits: (value) => PRECISIONS.some((name) => name === value),
}
