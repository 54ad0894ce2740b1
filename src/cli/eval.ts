import { type Command, InvalidArgumentError, Option } from 'commander'
import { builtInDatasets } from '../data/built-in.ts'
import { FILE_KINDS } from '../data/data-file.ts'
import type { EngineName } from '../engine/engine.ts'
import { outlierSentence } from '../eval/outlier-columns.ts'
import { TEXT_FORMS, type TextForm } from '../eval/text-form.ts'
import { UserError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { evaluateModels } from './evaluate.ts'
import { wholeNumber } from './flags.ts'
import { formatCount, formatSeconds, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { profiled, profileOption } from './profile.ts'
import { layerProgress } from './progress.ts'
import { reportOption, requireReported } from './report-notes.ts'
import { bothSpellings, engineOption, jsonOption, localFilesOption, MODEL_HELP, threadsOption } from './shared-options.ts'

interface Flags {
  perplexity?: string
  form?: TextForm
  window?: number
  windows?: number
  against?: string
  tasks?: string[]
  task_data?: string
  taskData?: string
  num_fewshot?: number
  numFewshot?: number
  limit?: number
  batch_size?: number | 'auto'
  batchSize?: number | 'auto'
  batch?: number | 'auto'
  add_bos_token?: boolean
  addBosToken?: boolean
  output_path?: string
  outputPath?: string
  engine: EngineName | 'auto'
  threads?: number
  localFilesOnly?: boolean
  profile?: string
  report?: boolean
  json?: boolean
  quiet?: boolean
}

const EXAMPLES = `
Tasks: hellaswag, piqa, arc_easy (acc, acc_norm) and gsm8k (exact_match), asked and scored as lm-evaluation-harness 0.4 does.

Examples:
  $ llmpress eval ./model --perplexity docs-text
  $ llmpress eval ./model ./model-gptq-w4a16 --perplexity my-text.txt --window 512 --windows 24
  $ llmpress eval ./model-gptq-w4a16 --against ./model --perplexity wikitext --window 2048
  $ llmpress eval ./model ./model-gptq-w4a16 --tasks hellaswag,piqa --num_fewshot 5 --limit 250`

/** `llmpress eval CHECKPOINT... [--perplexity TEXT] [--tasks ...]`: how well checkpoints, originals or compressed, do on the same. */
export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .summary('score checkpoints on a text and on tasks')
    .description(
      'Scores checkpoints, originals or compressed, on the same text and tasks. Of several, the first is what the others are compared with where it is not compressed: KL divergence, agreement on the most likely token, error of each layer (in --json).',
    )
    .argument('<checkpoint...>', MODEL_HELP)
    .option(
      '--perplexity <file|name>',
      `perplexity on ${builtInDatasets('evaluation').join(' or ')}, on wikitext or another dataset of the hub, or on a ${FILE_KINDS} file`,
    )
    .addOption(
      new Option(
        '--form <form>',
        'how the text is cut: joined into windows (default), rows of a document each with blank ones left out, or as one text',
      ).choices(TEXT_FORMS),
    )
    .option('--window <n>', "tokens per window (default: 512, for rows 1024, or the model's positions where it has fewer)", wholeNumber(2))
    .option('--windows <n>', 'at most so many windows, or documents for rows (default: all)', wholeNumber(1))
    .option('--against <model>', 'what to compare with (default: the first checkpoint where it is not compressed)')
    .option('--tasks <names...>', 'tasks, in one list with commas or one by one', names)
    .option('--limit <n>', 'so many questions of each task, from the start; below 1, that share of them', limitOf)
  const more = [
    ...bothSpellings('num_fewshot', '<n>', 'examples before each question (default: what the task says, 0 or 5)', wholeNumber(0)),
    ...bothSpellings('batch_size', '<auto|n>', 'rows of one length that go together, at most (default: auto)', batchOf),
    new Option('--batch <auto|n>', 'the same').argParser(batchOf).hideHelp(),
    ...bothSpellings('task_data', '<dir>', 'a folder with the rows of each task in DIR/TASK (train.jsonl, ...), in place of the hub'),
    ...bothSpellings('add_bos_token', '', 'begin prompts of tasks with the first token of a sequence also where the tokenizer does not'),
    ...bothSpellings('output_path', '<dir>', "where results are written, in the harness's layout (default with --tasks: eval_results)"),
    engineOption(),
    threadsOption(),
    localFilesOption(),
    profileOption(),
    reportOption('the scores'),
    jsonOption(),
  ]
  for (const option of more) command.addOption(option)
  command.option('-q, --quiet', 'no progress').addHelpText('after', EXAMPLES).action(runEval)
}

function names(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',').filter((name) => name.trim() !== '')]
}

