import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { didYouMean } from '../util/nearest.ts'
import { SchemeError } from './scheme-error.ts'

/** How the ranges of weights are found. llm-compressor's other names come to one of these for weights, which are seen once. */
export type WeightObserver = 'memoryless_minmax' | 'memoryless_mse' | 'imatrix_mse' | 'nvfp4_expanded_mse' | 'nvfp4_expanded_imatrix'

/** How the ranges of activations are found over the calibration rows: of all rows, as a moving average, of the last row. */
export type ActivationObserver = 'static_minmax' | 'minmax' | 'memoryless_minmax'

/** A grid search for ranges: `grid` steps from `expand` times the range downward by `maxshrink` of it, for the least Σ |error|^norm. */
export interface SearchSettings {
  readonly maxshrink: number
  readonly grid: number
  readonly norm: number
  readonly expand: number
  /** imatrix only: missing or unusable input statistics are an error instead of leading to equal weights. */
  readonly strict: boolean
}

const MSE = { maxshrink: 0.2, grid: 100, norm: 2.4, expand: 1, strict: false }
/** From 1.8 times the range down to 0.8 times. */
const EXPANDED = { maxshrink: 1 - 0.8 / 1.8, grid: 200, norm: 2.4, expand: 1.8, strict: false }

/** The defaults of llm-compressor 0.14 (`observers/mse.py`, `observers/imatrix.py`). */
const SEARCHES: Readonly<Record<Exclude<WeightObserver, 'memoryless_minmax'>, SearchSettings>> = {
  memoryless_mse: MSE,
  imatrix_mse: { maxshrink: 0.95, grid: 20, norm: 3, expand: 1, strict: false },
  nvfp4_expanded_mse: EXPANDED,
  nvfp4_expanded_imatrix: EXPANDED,
}

const WEIGHT_NAMES: Readonly<Record<string, WeightObserver>> = {
  memoryless_minmax: 'memoryless_minmax',
  minmax: 'memoryless_minmax',
  static_minmax: 'memoryless_minmax',
  mse: 'memoryless_mse',
  memoryless_mse: 'memoryless_mse',
  imatrix_mse: 'imatrix_mse',
  nvfp4_expanded_mse: 'nvfp4_expanded_mse',
  fouroversix: 'nvfp4_expanded_mse',
  nvfp4_expanded_imatrix: 'nvfp4_expanded_imatrix',
}
const ACTIVATION_NAMES: readonly ActivationObserver[] = ['static_minmax', 'minmax', 'memoryless_minmax']

/** What a setting may be. */
interface Setting {
  readonly fits: (value: unknown) => boolean
  readonly expected: string
}

const number =
  (least: number, most: number) =>
  (value: unknown): boolean =>
    typeof value === 'number' && value >= least && value <= most

const SEARCH: Readonly<Record<string, Setting>> = {
  maxshrink: { fits: number(0, 1), expected: 'a number from 0 to 1' },
  grid: { fits: number(1, 10_000), expected: 'a number from 1 to 10000' },
  // The range of the search kernels.
  norm: { fits: number(1, 8), expected: 'a number from 1 to 8' },
  expand: { fits: number(1, 100), expected: 'a number from 1 to 100' },
  patience: { fits: number(0, 1e6), expected: 'a number of at least 0' },
}
const AVERAGE: Readonly<Record<string, Setting>> = {
  averaging_constant: { fits: number(Number.MIN_VALUE, 1), expected: 'a number above 0, at most 1' },
}
/** With `patience`, llm-compressor's early stopping; accepted and without effect, since the whole grid is searched here. */
const BUFFER: Readonly<Record<string, Setting>> = {
  triton_error_buffer: { fits: number(Number.MIN_VALUE, 1e6), expected: 'a positive number' },
}
const STRICT: Readonly<Record<string, Setting>> = {
  strict: { fits: (value) => typeof value === 'boolean', expected: 'true or false' },
}

