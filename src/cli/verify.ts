import type { Command } from 'commander'
import type { Target } from '../servers/targets.ts'
import { RunError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { withDownloads } from './downloads.ts'
import { formatBytes, plural } from './format.ts'
import { print, printJson } from './output.ts'
import { findingsText, targetOption } from './servers.ts'
import { jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'
import { verificationTable } from './tables.ts'

interface Flags {
  against?: string
  target?: Target
  localFilesOnly?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress verify ./model-gptq-w4a16
  $ llmpress verify ./model-gptq-w4a16 --against ./model
  $ llmpress verify ./model-gptq-w4a16 --target vllm`

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
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runVerify)
}

async function runVerify(dir: string, { json = false, ...flags }: Flags): Promise<void> {
  const { verify } = await import('../index.ts')
  const { target } = flags
  const found = await withDownloads((hub) => verify(dir, { ...flags, ...hub }))
  const { problems, tensors, bytes, files, notes = [], findings } = found
  if (json) printJson(found)
  else {
    const { green, red } = colorsFor(process.stdout)
    const verdict = problems.length
      ? [red(`${plural(problems.length, 'problem')}:`), ...problems.map((problem) => `  ${problem}`)].join('\n')
      : `${green('Sound:')} ${plural(tensors, 'tensor')}, ${formatBytes(bytes)}, all read and as config.json says${files ? `; ${plural(files, 'file')} as the run wrote them` : ''}`
    const { targetVersion } = await import('../servers/servers.ts')
    const served = target && findings ? [findingsText(targetVersion(target), findings), ''] : []
    print([verificationTable(found), '', ...served, verdict, ...notes.map((note) => `Note: ${note}`)].join('\n'))
  }
  if (problems.length) throw new RunError(`Cannot vouch for ${dir}: found ${plural(problems.length, 'problem')}, expected none.`)
}
