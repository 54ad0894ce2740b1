import type { Command } from 'commander'
import type { OnProgress } from '../oneshot/events.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { wholeNumber } from './flags.ts'
import { interruptible } from './interrupt.ts'
import { print, printJsonLine } from './output.ts'
import { profiled } from './profile.ts'
import { runProgress } from './progress.ts'
import { addRunOptions, LENGTH_HELP, ROWS_HELP, type RunFlags } from './run-options.ts'
import { sampleRun } from './sample-run.ts'
import { MODEL_HELP, modifiersOption, recipeOption } from './shared-options.ts'
import { closingReport } from './tables.ts'

interface Flags extends RunFlags {
  recipe: string
  modifiers?: string[]
  numCalibrationSamples?: number
  maxSeqLength?: number
}

const EXAMPLES = `
Examples:
  $ llmpress oneshot ./SmolLM2-135M --recipe gptq-w4a16-g64
  $ llmpress oneshot ./model --recipe my-recipe.yaml --dataset rows.jsonl --num-calibration-samples 128 --output ./out
  $ llmpress oneshot ./model --recipe FP8_DYNAMIC --json > events.jsonl   # no data needed`

/** `llmpress oneshot MODEL --recipe R`: compresses a model. */
export function addOneshot(program: Command): void {
  const command = program
    .command('oneshot')
    .summary('compress a model')
    .description('Compresses a model as a recipe says and writes a compressed-tensors checkpoint.')
    .argument('<model>', MODEL_HELP)
    .addOption(recipeOption())
    .addOption(modifiersOption())
    .option('--num-calibration-samples <n>', ROWS_HELP, wholeNumber(1))
    .option('--max-seq-length <n>', LENGTH_HELP, wholeNumber(2))
  addRunOptions(command, './{model name}-{recipe name}').addHelpText('after', EXAMPLES).action(compressModel)
}

/** Runs `oneshot` with the flags of a command: progress on stderr, the closing table or the events on stdout. */
export async function compressModel(
  model: string,
  { json = false, quiet = false, profile, samplePrompt = [], ...flags }: Flags,
): Promise<void> {
  const { oneshot } = await import('../oneshot/oneshot.ts')
  const display = openDisplay({ quiet })
  const show = runProgress(display)
  let inLayers = false
  const onProgress: OnProgress = (event) => {
    inLayers ||= event.type === 'layer:start'
    show(event)
    if (event.type === 'plan' && !event.needsInputs && flags.dataset !== undefined)
      display.say(`note: the recipe needs no data, so that --dataset ${flags.dataset} is not read`)
    if (json) printJsonLine(event)
  }
  try {
    const record = await profiled(profile, () =>
      interruptible(
        (signal, stop) => oneshot({ model, ...flags, signal, stop, onProgress, onDownload: downloadProgress(display) }),
        'Interrupted: no new checkpoint was left.',
        { canStop: () => inLayers, message: 'Stopping after the layer in hand, to be gone on with; once more to quit at once.' },
      ),
    )
    await sampleRun(model, record, samplePrompt, flags, display)
    if (!json) print(`${quiet ? '' : '\n'}${closingReport(record)}`)
  } finally {
    display.stop()
  }
}
