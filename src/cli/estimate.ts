import { type Command, Option } from 'commander'
import type { Estimate } from '../advice/estimate.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { formatBytes, formatCount } from './format.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP, modifiersOption } from './shared-options.ts'
import { facts, table } from './tables.ts'

interface Flags {
  recipe?: string[]
  modifiers?: string[]
  context?: number
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress estimate ./model
  $ llmpress estimate ./model/config.json --recipe FP8_DYNAMIC gptq-w4a16 --context 32768`

/** `llmpress estimate MODEL`: what it takes in memory, by config.json alone. */
export function addEstimate(program: Command): void {
  program
    .command('estimate')
    .summary('show what a model takes in memory, by its config.json alone')
    .description(
      'Shows what the weights of a model take in 32, 16, 8 and 4 bits and by any recipe, and what its key-value cache takes. Reads config.json only: no weights are needed.',
    )
    .argument('<model>', `${MODEL_HELP}, or its config.json`)
    .option('-r, --recipe <recipe...>', 'recipes to size: files, names of shipped recipes (gptq-w4a16) or presets (FP8_DYNAMIC)')
    .addOption(modifiersOption())
    .addOption(contextOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runEstimate)
}

/** `--context`, for commands that size the key-value cache. */
export function contextOption(): Option {
  return new Option(
    '--context <tokens>',
    'tokens that the key-value cache is to hold (default: 4096, or what the model can hold)',
  ).argParser(wholeNumber(1))
}

async function runEstimate(model: string, { recipe, modifiers, json = false, ...flags }: Flags): Promise<void> {
  const { estimate } = await import('../index.ts')
  const found = await withDownloads((hub) =>
    estimate(model, { ...flags, ...(recipe && { recipes: recipe }), ...(modifiers && { modifiers }), ...hub }),
  )
  if (json) printJson(found)
  else print(describeEstimate(found))
}

function describeEstimate({ model, modelType, parameters, linearParameters, stored, weights, cache }: Estimate): string {
  const { dim } = colorsFor(process.stdout)
  const columns = [
    { title: 'Weights' },
    { title: 'Size', align: 'right' },
    { title: 'Bits each', align: 'right' },
    { title: 'Of the original', align: 'right' },
    { title: 'Saved', align: 'right' },
  ] as const
  const rows = weights.map(({ name, bytes, bitsPerParameter, problem }) =>
    problem === null
      ? [name, formatBytes(bytes), bitsPerParameter.toFixed(2), `${((100 * bytes) / stored).toFixed(1)} %`, saved(stored - bytes)]
      : [name, dim(problem), '', '', ''],
  )
  const entries: [string, string][] = [
    ['Model', `${model} (${modelType})`],
    ['Parameters', `${formatCount(parameters)}, ${formatCount(linearParameters)} of them in linears of the layers`],
    ['Stored', `${formatBytes(stored)}, as config.json says`],
    [
      'Cache',
      cache
        ? `${formatBytes(cache.bytes)} for ${formatCount(cache.context)} tokens in 16 bits, ${formatBytes(cache.bytesPerToken)} each`
        : 'not known for this architecture',
    ],
  ]
  return [table(columns, rows), facts(entries)].join('\n\n')
}

function saved(bytes: number): string {
  return bytes > 0 ? formatBytes(bytes) : ''
}