function limitOf(text: string): number {
  const value = Number(text)
  if (/^\d*\.?\d+$/.test(text) && value > 0 && (value < 1 || Number.isInteger(value))) return value
  throw new InvalidArgumentError('Expected a whole number above 0, or a share below 1.')
}

function batchOf(text: string): number | 'auto' {
  return text === 'auto' ? 'auto' : wholeNumber(1)(text)
}

async function runEval(checkpoints: string[], flags: Flags): Promise<void> {
  const { perplexity, tasks, against, outputPath = flags.output_path } = flags
  if (perplexity === undefined && tasks === undefined)
    throw new UserError('Cannot score anything: found neither --perplexity nor --tasks, expected one of them or both.')
  if (tasks?.length === 0) throw new UserError('Cannot run tasks: found no name for --tasks, expected one such as piqa.')
  const reported = flags.report ? requireReported(checkpoints) : []
  const [first, ...others] = checkpoints
  if (
    perplexity !== undefined &&
    !tasks &&
    reported.length === 0 &&
    against === undefined &&
    others.length === 0 &&
    outputPath === undefined
  )
    return scoreOne(first, perplexity, flags)
  const { form, window, windows, engine, threads, localFilesOnly, limit, json = false, quiet = false, profile } = flags
  const batch = flags.batch ?? flags.batchSize ?? flags.batch_size ?? 'auto'
  const shots = flags.numFewshot ?? flags.num_fewshot
  const data = flags.taskData ?? flags.task_data
  const addBosToken = flags.addBosToken ?? flags.add_bos_token
  const folder = outputPath ?? (tasks ? 'eval_results' : undefined)
  await evaluateModels(
    {
      models: checkpoints,
      engine,
      ...(against !== undefined && { against }),
      ...(perplexity !== undefined && {
        text: { dataset: perplexity, ...(form && { form }), ...(window && { window }), ...(windows && { windows }) },
      }),
      ...(tasks && { tasks }),
      taskOptions: { ...(shots !== undefined && { shots }), ...(limit !== undefined && { limit }), ...(data !== undefined && { data }) },
      ...(batch !== 'auto' && { batch }),
      ...(addBosToken && { addBosToken }),
      ...(threads !== undefined && { threads }),
      ...(localFilesOnly && { localFilesOnly }),
    },
    { json, quiet, reported, ...(profile !== undefined && { profile }), ...(folder !== undefined && { folder }) },
  )
}

/** One checkpoint on a text: a line. */
async function scoreOne(checkpoint: string, dataset: string, flags: Flags): Promise<void> {
  const { json = false, quiet = false, profile, form, window, windows, engine, threads, localFilesOnly } = flags
  const display = openDisplay({ quiet })
  try {
    const onProgress = { onLayer: layerProgress(display, 'scoring'), onDownload: downloadProgress(display) }
    const options = {
      dataset,
      engine,
      ...(form && { form }),
      ...(window !== undefined && { window }),
      ...(windows !== undefined && { windows }),
      ...(threads !== undefined && { threads }),
      ...(localFilesOnly && { localFilesOnly }),
    }
    const score = await profiled(profile, async () => {
      display.say(`${checkpoint}: scoring on ${dataset}`)
      const { perplexity } = await import('../index.ts')
      return interruptible((signal) => perplexity(checkpoint, { ...options, signal, ...onProgress }))
    })
    display.stop()
    const { yellow } = colorsFor(process.stderr)
    if (!quiet) for (const text of score.warnings) process.stderr.write(`${yellow('warning:')} ${text}\n`)
    if (json) printJson({ checkpoint, dataset, ...score })
    else {
      const what = `${formatCount(score.tokens)} tokens in ${plural(score.windows, 'window')} of ${score.window}, ${formatSeconds(score.seconds)}`
      print(`perplexity ${score.perplexity.toFixed(4)}  (${dataset}: ${what})`)
      if (score.outliers) print(outlierSentence(score.outliers))
    }
  } finally {
    display.stop()
  }
}
