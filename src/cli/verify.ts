import type { Command } from 'commander'
import type { EngineName } from '../engine/engine.ts'
import type { Rebuilt } from '../oneshot/rebuild.ts'
import type { Target } from '../servers/targets.ts'
import { RunError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { formatBytes, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { findingsText, targetOption } from './servers.ts'
import { engineOption, jsonOption, localFilesOption, MODEL_HELP, modifiersOption, threadsOption } from './shared-options.ts'
import { verificationTable } from './tables.ts'

interface Flags {
  against?: string
  target?: Target
  rebuild?: string | true
  engine: EngineName | 'auto'
  threads?: number
  modifiers?: string[]
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress verify ./model-gptq-w4a16
  $ llmpress verify ./model-gptq-w4a16 --against ./model
  $ llmpress verify ./model-gptq-w4a16 --target vllm
  $ llmpress verify ./model-gptq-w4a16 --rebuild       # makes the first layer again and compares bytes`

/** `llmpress verify DIR`: reads a checkpoint back. Exit code 1 where something is wrong with it. */
export function addVerify(program: Command): void {
  program
    .command('verify')
    .summary('read a checkpoint back and check it')
    .description(
      'Re-opens a checkpoint and reads every tensor of it: names, types, shapes, finite values, and the hashes of its files where llmpress-report.json has them; with --against, the error of each linear; with --target, what of a server runs it.',
    )
    .argument('<dir>', MODEL_HELP)
    .option('--against <model>', 'the original to compare with, a folder or org/name[@revision]')
    .addOption(targetOption())
    .option(
      '--rebuild [layer]',
      'also make one layer again (a number or a name; default: the first), from the original that the report names or --against, and compare bytes; with calibration data this walks up to that layer',
    )
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(modifiersOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runVerify)
}

async function runVerify(dir: string, { json = false, rebuild: layer, engine, threads, modifiers, ...flags }: Flags): Promise<void> {
  const { verify, rebuild } = await import('../index.ts')
  const { target, against } = flags
  const verified = await withDownloads((hub) => verify(dir, { ...flags, ...hub }))
  const rebuilt =
    layer === undefined
      ? null
      : await withDownloads((hub) =>
          rebuild(dir, {
            ...(layer !== true && { layer }),
            ...(against !== undefined && { against }),
            ...(engine !== 'auto' && { engine }),
            ...(threads !== undefined && { threads }),
            ...(modifiers && { modifiers }),
            ...hub,
          }),
        )
  const found = rebuilt ? { ...verified, problems: [...verified.problems, ...rebuilt.problems], rebuilt } : verified
  const { problems, tensors, bytes, files, notes = [], findings } = found
  if (json) printJson(found)
  else {
    const { green, red } = colorsFor(process.stdout)
    const verdict = problems.length
      ? [red(`${plural(problems.length, 'problem')}:`), ...problems.map((problem) => `  ${problem}`)].join('\n')
      : `${green('Sound:')} ${plural(tensors, 'tensor')}, ${formatBytes(bytes)}, all read and as config.json says${files ? `; ${plural(files, 'file')} as the run wrote them` : ''}`
    const { targetVersion } = await import('../servers/servers.ts')
    const served = target && findings ? [findingsText(targetVersion(target), findings), ''] : []
    const again = rebuilt ? [rebuildText(rebuilt)] : []
    print([verificationTable(found), '', ...served, verdict, ...again, ...notes.map((note) => `Note: ${note}`)].join('\n'))
  }
  if (problems.length) throw new RunError(`Cannot vouch for ${dir}: found ${plural(problems.length, 'problem')}, expected none.`)
}

function rebuildText({ layer, model, tensors, same, notes }: Rebuilt): string {
  const result =
    same === tensors ? `the same bytes in ${plural(tensors, 'tensor')}` : `other bytes in ${tensors - same} of ${plural(tensors, 'tensor')}`
  return [`Rebuilt ${layer} from ${model}: ${result}`, ...notes.map((note) => `Note: ${note}`)].join('\n')
}
