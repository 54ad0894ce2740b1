import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { replaceDurably } from '../checkpoint/durable.ts'
import { requireWritable } from '../checkpoint/require-writable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import type { WeightHistograms } from '../eval/weight-histograms.ts'
import { FIGURE_FORMATS, type FigureFormat } from '../report/draw.ts'
import { isWeightsFigure } from '../report/figure-mark.ts'
import { UserError } from '../util/errors.ts'
import { formatNumber } from '../util/format.js'
import { makeFolder } from '../util/make-folder.ts'
import { withDownloads } from './downloads.ts'
import { numberRange, wholeNumber } from './flags.ts'
import { formatCount } from './format.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { table } from './tables.ts'

interface Flags {
  tensor?: string
  against?: string[]
  histogram?: boolean
  range?: [number, number]
  bins?: number
  together?: boolean
  format?: FigureFormat
  output?: string
  overwrite?: boolean
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress weights ./model --tensor model.layers.0.self_attn.q_proj
  $ llmpress weights ./model --histogram --against ./model-gptq-w4a16 -o weights.svg
  $ llmpress weights ./model --tensor model.embed_tokens --histogram --format csv -o embedding.csv`

/** `llmpress weights MODEL`: how weights lie before and after. */
export function addWeights(program: Command): void {
  program
    .command('weights')
    .summary('show how weights lie, before and after')
    .description(
      'Compares the weights of a model with themselves after plain 8-bit quantization (absmax and zero-point, one scale a tensor) and with those of other checkpoints, dequantized.',
    )
    .argument('<model>', MODEL_HELP)
    .option('--tensor <name>', 'one tensor, or the weight of one module (default: all tensors of floats)')
    .option('--against <dir...>', 'other checkpoints of the same model, compressed or not')
    .option('--histogram', 'write the histograms, drawn over each other')
    .addOption(
      new Option('--range <low,high>', 'what the bins divide; weights outside are not counted (default: -2,2)').argParser(numberRange),
    )
    .option('--bins <n>', 'bins of the histograms (default: 150)', wholeNumber(1, 10_000))
    .option('--together', 'all in one panel, instead of one for each pair')
    .addOption(
      new Option('--format <format>', "what the histograms are written as (default: what the output's ending says, or svg)").choices(
        FIGURE_FORMATS,
      ),
    )
    .option('-o, --output <file>', 'the file of the histograms, which are then written (default: weights.FORMAT)')
    .option('--overwrite', 'replace a file of other making')
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runWeights)
}

async function runWeights(model: string, flags: Flags): Promise<void> {
  const { tensor, against, range, bins, histogram = false, together = false, output, localFilesOnly, json = false } = flags
  const format = formatOf(output, flags.format)
  const file = histogram || output !== undefined ? resolve(output ?? `weights.${format}`) : null
  // Known before minutes of work.
  if (file) await requireFree(file, flags.overwrite ?? false)
  const found = await withDownloads(
    async (hub) => {
      const { weightHistograms } = await import('../eval/weight-histograms.ts')
      return weightHistograms(model, {
        ...hub,
        ...(tensor !== undefined && { tensor }),
        ...(against && { against }),
        ...(range && { range }),
        ...(bins !== undefined && { bins }),
        ...(localFilesOnly && { localFilesOnly }),
      })
    },
    `${[model, ...(against ?? [])].join(', ')}: reading ${tensor ?? 'all weights'}, quantizing them to eight bits to compare`,
  )
  if (file) await write(file, await drawn(found, format, together))
  if (json) printJson({ ...found, file })
  else print(`${summary(found)}${file ? `\n\n${file}` : ''}`)
}

/** What is written, by the flag or by the ending of the file. Errors: UserError where they say different things. */
function formatOf(output: string | undefined, said: FigureFormat | undefined): FigureFormat {
  const ending = FIGURE_FORMATS.find((format) => output?.toLowerCase().endsWith(`.${format}`))
  if (said && ending && said !== ending)
    throw new UserError(`Cannot write ${said} to ${output}: its ending says ${ending}, expected .${said}, or another --format.`)
  return said ?? ending ?? 'svg'
}

/** Errors: UserError for a file that cannot be written, or is there and was not drawn here. */
async function requireFree(file: string, overwrite: boolean): Promise<void> {
  await requireWritable(file, 'file')
  if (overwrite || !existsSync(file) || isWeightsFigure((await readFile(file)).subarray(0, 2000))) return
  throw new UserError(`Cannot write ${file}: found another file there, expected none or earlier histograms; --overwrite replaces it.`)
}

async function drawn(
  { tensor, edges, histograms, weights }: WeightHistograms,
  format: FigureFormat,
  together: boolean,
): Promise<string | Uint8Array> {
  const { weightsFigure } = await import('../report/page/weights-figure.js')
  const { drawPng, drawSvg, figureCsv, figureMarkdown } = await import('../report/draw.ts')
  const figure = weightsFigure(tensor ?? 'All weights', edges, histograms, weights, together)
  if (format === 'svg') return drawSvg(figure, 'light')
  if (format === 'png') return drawPng(figure, 'light')
  return format === 'csv' ? figureCsv(figure) : figureMarkdown(figure)
}

async function write(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await makeFolder(dirname(path))
    await replaceDurably(path, content)
  } catch (cause) {
    throw writeError(cause, path)
  }
}

function summary({ weights, histograms }: WeightHistograms): string {
  const columns = ['Min', 'Max', 'Mean', 'Deviation', 'Mean error'].map((title) => ({ title, align: 'right' }) as const)
  const rows = histograms.map(({ name, min, max, mean, deviation, meanError }) => [
    name,
    ...[min, max, mean, deviation, meanError].map(formatNumber),
  ])
  return `${table([{ title: 'Weights' }, ...columns], rows)}\n\n${formatCount(weights)} weights`
}