/** The settings of each observer, by llm-compressor's name. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, Setting>>>> = {
  memoryless_minmax: {},
  static_minmax: {},
  minmax: AVERAGE,
  mse: { ...SEARCH, ...BUFFER, ...AVERAGE },
  memoryless_mse: { ...SEARCH, ...BUFFER },
  nvfp4_expanded_mse: { ...SEARCH, ...BUFFER },
  fouroversix: { ...SEARCH, ...BUFFER },
  imatrix_mse: { ...SEARCH, ...STRICT },
  nvfp4_expanded_imatrix: { ...SEARCH, ...STRICT },
}

function refuse(key: string, message: string): never {
  throw new SchemeError(message, [key])
}

function checkSettings(observer: string, kwargs: Readonly<Record<string, unknown>>): void {
  const known = SETTINGS[observer] ?? {}
  const names = Object.keys(known)
  for (const [key, value] of Object.entries(kwargs)) {
    const setting = Object.hasOwn(known, key) ? known[key] : undefined
    if (!setting) {
      const expected = names.length === 0 ? `none: ${observer} has no settings` : names.join(', ')
      refuse('observer_kwargs', `Cannot use observer_kwargs of ${observer}: found ${key}${didYouMean(key, names)}, expected ${expected}`)
    }
    if (!setting.fits(value)) {
      refuse(
        'observer_kwargs',
        `Cannot use observer_kwargs of ${observer}: found ${key} ${JSON.stringify(value)}, expected ${setting.expected}`,
      )
    }
  }
}

/** What an observer was asked to be, as it will stand in config.json. */
type Observed = Pick<QuantizationArgs, 'observer' | 'observer_kwargs'>

/**
 * The observer of weights by the name it has here (null: the modifier's own choice), with its settings checked. Averages over several looks
 * at a weight come to one look, so `averaging_constant` is dropped. Errors: SchemeError naming `observer` or `observer_kwargs`.
 */
export function weightObserver(name: unknown, kwargs: Readonly<Record<string, unknown>>): Observed {
  if (name === null && Object.keys(kwargs).length === 0) return { observer: null, observer_kwargs: {} }
  const asked = name === null ? 'memoryless_minmax' : String(name)
  const observer = Object.hasOwn(WEIGHT_NAMES, asked) ? WEIGHT_NAMES[asked] : undefined
  if (!observer) {
    const names = Object.keys(WEIGHT_NAMES)
    refuse('observer', `Cannot use observer: found ${JSON.stringify(name)}${didYouMean(asked, names)}, expected one of ${names.join(', ')}`)
  }
  checkSettings(asked, kwargs)
  const { averaging_constant: _, ...kept } = kwargs
  return { observer, observer_kwargs: kept }
}

/**
 * The observer of activations with stored ranges (null: the moving average, llm-compressor's default), with its settings checked.
 * Errors: SchemeError naming `observer` or `observer_kwargs`.
 */
export function activationObserver(name: unknown, kwargs: Readonly<Record<string, unknown>>): Observed {
  const asked = name === null ? 'minmax' : String(name)
  const observer = ACTIVATION_NAMES.find((known) => known === asked)
  if (!observer) {
    const found = JSON.stringify(name) + (Object.hasOwn(WEIGHT_NAMES, asked) ? ', which is for weights here' : '')
    refuse(
      'observer',
      `Cannot use observer: found ${found}${didYouMean(asked, ACTIVATION_NAMES)}, expected one of ${ACTIVATION_NAMES.join(', ')}`,
    )
  }
  checkSettings(asked, kwargs)
  return { observer, observer_kwargs: { ...kwargs } }
}

/** The grid search that a weight's observer makes, null for minimum and maximum. */
export function searchSettings({ observer, observer_kwargs: kwargs }: QuantizationArgs): SearchSettings | null {
  const canonical = WEIGHT_NAMES[observer ?? 'memoryless_minmax']
  if (canonical === undefined || canonical === 'memoryless_minmax') return null
  const defaults = SEARCHES[canonical]
  const set = Object.entries(defaults).map(([key, value]) => [key, kwargs[key] ?? value])
  return Object.fromEntries(set)
}

/** Whether a weight's observer weighs errors by the inputs: by the mean square of each input channel. */
export function observesInputs({ observer }: QuantizationArgs): boolean {
  return observer === 'imatrix_mse' || observer === 'nvfp4_expanded_imatrix'
}

/** Whether a scheme stores something about the inputs or outputs of a linear, or weighs by them: then calibration rows are needed. */
export function needsInputs({ weights, input_activations: inputs, output_activations: outputs }: QuantizationScheme): boolean {
  const isStored = (args: QuantizationArgs | null) => args !== null && args.dynamic !== true
  return isStored(inputs) || isStored(outputs) || (weights !== null && observesInputs(weights))
}
