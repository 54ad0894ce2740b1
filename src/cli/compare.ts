import { type Command, Option } from 'commander'
import type { ComparedTensor, Comparison } from '../eval/compare.ts'
import { openDisplay } from './display.ts'
import { wholeNumber } from './flags.ts'
import { formatPercent, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { facts, sizeChange, table } from './tables.ts'

const SORTS = ['order', 'error'] as const

interface Flags {
  sort: (typeof SORTS)[number]
  top?: number
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress compare ./model ./model-gptq-w4a16
  $ llmpress compare ./model-rtn ./model-gptq --sort error --top 10`

/** `llmpress compare A B`: two checkpoints, tensor by tensor. */
export function addCompare(program: Command): void {
  program
    .command('compare')
    .summary('compare two checkpoints tensor by tensor')
    .description(
      'Compares what the tensors of two checkpoints stand for, compressed or not: the share of the first that the second has lost, the largest difference, the cosine between them. Weights only: for the loss in what the model says, see eval.',
    )
    .argument('<a>', MODEL_HELP)
    .argument('<b>', 'the checkpoint to compare with it')
    .addOption(new Option('--sort <by>', 'the order of the table').choices(SORTS).default('order'))
    .option('--top <n>', 'show so many tensors only', wholeNumber(1))
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runCompare)
}

async function runCompare(a: string, b: string, { json = false, sort, top, ...flags }: Flags): Promise<void> {
  const { compare } = await import('../index.ts')
  const display = openDisplay({ quiet: false })
  try {
    const found = await interruptible((signal) =>
      compare(a, b, {
        ...flags,
        signal,
        onTensor: (name, done, total) => display.show({ done, total, label: name, etaSeconds: null }),
      }),
    )
    display.stop()
    if (json) printJson(found)
    else print(describe(found, sort, top ?? Infinity))
  } finally {
    display.stop()
  }
}

function describe({ tensors, differing, bytes }: Comparison, sort: Flags['sort'], top: number): string {
  const same = tensors.filter((tensor) => tensor.same)
  const changed = tensors.filter((tensor) => !tensor.same)
  const shown = sort === 'error' ? [...changed].sort((x, y) => y.error - x.error) : changed
  const columns = [
    { title: 'Tensor' },
    { title: 'First' },
    { title: 'Second' },
    { title: 'Error', align: 'right' },
    { title: 'Largest', align: 'right' },
    { title: 'Cosine', align: 'right' },
    { title: 'SNR', align: 'right' },
  ] as const
  const rows = shown.slice(0, top).map(row)
  const missing = differing.slice(0, 20).map(({ name, problem }) => `  ${name}: ${problem}`)
  const more = differing.length > missing.length ? [`  and ${differing.length - missing.length} more`] : []
  return [
    ...(rows.length > 0 ? [table(columns, rows)] : []),
    facts([
      ['Same', plural(same.length, 'tensor')],
      [
        'Changed',
        changed.length > rows.length ? `${plural(changed.length, 'tensor')}, ${rows.length} shown` : plural(changed.length, 'tensor'),
      ],
      ['Size', sizeChange({ before: bytes.a, after: bytes.b })],
    ]),
    ...(differing.length > 0 ? [['Not in both', ...missing, ...more].join('\n')] : []),
  ].join('\n\n')
}

function row({ name, a, b, error, largest, cosine, snr }: ComparedTensor): string[] {
  return [name, a, b, formatPercent(error), largest.toPrecision(3), cosine.toFixed(6), `${snr.toFixed(1)} dB`]
}
