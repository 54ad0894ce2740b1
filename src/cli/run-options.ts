import type { Command } from 'commander'
import { builtInDatasets } from '../data/built-in.ts'
import type { EngineName } from '../engine/engine.ts'
import { DEFAULT_DATASET, DEFAULT_ROWS } from '../oneshot/calibration.ts'
import { wholeNumber } from './flags.ts'
import { engineOption, jsonOption, threadsOption } from './shared-options.ts'

/** The values of the options that every command which compresses has. */
export interface RunFlags {
  output?: string
  dataset?: string
  seed?: number
  engine: EngineName | 'auto'
  threads?: number
  overwrite?: boolean
  restart?: boolean
  strict?: boolean
  json?: boolean
  quiet?: boolean
}

export const ROWS_HELP = `rows of calibration data (default: ${DEFAULT_ROWS})`
export const LENGTH_HELP = "tokens per row (default: 2048, or the model's positions where it has fewer)"

/** Adds what every command that compresses can be told. `folder`: where the result goes where nothing is said. */
export function addRunOptions(command: Command, folder: string): Command {
  const names = builtInDatasets('calibration').join(', ')
  return command
    .option('-o, --output <dir>', `the folder to write (default: ${folder})`)
    .option('--dataset <name|file>', `calibration data: ${names}, or a .jsonl, .json or .txt file (default: ${DEFAULT_DATASET}, built in)`)
    .option('--seed <n>', 'draws the rows at random; 0 takes them in order (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .addOption(engineOption())
    .addOption(threadsOption())
    .option('--overwrite', 'replace a checkpoint in the output folder')
    .option('--restart', 'begin again where a run was stopped in the output folder, instead of going on with it')
    .option('--strict', 'treat warnings as errors')
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress')
}
