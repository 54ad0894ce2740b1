import type { Command } from 'commander'
import type { EngineName } from '../engine/engine.ts'
import { DEFAULT_DATASET, DEFAULT_ROWS } from '../oneshot/calibration.ts'
import { openDisplay } from './display.ts'
import { wholeNumber } from './flags.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { runProgress } from './progress.ts'
import { engineOption, jsonOption, modifiersOption, recipeOption, threadsOption } from './shared-options.ts'
import { closingReport } from './tables.ts'

interface Flags {
  recipe: string
  modifiers?: string[]
  output?: string
  dataset?: string
  numCalibrationSamples?: number
  maxSeqLength?: number
  seed?: number
  engine: EngineName | 'auto'
  threads?: number
  overwrite?: boolean
  strict?: boolean
  json?: boolean
  quiet?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress oneshot ./SmolLM2-135M --recipe gptq-w4a16-g64
  $ llmpress oneshot ./model --recipe my-recipe.yaml --dataset rows.jsonl --num-calibration-samples 128 --output ./out
  $ llmpress oneshot ./model --recipe FP8_DYNAMIC --json > report.json   # no data needed`

/** `llmpress oneshot MODEL --recipe R`: compresses a model. */
export function addOneshot(program: Command): void {
  program
    .command('oneshot')
    .summary('compress a model')
    .description('Compresses a model as a recipe says and writes a compressed-tensors checkpoint.')
    .argument('<model>', 'a checkpoint folder')
    .addOption(recipeOption())
    .addOption(modifiersOption())
    .option('-o, --output <dir>', 'the folder to write (default: ./{model name}-{recipe name})')
    .option('--dataset <name|file>', `calibration data: docs-text, or a .jsonl, .json or .txt file (default: ${DEFAULT_DATASET}, built in)`)
    .option('--num-calibration-samples <n>', `rows of calibration data (default: ${DEFAULT_ROWS})`, wholeNumber(1))
    .option('--max-seq-length <n>', "tokens per row (default: 2048, or the model's positions where it has fewer)", wholeNumber(2))
    .option('--seed <n>', 'draws the rows at random; 0 takes them in order (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .addOption(engineOption())
    .addOption(threadsOption())
    .option('--overwrite', 'replace a checkpoint in the output folder')
    .option('--strict', 'treat warnings as errors')
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action(compressModel)
}

/** Runs `oneshot` with the flags of a command: progress on stderr, the closing table or the record on stdout. */
export async function compressModel(model: string, { json = false, quiet = false, ...flags }: Flags): Promise<void> {
  const { oneshot } = await import('../index.ts')
  const display = openDisplay({ quiet })
  try {
    const record = await interruptible(
      (signal) => oneshot({ model, ...flags, signal, onProgress: runProgress(display) }),
      'Interrupted: no new checkpoint was left.',
    )
    if (json) printJson(record)
    else print(`${quiet ? '' : '\n'}${closingReport(record)}`)
  } finally {
    display.stop()
  }
}
