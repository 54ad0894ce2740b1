import type { Command } from 'commander'
import type { Method } from '../checkpoint/layouts/layout.ts'
import type { RowMode } from '../data/rows.ts'
import type { EngineName } from '../engine/engine.ts'
import type { Precision } from '../engine/precision.ts'
import { DEFAULT_DATASET, DEFAULT_ROWS } from '../oneshot/calibration.ts'
import { DATASET_HELP, datasetConfigOption, rowsOption, splitOption, textColumnOption } from './data-options.ts'
import { wholeNumber } from './flags.ts'
import { profileOption } from './profile.ts'
import { samplePromptOption } from './sample-run.ts'
import {
  engineOption,
  eventsOption,
  formatOption,
  localFilesOption,
  maxMemoryOption,
  precisionOption,
  threadsOption,
} from './shared-options.ts'

/** The values of the options that every command which compresses has. */
export interface RunFlags {
  output?: string
  dataset?: string
  datasetConfig?: string
  split?: string
  textColumn?: string
  rows?: RowMode
  seed?: number
  engine: EngineName | 'auto'
  precision: Precision
  threads?: number
  maxMemory?: number
  localFilesOnly?: boolean
  format?: Method
  overwrite?: boolean
  pushToHub?: string
  private?: boolean
  restart?: boolean
  allowFallback?: boolean
  profile?: string
  samplePrompt?: string[]
  strict?: boolean
  json?: boolean
  quiet?: boolean
}

export const ROWS_HELP = `rows of calibration data (default: ${DEFAULT_ROWS})`
export const LENGTH_HELP = "tokens per row (default: 2048, or the model's positions where it has fewer)"

/** Adds what every command that compresses can be told. `folder`: where the result goes where nothing is said. */
export function addRunOptions(command: Command, folder: string): Command {
  return command
    .option('-o, --output <dir>', `the folder to write (default: ${folder})`)
    .option('--dataset <name|file>', `${DATASET_HELP} (default: ${DEFAULT_DATASET}, built in)`)
    .addOption(datasetConfigOption())
    .addOption(splitOption())
    .addOption(textColumnOption())
    .addOption(rowsOption())
    .option('--seed <n>', 'draws the rows at random; 0 takes them in order (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .addOption(engineOption())
    .addOption(precisionOption())
    .addOption(threadsOption())
    .addOption(maxMemoryOption())
    .addOption(localFilesOption())
    .addOption(formatOption())
    .option(
      '--overwrite',
      'replace a checkpoint in the output folder; without it, one that this same run has made there is the result as it is',
    )
    .option('--push-to-hub <repo>', 'upload the result to org/name on the hub; needs HF_TOKEN')
    .option('--private', 'with --push-to-hub: into a private repository')
    .option('--restart', 'begin again where a run was stopped in the output folder, instead of going on with it')
    .option('--allow-fallback', 'round plainly, and say so, where a modifier gives NaN or changes nothing; else that is an error')
    .option('--strict', 'treat warnings as errors')
    .addOption(profileOption())
    .addOption(samplePromptOption())
    .addOption(eventsOption())
    .option('-q, --quiet', 'no progress')
}
