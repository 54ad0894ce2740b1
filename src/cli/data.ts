import type { Command } from 'commander'
import type { DataSurvey } from '../data/data-survey.ts'
import type { RowMode } from '../data/rows.ts'
import { DEFAULT_DATASET } from '../oneshot/calibration.ts'
import { colorsFor } from './colors.ts'
import { DATASET_HELP, datasetConfigOption, rowsOption, splitOption, textColumnOption } from './data-options.ts'
import { withDownloads } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { formatCount, formatPercent, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { LENGTH_HELP, ROWS_HELP } from './run-options.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { facts, table } from './tables.ts'

interface Flags {
  dataset?: string
  datasetConfig?: string
  split?: string
  textColumn?: string
  rows?: RowMode
  numCalibrationSamples?: number
  maxSeqLength?: number
  seed?: number
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress data ./model
  $ llmpress data ./model --dataset ultrachat --num-calibration-samples 256
  $ llmpress data ./model --dataset rows.jsonl --text-column body --max-seq-length 1024`

/** `llmpress data MODEL`: what the calibration data is like, before anything is computed with it. */
export function addData(program: Command): void {
  program
    .command('data')
    .summary('look at calibration data')
    .description(
      'Shows calibration data as a run would take it: a row as the model reads it, lengths, duplicates, languages. Computes nothing.',
    )
    .argument('<model>', MODEL_HELP)
    .option('--dataset <name|file>', `${DATASET_HELP} (default: ${DEFAULT_DATASET}, built in)`)
    .addOption(datasetConfigOption())
    .addOption(splitOption())
    .addOption(textColumnOption())
    .addOption(rowsOption())
    .option('--num-calibration-samples <n>', ROWS_HELP, wholeNumber(1))
    .option('--max-seq-length <n>', LENGTH_HELP, wholeNumber(2))
    .option('--seed <n>', 'draws the rows at random; 0 takes them in order (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runData)
}

async function runData(model: string, { json = false, ...flags }: Flags): Promise<void> {
  const { surveyData } = await import('../index.ts')
  const survey = await withDownloads((hub) => surveyData(model, { ...flags, ...hub }))
  if (json) printJson(survey)
  else print(describeSurvey(survey))
}

/** Widest bar of the histogram. */
const BAR = 40

/** A survey for people. */
function describeSurvey({ source, rows, sample, documents, vocabulary, languages, tokensPerSecond, warnings }: DataSurvey): string {
  const { bold, dim, yellow } = colorsFor(process.stdout)
  const lengths = rows.shortest === rows.longest ? `${rows.longest}` : `${rows.shortest} to ${rows.longest}`
  const spoken = languages.slice(0, 4).map(({ language, share }) => `${language} ${formatPercent(share)}`)
  const entries: [string, string][] = [
    ['Data', source],
    ['Rows', `${plural(rows.count, 'row')} of ${lengths} tokens, ${formatCount(rows.tokens)} tokens`],
    [
      'Vocabulary',
      `${formatCount(vocabulary.seen)} of ${formatCount(vocabulary.size)} ids seen (${formatPercent(vocabulary.seen / vocabulary.size)})`,
    ],
  ]
  if (documents) {
    const looked = documents.all ? plural(documents.read, 'document') : `the first ${plural(documents.read, 'document')}`
    entries.push(['Documents', `${looked}, ${formatCount(documents.tokens)} tokens, ${plural(documents.duplicates, 'duplicate')}`])
    if (spoken.length > 0) entries.push(['Languages', spoken.join(', ')])
    entries.push(['Tokenizer', `${formatCount(Math.round(tokensPerSecond))} tokens per second`])
  }
  return [
    `${bold('First row')}\n${dim(clipped(sample))}`,
    ...(documents ? [histogram(documents.lengths)] : []),
    facts(entries),
    ...(warnings.length > 0 ? [[yellow(bold('Warnings')), ...warnings.map((text) => `  ${text}`)].join('\n')] : []),
  ].join('\n\n')
}

function histogram(bins: NonNullable<DataSurvey['documents']>['lengths']): string {
  const most = Math.max(...bins.map(({ documents }) => documents))
  const lines = bins.map(({ from, to, documents }) => [
    `${formatCount(from)} to ${formatCount(to - 1)}`,
    formatCount(documents),
    '█'.repeat(Math.ceil((BAR * documents) / most)),
  ])
  return table([{ title: 'Tokens', align: 'right' }, { title: 'Documents', align: 'right' }, { title: '' }], lines)
}

/** The beginning and the end of a row: what stands between says nothing about how it is framed. */
function clipped(text: string): string {
  return text.length <= 800 ? text : `${text.slice(0, 600)}\n […]\n${text.slice(-180)}`
}
