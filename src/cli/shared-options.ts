import { Option } from 'commander'
import { ENGINES } from '../engine/engine.ts'
import { PRECISIONS } from '../engine/precision.ts'
import { MOST_THREADS } from '../kernels/open.ts'
import { FORMATS } from '../oneshot/written-format.ts'
import { memorySize, wholeNumber } from './flags.ts'

/** `--engine`, for every command that computes. */
export function engineOption(): Option {
  return new Option('--engine <name>', 'what computes; auto takes the best that runs here').choices(['auto', ...ENGINES]).default('auto')
}

/** `--precision`, for commands that calibrate. */
export function precisionOption(): Option {
  const what = 'what the large products are taken in: bfloat16 is faster on the native engine where the processor has AMX or AVX512_BF16'
  return new Option('--precision <type>', what).choices(PRECISIONS).default('float32')
}

/** `--threads`, for every command that computes. */
export function threadsOption(): Option {
  return new Option(
    '--threads <n>',
    `threads to compute with, at most ${MOST_THREADS} (default: all cores); results do not depend on it`,
  ).argParser(wholeNumber(1, MOST_THREADS))
}

/** `--max-memory`, for every command that compresses or plans. */
export function maxMemoryOption(): Option {
  return new Option(
    '--max-memory <size>',
    'memory to stay within, such as 4GB: rows that do not fit wait in a scratch file beside the output; results do not depend on it (default: what the machine has)',
  ).argParser(memorySize)
}

/** `--recipe`, for every command that plans. */
export function recipeOption(): Option {
  return new Option(
    '-r, --recipe <recipe>',
    'a recipe file, the name of a shipped recipe (gptq-w4a16) or a preset (W4A16)',
  ).makeOptionMandatory()
}

/** `--modifiers`, for recipes that name modifiers of the user's own. */
export function modifiersOption(): Option {
  return new Option('--modifiers <module...>', 'your own modifiers that the recipe names: paths or packages that export `modifier`')
}

export const MODEL_HELP = 'a checkpoint folder, or org/name[@revision] on the hub'

/** `--local-files-only`, for every command that takes a model. */
export function localFilesOption(): Option {
  return new Option('--local-files-only', 'take models and datasets of the hub from its cache alone')
}

/** `--json` of commands that compress. */
export function eventsOption(): Option {
  return new Option('--json', 'print what happens to stdout as it happens, one JSON object a line; the last is { type: "done", record }')
}

/** `--json` */
export function jsonOption(): Option {
  return new Option('--json', 'print one JSON document to stdout; where an error prevents it, stdout stays empty')
}

/** A flag with underscores, as in the programs whose flags a command follows, and the same with dashes; `value` is empty for a switch. */
export function bothSpellings(name: string, value: string, description: string, parser?: (text: string) => unknown): Option[] {
  const dashed = name.replaceAll('_', '-')
  const spellings = [
    new Option(`--${name} ${value}`.trim(), description),
    new Option(`--${dashed} ${value}`.trim(), description).hideHelp(),
  ]
  const [first, second] = spellings.map((option) => (parser ? option.argParser(parser) : option))
  return [first.conflicts(second.attributeName()), second]
}

/** `--format`, for every command that compresses or plans. */
export function formatOption(): Option {
  return new Option(
    '--format <format>',
    'whose format the checkpoint is written in: gptq (GPTQModel, AutoGPTQ) and awq (AutoAWQ) take integer weights alone; bitsandbytes comes with BitsAndBytesModifier (default: what the recipe makes, mostly compressed-tensors)',
  ).choices(FORMATS)
}
