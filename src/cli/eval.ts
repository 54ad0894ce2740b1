import type { Command } from 'commander'
import { builtInDatasets } from '../data/built-in.ts'
import { FILE_KINDS } from '../data/data-file.ts'
import type { EngineName } from '../engine/engine.ts'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { formatCount, formatSeconds, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { profiled, profileOption } from './profile.ts'
import { layerProgress } from './progress.ts'
import { engineOption, jsonOption, localFilesOption, MODEL_HELP, threadsOption } from './shared-options.ts'

interface Flags {
  perplexity: string
  window?: number
  windows?: number
  engine: EngineName | 'auto'
  threads?: number
  localFilesOnly?: boolean
  profile?: string
  json?: boolean
  quiet?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress eval ./model --perplexity docs-text
  $ llmpress eval ./model-gptq-w4a16 --perplexity my-text.txt --window 512 --windows 24`

/** `llmpress eval CHECKPOINT --perplexity TEXT`: how well a checkpoint, original or compressed, predicts a text. */
export function addEval(program: Command): void {
  program
    .command('eval')
    .summary('score a checkpoint on a text')
    .description('Scores a checkpoint, original or compressed, on a text.')
    .argument('<checkpoint>', MODEL_HELP)
    .requiredOption(
      '--perplexity <file|name>',
      `perplexity on ${builtInDatasets('evaluation').join(' or ')}, on wikitext or another dataset of the hub, or on a ${FILE_KINDS} file`,
    )
    .option('--window <n>', "tokens per window (default: 512, or the model's positions where it has fewer)", wholeNumber(2))
    .option('--windows <n>', 'at most so many windows (default: all)', wholeNumber(1))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(localFilesOption())
    .addOption(profileOption())
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action(runEval)
}

async function runEval(checkpoint: string, { perplexity: dataset, json = false, quiet = false, profile, ...flags }: Flags): Promise<void> {
  const { perplexity } = await import('../index.ts')
  const display = openDisplay({ quiet })
  try {
    const onProgress = { onLayer: layerProgress(display, 'scoring'), onDownload: downloadProgress(display) }
    const score = await profiled(profile, () =>
      interruptible((signal) => perplexity(checkpoint, { dataset, ...flags, signal, ...onProgress })),
    )
    display.stop()
    const { windows, window, tokens, seconds, warnings } = score
    const { yellow } = colorsFor(process.stderr)
    if (!quiet) for (const text of warnings) process.stderr.write(`${yellow('warning:')} ${text}\n`)
    if (json) printJson({ checkpoint, dataset, ...score })
    else {
      const what = `${formatCount(tokens)} tokens in ${plural(windows, 'window')} of ${window}, ${formatSeconds(seconds)}`
      print(`perplexity ${score.perplexity.toFixed(4)}  (${dataset}: ${what})`)
    }
  } finally {
    display.stop()
  }
}
