import { datasetRule, rowModeRule } from '../data/load-rows.ts'
import { ENGINES } from '../engine/engine.ts'
import { engineRule } from '../engine/open.ts'
import { precisionRule } from '../engine/precision.ts'
import { threadsRule } from '../kernels/open.ts'
import {
  checkFolder,
  checkOptions,
  flag,
  folder,
  handler,
  isObject,
  type Rule,
  type Rules,
  signal,
  text,
  whole,
} from '../util/check-options.ts'
import { memoryRule } from './memory-budget.ts'
import { FORMATS } from './written-format.ts'

/** The options that say what calibrates, and where the hub comes in. */
export const CALIBRATION: Rules = {
  dataset: datasetRule,
  datasetConfig: text('the name of a subset'),
  split: text('the name of a split'),
  textColumn: text('the name of a column'),
  rows: rowModeRule,
  numCalibrationSamples: whole(1),
  maxSeqLength: whole(2),
  seed: whole(0, 2 ** 32 - 1),
  localFilesOnly: flag,
  onDownload: handler,
  signal,
}

const formatRule: Rule = { expected: FORMATS.join(', '), fits: (value) => FORMATS.some((format) => format === value) }

/** The options of `oneshot`; `planRun` takes the same ones, and has no use for some. */
const ONESHOT: Rules = {
  model: { ...folder, required: true },
  recipe: {
    expected: 'a file, a name, YAML text or an object',
    fits: (value) => (typeof value === 'string' ? value.trim() !== '' : typeof value === 'object' && value !== null),
    required: true,
  },
  output: text('the path of the folder to write'),
  overwrite: flag,
  format: formatRule,
  pushToHub: text('org/name of a repository on the hub'),
  private: flag,
  strict: flag,
  maxMemory: memoryRule,
  modifiers: {
    expected: 'a list of modifiers, packages or paths',
    fits: (value) => Array.isArray(value) && value.every((item) => isObject(item) || (typeof item === 'string' && item.trim() !== '')),
  },
  ...CALIBRATION,
  engine: engineRule,
  threads: threadsRule,
  precision: precisionRule,
  stop: signal,
  restart: flag,
  allowFallback: flag,
  onProgress: handler,
}

const REBUILD: Rules = {
  layer: {
    expected: "a layer's number or name",
    fits: (value) => Number.isInteger(value) || (typeof value === 'string' && value.trim() !== ''),
  },
  against: folder,
  dataset: datasetRule,
  engine: { expected: ENGINES.join(', '), fits: (value) => typeof value === 'string' && ENGINES.some((name) => name === value) },
  threads: threadsRule,
  modifiers: ONESHOT.modifiers,
  localFilesOnly: flag,
  onDownload: handler,
  signal,
  onProgress: handler,
}

/** Checks the arguments of `rebuild`. Errors: UserError that names the argument or option. */
export function checkRebuild(checkpoint: unknown, options: unknown): void {
  checkFolder('rebuild', checkpoint)
  checkOptions('rebuild', options, REBUILD)
}

const CONVERT: Rules = {
  format: { ...formatRule, required: true },
  output: ONESHOT.output,
  overwrite: flag,
  localFilesOnly: flag,
  onDownload: handler,
  signal,
  onProgress: handler,
}

/** Checks the arguments of `convert`. Errors: UserError that names the argument or option. */
export function checkConvert(checkpoint: unknown, options: unknown): void {
  checkFolder('convert', checkpoint)
  checkOptions('convert', options, CONVERT)
}

/** Checks the options of `oneshot` or `planRun` before anything is done with them. Errors: UserError that names the option. */
export function checkOneshot(options: unknown, call = 'oneshot'): void {
  checkOptions(call, options, ONESHOT)
}
