import { type Command, InvalidArgumentError } from 'commander'
import type { EngineName } from '../engine/engine.ts'
import type { Generated, GenerateOptions } from '../eval/generation/generate.ts'
import { UserError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { type Display, openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { exitCodeOf, messageOf } from './exit.ts'
import { wholeNumber } from './flags.ts'
import { formatBytes, formatSeconds, plural } from './format.ts'
import { Interrupted, interruptible } from './interrupt.ts'
import { printJson } from './output.ts'
import { noteInReport, reportOption, requireReported } from './report-notes.ts'
import { engineOption, jsonOption, localFilesOption, MODEL_HELP, threadsOption } from './shared-options.ts'

interface Flags
  extends Pick<GenerateOptions, 'maxNewTokens' | 'maxLength' | 'greedy' | 'temperature' | 'topK' | 'topP' | 'seed' | 'threads'> {
  prompt: string
  chat?: boolean
  system?: string
  stop?: string[]
  engine: EngineName | 'auto'
  localFilesOnly?: boolean
  report?: boolean
  json?: boolean
  quiet?: boolean
}

/** What became of a checkpoint: its text, or why there is none. */
type Outcome = { checkpoint: string } & (Generated | { error: string })

const EXAMPLES = `
Examples:
  $ llmpress generate ./model --prompt "I have a dream" --max-length 50 --top-k 30
  $ llmpress generate ./model ./model-gptq-w4a16 --prompt "I have a dream" --greedy
  $ llmpress generate ./model --chat --prompt "What is a checkpoint?" --max-new-tokens 200`

/** `llmpress generate CHECKPOINT... --prompt TEXT`: goes on from a text, with several checkpoints one after the other by the same draws. */
export function addGenerate(program: Command): void {
  program
    .command('generate')
    .summary('go on from a prompt')
    .description(
      'Goes on from a prompt with a checkpoint, original or compressed, computing with its weights as they are stored. Several checkpoints get the same prompt and the same draws, so that they part where their probabilities do.',
    )
    .argument('<checkpoint...>', MODEL_HELP)
    .requiredOption('-p, --prompt <text>', 'what to go on from; with --chat what the user says')
    .option('--chat', "write the prompt as a conversation, by the model's chat template")
    .option('--system <text>', 'with --chat: what the system says first')
    .option('--max-new-tokens <n>', 'new tokens at most (default: 50)', wholeNumber(1))
    .option('--max-length <n>', 'tokens at most, those of the prompt among them', wholeNumber(1))
    .option('--greedy', 'take the most likely token each time')
    .option('--temperature <t>', 'divides the logits (default: what generation_config.json asks for, or 1)', positive(1000))
    .option('--top-k <k>', 'draw of so many tokens, 0 for all (default: what generation_config.json asks for, or 30)', wholeNumber(0))
    .option('--top-p <p>', 'draw of the tokens that have so much of the probability (default: likewise, or 1)', positive(1))
    .option('--seed <n>', 'of the draws (default: 0)', wholeNumber(0, 2 ** 32 - 1))
    .option('--stop <text...>', 'stop at these texts')
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(localFilesOption())
    .addOption(reportOption('the texts'))
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress, and no figures after the text')
    .addHelpText('after', EXAMPLES)
    .action(runGenerate)
}

/** A parser for a flag that takes a number above 0. */
function positive(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d*\.?\d+$/.test(text) && value > 0 && value <= most) return value
    throw new InvalidArgumentError(`Expected a number above 0, at most ${most}.`)
  }
}

