import { type Command, InvalidArgumentError, Option } from 'commander'
import { sizeReport } from '../eval/size-report.ts'
import { FLOAT_NAMES, type FloatName } from '../numerics/dtype-names.ts'
import type { RunRecord } from '../report/record.ts'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { calibrationLines, quantizationLines, roundedLines } from './int8-log.ts'
import { interruptible } from './interrupt.ts'
import { print, printJsonLine } from './output.ts'
import { profiled } from './profile.ts'
import { runProgress } from './progress.ts'
import { addRunOptions, LENGTH_HELP, type RunFlags } from './run-options.ts'
import { sampleRun } from './sample-run.ts'
import { MODEL_HELP } from './shared-options.ts'

interface Flags extends RunFlags {
  model_name: string
  use_bnb: boolean
  symmetry_threshold: number
  epsilon: number
  calibration_samples: number
  strategy: 'tensor' | 'channel'
  scale_dtype?: FloatName
  llm_int8_threshold: number
  maxSeqLength?: number
}

const EXAMPLES = `
Examples:
  $ llmpress int8 --model_name ./Llama-3.1-8B-Instruct
  $ llmpress int8 --model_name ./Llama-3.1-8B-Instruct --use_bnb True
  $ llmpress int8 --model_name ./model --symmetry_threshold 0.5 --calibration_samples 32 --json

The recipe int8-auto does the same, and llm-int8 that of --use_bnb True: llmpress oneshot MODEL --recipe int8-auto.`

/** `llmpress int8 --model_name M`: 8-bit weights with a log of each layer. */
export function addInt8(program: Command): void {
  const command = program
    .command('int8')
    .summary('quantize weights to 8 bits, with a log of each layer')
    .description(
      'Quantizes the weights of all linears but lm_head to 8 bits, symmetrically or with a zero point by the symmetry score of their inputs, and prints what was measured and done for each.',
    )
    .requiredOption('--model_name <model>', MODEL_HELP)
    .addOption(
      new Option('--use_bnb <True|False>', 'LLM.int8 of bitsandbytes instead, without data, as a bitsandbytes checkpoint')
        .default(false)
        .argParser(truth),
    )
    .option('--llm_int8_threshold <x>', 'with --use_bnb: columns of inputs with such a magnitude stay in 16 bits', magnitude, 6)
    .option('--symmetry_threshold <x>', 'symmetric where the score is above this', share, 0.6)
    .option('--calibration_samples <n>', 'rows of calibration data', wholeNumber(1), 100)
    .option('--epsilon <x>', 'added to the standard deviation in the score', positive, 1e-8)
    .addOption(
      new Option('--strategy <of>', 'what shares a scale: each row, or all of a linear').choices(['channel', 'tensor']).default('channel'),
    )
    .addOption(
      new Option('--scale_dtype <dtype>', 'what scales are rounded to and stored as (default: the type of the weights)').choices(
        FLOAT_NAMES,
      ),
    )
    .option('--max-seq-length <n>', LENGTH_HELP, wholeNumber(2))
  addRunOptions(command, './{model name}-int8').addHelpText('after', EXAMPLES).action(runInt8)
}

async function runInt8(
  { json = false, quiet = false, profile, samplePrompt = [], use_bnb: useBnb, ...flags }: Flags,
  command: Command,
): Promise<void> {
  const { oneshot } = await import('../oneshot/oneshot.ts')
  const { model_name: model, symmetry_threshold, epsilon, calibration_samples, strategy, scale_dtype, llm_int8_threshold, ...run } = flags
  const recipe = useBnb
    ? `BitsAndBytesModifier: ${JSON.stringify({ load_in_8bit: true, llm_int8_threshold })}\n`
    : `int8: ${JSON.stringify({ ignore: ['lm_head'], symmetry_threshold, epsilon, calibration_samples, strategy, scale_dtype })}\n`
  const display = openDisplay({ quiet })
  const idle = (useBnb ? OWN_FLAGS : BNB_FLAGS).filter((name) => command.getOptionValueSource(name) === 'cli')
  const { yellow } = colorsFor(process.stderr)
  for (const name of idle) display.say(`${yellow('warning:')} --${name} changes nothing with --use_bnb ${useBnb ? 'True' : 'False'}`)
  const show = runProgress(display)
  const say = (lines: readonly string[]) => {
    if (!json && lines.length > 0) print(lines.join('\n'))
  }
  say([`Loading tokenizer: ${model}`, 'Pad token: none needed, rows are not padded', `Loading model: ${model}`])
  try {
    const record = await profiled(profile, () =>
      interruptible(
        (signal, stop) =>
          oneshot({
            model,
            recipe,
            output: `${nameOf(model)}-${useBnb ? 'llm-int8' : 'int8'}`,
            ...run,
            signal,
            stop,
            onDownload: downloadProgress(display),
            onProgress: (event) => {
              show(event)
              if (json) printJsonLine(event.type === 'done' ? { ...event, ...sizesOf(event.record) } : event)
              if (event.type === 'plan') {
                say([
                  'Model loaded',
                  `Model location: ${event.model}`,
                  useBnb
                    ? `Method: LLM.int8 of bitsandbytes, threshold ${llm_int8_threshold}`
                    : 'Method: INT8, symmetric or asymmetric by the inputs of each linear',
                ])
              }
              if (event.type === 'data') say([`Calibration samples: ${event.rows}`, 'Calibration started'])
              if (event.type === 'linear')
                say([...calibrationLines(event.report), ...quantizationLines(event.report), ...roundedLines(event.report)])
            },
          }),
        'Interrupted: no new checkpoint was left.',
      ),
    )
    await sampleRun(model, record, samplePrompt, run, display)
    say(sizeLines(record))
  } finally {
    display.stop()
  }
}

/** Flags of one method that the other has no use for. */
const OWN_FLAGS = ['symmetry_threshold', 'calibration_samples', 'epsilon', 'strategy', 'scale_dtype']
const BNB_FLAGS = ['llm_int8_threshold']

function nameOf(model: string): string {
  return model
    .replace(/@[^/]*$/, '')
    .replace(/\/+$/, '')
    .replace(/^.*\//, './')
}

const sizesOf = ({ size }: RunRecord) => sizeReport(size.before, size.after)

function sizeLines(record: RunRecord): string[] {
  const entries = Object.entries(sizesOf(record))
  return ['Model Size Information:', ...entries.map(([name, value]) => `  ${name}: ${value.toFixed(2)}`), `Checkpoint: ${record.output}`]
}

function truth(text: string): boolean {
  if (/^(true|1|yes)$/i.test(text)) return true
  if (/^(false|0|no)$/i.test(text)) return false
  throw new InvalidArgumentError('Expected True or False.')
}

function share(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('Expected a number from 0 to 1.')
}

function magnitude(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && Number.isFinite(value)) return value
  throw new InvalidArgumentError('Expected a number of at least 0.')
}

function positive(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value > 0 && Number.isFinite(value)) return value
  throw new InvalidArgumentError('Expected a number above 0.')
}
