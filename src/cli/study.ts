import { basename, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { requireWritable } from '../checkpoint/require-writable.ts'
import { builtInDatasets } from '../data/built-in.ts'
import { FILE_KINDS } from '../data/data-file.ts'
import type { EngineName } from '../engine/engine.ts'
import type { Study } from '../report/study.ts'
import { formatNumber } from '../util/format.js'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { numberRange, wholeNumber } from './flags.ts'
import { formatBytes, formatCount, formatPercent, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { engineOption, jsonOption, localFilesOption, MODEL_HELP, threadsOption } from './shared-options.ts'
import { table } from './tables.ts'

interface Flags {
  prompt?: string
  maxLength?: number
  topK?: number
  seed?: number
  text?: string
  window?: number
  windows?: number
  range?: [number, number]
  bins?: number
  output?: string
  engine: EngineName | 'auto'
  threads?: number
  localFilesOnly?: boolean
  json?: boolean
  quiet?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress study ./gpt2
  $ llmpress study ./model --prompt "I have a dream" --max-length 50 --top-k 30 --seed 0
  $ llmpress study ./model --text my-text.txt --windows 24 -o my-study`

/** `llmpress study MODEL`: what eight bits for every whole tensor do to a model. */
export function addStudy(program: Command): void {
  program
    .command('study')
    .summary('see what absmax and zero-point quantization do to a model')
    .description(
      "Quantizes every parameter of a model, embeddings, norms and biases too, by absmax and by zero-point in copies that are never written; draws histograms of the weights, has all go on from one prompt by the same draws, scores all on one text, and sets sizes beside LLM.int8()'s. Writes study.html and study.svg.",
    )
    .argument('<model>', MODEL_HELP)
    .option('-p, --prompt <text>', 'what all go on from (default: "I have a dream")')
    .option('--max-length <n>', 'tokens of a text at most, those of the prompt among them (default: 50)', wholeNumber(1))
    .option('--top-k <k>', 'draw of so many tokens, 0 for all (default: 30)', wholeNumber(0))
    .option('--seed <n>', 'of the draws, which begin anew for each model (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .option(
      '--text <file|name>',
      `the one text that all are scored on: ${builtInDatasets('evaluation').join(' or ')}, a dataset of the hub, or a ${FILE_KINDS} file (default: docs-text)`,
    )
    .option('--window <n>', "tokens per window of it (default: 512, or the model's positions where it has fewer)", wholeNumber(2))
    .option('--windows <n>', 'at most so many windows (default: 8)', wholeNumber(1))
    .addOption(
      new Option('--range <low,high>', 'what the bins divide; weights outside are not counted (default: -2,2)').argParser(numberRange),
    )
    .option('--bins <n>', 'bins of the histograms (default: 150)', wholeNumber(1, 10_000))
    .option('-o, --output <dir>', 'the folder for study.html and study.svg (default: the name of the model, then -study)')
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action(runStudy)
}

async function runStudy(model: string, { output, json = false, quiet = false, ...flags }: Flags): Promise<void> {
  const folder = output ?? `${basename(resolve(model))}-study`
  // Known before minutes of work.
  await requireWritable(folder, 'folder')
  const display = openDisplay({ quiet })
  display.say(`${model}: quantized by absmax and by zero-point, scored on ${flags.text ?? 'docs-text'}, written to ${folder}`)
  const { study, writeStudy } = await import('../index.ts')
  try {
    const found = await interruptible((signal) =>
      study({
        ...flags,
        model,
        signal,
        onDownload: downloadProgress(display),
        onStep: (what, done, total) => {
          const label = STEPS[what] ?? what
          if (done === 0) display.log(label)
          display.show({ done, total, label, etaSeconds: null })
        },
      }),
    )
    display.stop()
    const { yellow } = colorsFor(process.stderr)
    for (const text of found.warnings) process.stderr.write(`${yellow('warning:')} ${text}\n`)
    const files = await writeStudy(found, folder)
    if (json) printJson({ ...found, written: files })
    else print(`${describe(found)}\n\n${files.join('\n')}`)
  } finally {
    display.stop()
  }
}

const STEPS: Readonly<Record<string, string>> = {
  weights: 'counting weights',
  text: 'scoring the text',
  writing: 'going on from the prompt',
}

function describe({ prompt, models, sizes, histograms, parameters, tensors, text, files, verdict }: Study): string {
  const { bold, dim } = colorsFor(process.stdout)
  const columns = ['Perplexity', 'Apart', 'KL, nats', 'Same first choice', 'Mean weight error', 'Codes take', 'Smaller', 'Saved'].map(
    (title) => ({ title, align: 'right' }) as const,
  )
  const rows = sizes.map(({ name, bytes, ratio, reduction }, i) => {
    const model = models.at(i)
    const compared = model && i > 0 ? model : null
    return [
      name,
      model?.perplexity.toFixed(2) ?? '',
      compared?.perplexityDifference.toFixed(2) ?? '',
      compared ? formatNumber(compared.klDivergence) : '',
      compared ? formatPercent(compared.topOneAgreement) : '',
      compared ? formatNumber(histograms[i].meanError) : '',
      formatBytes(bytes),
      i > 0 ? `${ratio.toFixed(2)}x` : '',
      i > 0 ? `${(100 * reduction).toFixed(1)} %` : '',
    ]
  })
  const notes = [
    `${formatCount(parameters)} parameters in ${plural(tensors, 'tensor')}; perplexity over ${plural(text.windows, 'window')} of ${text.window} tokens of ${text.name}.`,
    `${plural(files.length, 'file')} of the model: SHA-256 the same before and after.`,
  ]
  const written = models.map(({ name, text: own }) => `${bold(`== ${name}`)}\n${dim(prompt)}${own}`)
  return [bold(verdict), table([{ title: '' }, ...columns], rows), ...written, dim(notes.join('\n'))].join('\n\n')
}
