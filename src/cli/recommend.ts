import { type Command, Option } from 'commander'
import { stringify } from 'yaml'
import { GOALS, type Goal } from '../advice/goals.ts'
import { PURPOSES, type Purpose } from '../advice/purposes.ts'
import type { Judged, Recommendation } from '../advice/recommend.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { contextOption } from './estimate.ts'
import { formatBytes, formatPercent, shellWord } from './format.ts'
import { print, printJson } from './output.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { type Column, table } from './tables.ts'

interface Flags {
  gpu?: string
  goal?: Goal
  purpose?: Purpose
  context?: number
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress recommend ./model --gpu "RTX 4090"
  $ llmpress recommend ./model --gpu 12GB --context 32768
  $ llmpress recommend ./model --goal size
  $ llmpress recommend ./model --purpose prototype`

/** `llmpress recommend MODEL`: which recipe to take, and why. */
export function addRecommend(program: Command): void {
  program
    .command('recommend')
    .summary('say which recipe to take for a GPU or a goal, and why')
    .description(
      'Says which recipe to take: what fits the memory of a device, what vLLM has kernels for there, what it costs in quality by our measurements. Reads config.json only.',
    )
    .argument('<model>', `${MODEL_HELP}, or its config.json`)
    .option('--gpu <name>', 'where it is to run: the name of a GPU (RTX 4090, L4, H100), its memory (24GB), or cpu')
    .addOption(new Option('--goal <goal>', 'what matters most').choices(GOALS))
    .addOption(new Option('--purpose <purpose>', 'what it is for, in place of a goal').choices(PURPOSES).conflicts('goal'))
    .addOption(contextOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runRecommend)
}

async function runRecommend(model: string, { json = false, ...flags }: Flags): Promise<void> {
  const found = await withDownloads(async (hub) => {
    const { recommend } = await import('../index.ts')
    return recommend(model, { ...flags, ...hub })
  }, `${model}: weighing recipes by its config.json`)
  if (json) printJson(found)
  else print(describe(found))
}

function describe({ model, device, verdict, candidates, choice, topic }: Recommendation): string {
  const { bold, dim, green } = colorsFor(process.stdout)
  const withRate = candidates.some(({ tokensPerSecond }) => tokensPerSecond !== null)
  const columns: Column[] = [
    { title: '' },
    { title: 'Scheme' },
    { title: 'Weights', align: 'right' },
    { title: 'In use', align: 'right' },
    ...(withRate ? [{ title: 'Tokens/s at most', align: 'right' } as const] : []),
    { title: 'Perplexity: 4M', align: 'right' },
    { title: '135M', align: 'right' },
    { title: '' },
  ]
  const rows = candidates.map((candidate) => [
    candidate.name === choice?.name ? green('›') : '',
    candidate.name,
    formatBytes(candidate.bytes),
    formatBytes(candidate.needed),
    ...(withRate ? [String(candidate.tokensPerSecond ?? '')] : []),
    lossText(candidate.loss['docs-llama-4m']),
    lossText(candidate.loss['SmolLM2-135M']),
    dim(candidate.problem ?? (candidate.fits ? '' : 'does not fit')),
  ])
  const notes = [
    'In use: weights, key-value cache and 1 GB beside, of nine tenths of the memory, as vLLM has it by default.',
    ...(withRate ? ["Tokens/s at most: one user, the device's bandwidth over the weights."] : []),
    'Perplexity: growth as measured on two small models, the shipped docs-llama-4m and SmolLM2-135M; large models lose less.',
    `Read on: llmpress explain ${topic}`,
  ]
  return [bold(verdict), table(columns, rows), dim(notes.join('\n')), ...(choice ? [nextStep(model, choice, device)] : [])].join('\n\n')
}

function lossText(share: number | null): string {
  if (share === null) return ''
  return Math.abs(share) < 5e-4 ? 'as before' : `${share > 0 ? '+' : ''}${formatPercent(share)}`
}

function nextStep(model: string, { recipe }: Judged, device: Recommendation['device']): string {
  const { bold } = colorsFor(process.stdout)
  const target = device?.capability == null ? '' : ' --target vllm'
  const lines = stringify(recipe, { flowCollectionPadding: false }).trimEnd().split('\n')
  return [
    bold('Next: put this into recipe.yaml'),
    ...lines.map((line) => `  ${line}`),
    bold('and run'),
    `  npx llmpress plan ${shellWord(model)} --recipe recipe.yaml${target}`,
    `  npx llmpress oneshot ${shellWord(model)} --recipe recipe.yaml`,
  ].join('\n')
}
