import type { Command } from 'commander'
import type { Inspection } from '../eval/inspect.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { formatBytes, formatCount, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { facts, table } from './tables.ts'
import { moduleTree } from './tree.ts'

const EXAMPLES = `
Examples:
  $ llmpress inspect ./model
  $ llmpress inspect ./model-gptq-w4a16 --json`

/** `llmpress inspect DIR`: what a checkpoint is made of. */
export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show what a checkpoint is made of')
    .description(
      'Shows any safetensors checkpoint as a tree: how each module is stored, bits, shape, bytes. Reads headers only, of a model of the hub by ranges.',
    )
    .argument('<dir>', MODEL_HELP)
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runInspect)
}

async function runInspect(dir: string, { json = false, ...flags }: { json?: boolean; localFilesOnly?: boolean }): Promise<void> {
  const { inspect } = await import('../index.ts')
  const inspection = await withDownloads((hub) => inspect(dir, { ...flags, ...hub }))
  if (json) printJson(inspection)
  else print(describeInspection(inspection))
}

/** A checkpoint for people: the tree, then the totals. */
function describeInspection(inspection: Inspection): string {
  const { dim } = colorsFor(process.stdout)
  const { path, modelType, format, files, tensors, bytes, dtypes, modules, notes } = inspection
  const rows = moduleTree(modules).map(({ label, module }) =>
    module
      ? [label, module.kind, module.shape.join(' x '), formatBytes(module.bytes), module.bitsPerWeight.toFixed(2)]
      : [label, '', '', '', ''],
  )
  const columns = [
    { title: 'Module' },
    { title: 'Stored as' },
    { title: 'Shape', align: 'right' },
    { title: 'Size', align: 'right' },
    { title: 'Bits per weight', align: 'right' },
  ] as const
  const weights = modules.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const types = Object.entries(dtypes).map(([type, { tensors: count, bytes: size }]) => `${type} ${formatBytes(size)} ${dim(`(${count})`)}`)
  return [
    table(columns, rows),
    facts([
      ['Checkpoint', path],
      ['Model type', modelType ?? 'not in config.json'],
      ['Format', format ?? 'not compressed'],
      ['Tensors', `${plural(tensors, 'tensor')}, ${formatBytes(bytes)} in ${plural(files.length, 'file')}`],
      ['Types', types.join(', ')],
      ['Weights', `${formatCount(weights)}, ${((8 * bytes) / Math.max(1, weights)).toFixed(2)} bits each on average`],
      ...notes.map((note): [string, string] => ['Note', note]),
    ]),
  ].join('\n\n')
}