async function runGenerate(
  checkpoints: string[],
  { prompt, chat, system, report, json = false, quiet = false, ...flags }: Flags,
): Promise<void> {
  const reported = report ? requireReported(checkpoints) : []
  if (system !== undefined && !chat) throw new UserError('Cannot use --system without --chat, expected both.')
  const said = chat ? [...(system === undefined ? [] : [{ role: 'system', content: system }]), { role: 'user', content: prompt }] : null
  const asked = { ...flags, ...(said ? { messages: said } : { prompt }) }
  const outcomes: Outcome[] = []
  const failures: unknown[] = []
  await interruptible(async (signal) => {
    for (const checkpoint of checkpoints) {
      if (checkpoints.length > 1 && !json) process.stdout.write(`${outcomes.length > 0 ? '\n' : ''}${heading(checkpoint)}\n`)
      try {
        const written = await writeOne(checkpoint, { ...asked, signal }, { json, quiet })
        outcomes.push({ checkpoint, ...written })
      } catch (error) {
        if (signal.aborted || error instanceof Interrupted || checkpoints.length === 1) throw error
        failures.push(error)
        const message = messageOf(error, { debug: false }) ?? String(error)
        outcomes.push({ checkpoint, error: message })
        process.stderr.write(`${colorsFor(process.stderr).red('error:')} ${checkpoint}: ${message}\n`)
      }
    }
  })
  if (json) printJson({ prompt, results: outcomes })
  else if (!quiet) for (const line of agreement(outcomes)) process.stderr.write(`${line}\n`)
  const texts = outcomes.flatMap((outcome) => ('text' in outcome ? [{ name: outcome.checkpoint, text: outcome.text }] : []))
  if (texts.length > 0) for (const folder of reported) await noteInReport(folder, { samples: [{ prompt, texts }] })
  if (failures.length > 0) process.exitCode = exitCodeOf(failures[0])
}

function heading(checkpoint: string): string {
  return colorsFor(process.stdout).bold(`== ${checkpoint}`)
}

/** One checkpoint's text to stdout as it comes, unless it goes into a document. */
async function writeOne(
  checkpoint: string,
  options: Omit<GenerateOptions, 'model'>,
  { json, quiet }: { json: boolean; quiet: boolean },
): Promise<Generated> {
  const { generate } = await import('../index.ts')
  const display: Display = openDisplay({ quiet })
  const { dim } = colorsFor(process.stdout)
  const write = (text: string) => {
    if (!json) process.stdout.write(text)
  }
  try {
    const written = await generate({
      ...options,
      model: checkpoint,
      onDownload: downloadProgress(display),
      onLoad: (done, total) => display.show({ done, total, label: `reading ${checkpoint}`, etaSeconds: null }),
      onPrompt: (text) => {
        display.stop()
        if (!options.messages) write(dim(text))
      },
      onToken: ({ text }) => write(text),
    })
    write('\n')
    if (!quiet) sayFigures(written)
    return written
  } finally {
    display.stop()
  }
}

function sayFigures({ warnings, newTokens, promptTokens, finish, seconds, weightBytes }: Generated): void {
  const { dim, yellow } = colorsFor(process.stderr)
  for (const text of warnings) process.stderr.write(`${yellow('warning:')} ${text}\n`)
  const rate = newTokens > 1 ? `, ${((newTokens - 1) / seconds.tokens).toFixed(1)} a second` : ''
  const ends = { end: 'ended by the model', stop: 'stopped', length: 'cut', context: "cut: the model's positions are used up" }[finish]
  const figures = [
    `${plural(newTokens, 'token')} after ${plural(promptTokens, 'token')}${rate}, ${ends}`,
    `first after ${formatSeconds(seconds.prompt)}`,
    `${formatBytes(weightBytes)} of weights read in ${formatSeconds(seconds.load)}`,
  ]
  process.stderr.write(`${dim(figures.join('; '))}\n`)
}

/** Where each later text parts from the first. */
function agreement(outcomes: readonly Outcome[]): string[] {
  const [first, ...others] = outcomes.flatMap((outcome) => ('ids' in outcome ? [outcome] : []))
  return others.map(({ checkpoint, ids }) => {
    const parts = ids.findIndex((id, i) => id !== first.ids[i])
    if (parts < 0 && ids.length === first.ids.length) return `${checkpoint}: the same ${plural(ids.length, 'token')} as ${first.checkpoint}`
    return `${checkpoint}: the first ${plural(parts < 0 ? ids.length : parts, 'token')} as ${first.checkpoint}`
  })
}
