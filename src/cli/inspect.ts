import { type Command, Option } from 'commander'
import type { Inspection } from '../eval/inspect.ts'
import type { InspectedTensor } from '../eval/inspect-tensor.ts'
import type { ValueStatistics } from '../numerics/value-statistics.ts'
import { UserError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { formatBytes, formatCount, formatPercent, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { facts, sizeChange, table } from './tables.ts'
import { moduleTree } from './tree.ts'

const EXAMPLES = `
Examples:
  $ llmpress inspect ./model
  $ llmpress inspect ./model-gptq-w4a16 --by layer --against ./model
  $ llmpress inspect ./model-gptq-w4a16 --tensor model.layers.0.mlp.up_proj`

/** `llmpress inspect DIR`: what a checkpoint is made of. */
export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show what a checkpoint is made of')
    .description(
      'Shows any safetensors checkpoint as a tree: how each module is stored, bits, shape, bytes. Reads headers only, of a model of the hub by ranges.',
    )
    .argument('<dir>', MODEL_HELP)
    .option('--against <model>', 'the original, to compare the size with')
    .addOption(new Option('--by <part>', 'what the rows of the table are').choices(['module', 'layer']).default('module'))
    .option('--tensor <name>', 'look at one tensor or linear instead: its values, codes and their statistics')
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runInspect)
}

interface Flags {
  against?: string
  by: 'module' | 'layer'
  tensor?: string
  localFilesOnly?: boolean
  json?: boolean
}

async function runInspect(dir: string, { json = false, tensor, by, against, ...flags }: Flags): Promise<void> {
  const { inspect, inspectTensor } = await import('../index.ts')
  if (tensor !== undefined) {
    if (against !== undefined) throw new UserError('Cannot use --against with --tensor: expected one of them. `compare` compares tensors.')
    const inspected = await withDownloads((hub) => inspectTensor(dir, tensor, { ...flags, ...hub }))
    if (json) printJson(inspected)
    else print(describeTensor(inspected))
    return
  }
  const inspection = await withDownloads((hub) => inspect(dir, { ...flags, ...(against !== undefined && { against }), ...hub }))
  if (json) printJson(inspection)
  else print(describeInspection(inspection, by))
}

/** One tensor for people. */
function describeTensor({ name, dtype, shape, bytes, file, statistics, first, linear }: InspectedTensor): string {
  const { bold } = colorsFor(process.stdout)
  const values = (numbers: readonly number[]) => numbers.map((value) => String(Number(value.toPrecision(6)))).join(', ')
  const stored: [string, string][] = [
    ['Tensor', name],
    ['Stored', `${dtype} [${shape.join(', ')}], ${formatBytes(bytes)} in ${file}`],
    ...(statistics ? statisticsFacts(statistics) : []),
    ...(first.length > 0 ? [['First', values(first)] as [string, string]] : []),
  ]
  if (!linear) return facts(stored)
  const total = linear.codes.reduce((sum, { count }) => sum + count, 0)
  const most = Math.max(...linear.codes.map(({ count }) => count))
  const columns = [{ title: 'Code', align: 'right' }, { title: 'Share', align: 'right' }, { title: '' }] as const
  const rows = linear.codes.map(({ code, count }) => [
    String(code),
    formatPercent(count / total),
    '█'.repeat(Math.max(1, Math.round((BAR * count) / most))),
  ])
  return [
    facts(stored),
    bold(`The linear: ${linear.scheme}, ${linear.shape.join(' x ')}`),
    facts([...statisticsFacts(linear.weight), ['First', values(linear.first)]]),
    bold('Scales'),
    facts(statisticsFacts(linear.scale)),
    ...(linear.codes.length <= SHOWN_CODES ? [table(columns, rows)] : [`${linear.codes.length} different codes; --json has their counts`]),
  ].join('\n\n')
}

/** Columns of the longest bar. */
const BAR = 40
/** A table of more codes than this says little. */
const SHOWN_CODES = 32

function statisticsFacts({ count, min, max, mean, std, zeros, nonFinite }: ValueStatistics): [string, string][] {
  const short = (value: number) => String(Number(value.toPrecision(6)))
  return [
    ['Values', `${formatCount(count)}, ${formatCount(zeros)} of them zero${nonFinite > 0 ? `, ${formatCount(nonFinite)} not finite` : ''}`],
    ['Range', `${short(min)} to ${short(max)}`],
    ['Mean', `${short(mean)}, standard deviation ${short(std)}`],
  ]
}

/** A checkpoint for people: the tree, then the totals. */
function describeInspection(inspection: Inspection, by: Flags['by']): string {
  const { dim } = colorsFor(process.stdout)
  const { path, modelType, format, settings, files, tensors, bytes, dtypes, modules, size, notes } = inspection
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
  const named = Object.entries(settings).map(([key, value]) => `${key} ${JSON.stringify(value)}`)
  const weights = modules.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const types = Object.entries(dtypes).map(([type, { tensors: count, bytes: size }]) => `${type} ${formatBytes(size)} ${dim(`(${count})`)}`)
  return [
    by === 'layer' ? layersTable(inspection) : table(columns, rows),
    facts([
      ['Checkpoint', path],
      ['Model type', modelType ?? 'not in config.json'],
      ['Format', format ?? 'not compressed'],
      ...(named.length > 0 ? [['Settings', named.join(', ')] as [string, string]] : []),
      ['Tensors', `${plural(tensors, 'tensor')}, ${formatBytes(bytes)} in ${plural(files.length, 'file')}`],
      ['Types', types.join(', ')],
      ['Weights', `${formatCount(weights)}, ${((8 * bytes) / Math.max(1, weights)).toFixed(2)} bits each on average`],
      ...(size ? [['Against', sizeChange(size)] as [string, string]] : []),
      ...notes.map((note): [string, string] => ['Note', note]),
    ]),
  ].join('\n\n')
}

function layersTable({ layers }: Inspection): string {
  const columns = [
    { title: 'Layer' },
    { title: 'Modules', align: 'right' },
    { title: 'Size', align: 'right' },
    { title: 'Bits per weight', align: 'right' },
    { title: 'Stored as' },
  ] as const
  const rows = layers.map(({ name, modules, bytes, bitsPerWeight, kinds }) => [
    name,
    String(modules),
    formatBytes(bytes),
    bitsPerWeight.toFixed(2),
    kinds.join(', '),
  ])
  return table(columns, rows)
}
