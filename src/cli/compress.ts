import { existsSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { parseRepoId } from '../hub/repo-id.ts'
import { UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { wholeNumber } from './flags.ts'
import { compressModel } from './oneshot.ts'
import { addRunOptions, LENGTH_HELP, ROWS_HELP, type RunFlags } from './run-options.ts'
import { bothSpellings, MODEL_HELP } from './shared-options.ts'

/** The legal values of `--compression_type`: recipes of these names come with the package. */
const COMPRESSION_TYPES = ['FP8-W8A8', 'INT8-W8A16', 'INT8-W8A8', 'INT8-W8A16-RTN', 'INT4-W4A16', 'INT4-W4A16-AWQ'] as const

interface Flags extends RunFlags {
  model_id?: string
  modelId?: string
  compression_type?: string
  compressionType?: string
  num_calibration_samples?: number
  numCalibrationSamples?: number
  max_sequence_length?: number
  maxSequenceLength?: number
}

const HELP = `
Types:
  FP8-W8A8         8-bit floats, inputs too; needs no data
  INT8-W8A16       8-bit integers by GPTQ
  INT8-W8A8        8-bit integers, inputs too, by SmoothQuant and GPTQ
  INT8-W8A16-RTN   8-bit integers by plain rounding; needs no data
  INT4-W4A16       4-bit integers by GPTQ
  INT4-W4A16-AWQ   4-bit integers with zero points by AWQ

Each is a recipe: llmpress oneshot MODEL --recipe TYPE does the same. Flags may be written with dashes too (--model-id).

Examples:
  $ llmpress compress --model_id ./llama3_8b --compression_type INT4-W4A16      # writes ./llama3_8b-INT4-W4A16
  $ llmpress compress --model_id ./llama3_8b --compression_type FP8-W8A8 --output ./out`

/** `llmpress compress --model_id M --compression_type T`: one of six usual compressions, by name. */
export function addCompress(program: Command): void {
  const command = program
    .command('compress')
    .summary('compress a model by one of six types')
    .description(
      'Compresses a model by the name of a compression type and writes a compressed-tensors checkpoint into the current folder, or where --output says.',
    )
  const options = [
    ...bothSpellings('model_id', '<model>', MODEL_HELP),
    ...bothSpellings('compression_type', '<type>', 'one of the types below; case does not count'),
    ...bothSpellings('num_calibration_samples', '<n>', ROWS_HELP, wholeNumber(1)),
    ...bothSpellings('max_sequence_length', '<n>', LENGTH_HELP, wholeNumber(2)),
  ]
  for (const option of options) command.addOption(option)
  addRunOptions(command, './{model name}-{compression_type}').addHelpText('after', HELP).action(runCompress)
}

async function runCompress(flags: Flags): Promise<void> {
  const { model_id, modelId, compression_type, compressionType, num_calibration_samples, max_sequence_length, maxSequenceLength, ...rest } =
    flags
  const model = required('--model_id', modelId ?? model_id, MODEL_HELP)
  const recipe = typeOf(required('--compression_type', compressionType ?? compression_type, `one of ${COMPRESSION_TYPES.join(', ')}`))
  const numCalibrationSamples = rest.numCalibrationSamples ?? num_calibration_samples
  const maxSeqLength = maxSequenceLength ?? max_sequence_length
  await compressModel(model, {
    ...rest,
    recipe,
    output: rest.output ?? `${nameOf(model)}-${recipe}`,
    ...(numCalibrationSamples !== undefined && { numCalibrationSamples }),
    ...(maxSeqLength !== undefined && { maxSeqLength }),
  })
}

/** In the current folder, as `oneshot` writes: a folder of models may be shared, or hold what must not be added to. */
function nameOf(model: string): string {
  const repo = existsSync(model) ? null : parseRepoId(model, 'model')
  return resolve(basename(repo ? repo.name : resolve(model)))
}

function required(flag: string, value: string | undefined, expected: string): string {
  if (value === undefined) throw new UserError(`Cannot compress: found no ${flag}, expected ${expected}.`)
  return value
}

/** A type as it is spelled. Errors: UserError that lists the types. */
function typeOf(text: string): string {
  const found = COMPRESSION_TYPES.find((type) => type.toLowerCase() === text.toLowerCase())
  if (found) return found
  throw new UserError(
    `Cannot use compression type "${text}": no such type${didYouMean(text, COMPRESSION_TYPES)}, expected one of ${COMPRESSION_TYPES.join(', ')}`,
  )
}
