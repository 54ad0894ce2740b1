import type { Command } from 'commander'
import { RunError } from '../util/errors.ts'
import { colorsFor } from './colors.ts'
import { formatBytes, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { jsonOption } from './shared-options.ts'
import { verificationTable } from './tables.ts'

interface Flags {
  against?: string
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress verify ./model-gptq-w4a16
  $ llmpress verify ./model-gptq-w4a16 --against ./model`

/** `llmpress verify DIR`: reads a checkpoint back. Exit code 1 where something is wrong with it. */
export function addVerify(program: Command): void {
  program
    .command('verify')
    .summary('read a checkpoint back and check it')
    .description(
      'Re-opens a checkpoint and reads every tensor of it: names, types, shapes, finite values; with --against, the error of each linear.',
    )
    .argument('<dir>', 'a checkpoint folder')
    .option('--against <model>', 'the original to compare with')
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runVerify)
}

async function runVerify(dir: string, { against, json = false }: Flags): Promise<void> {
  const { verify } = await import('../index.ts')
  const found = await interruptible((signal) => verify(dir, { ...(against !== undefined && { against }), signal }))
  const { problems, tensors, bytes, notes = [] } = found
  if (json) printJson(found)
  else {
    const { green, red } = colorsFor(process.stdout)
    const verdict = problems.length
      ? [red(`${plural(problems.length, 'problem')}:`), ...problems.map((problem) => `  ${problem}`)].join('\n')
      : `${green('Sound:')} ${plural(tensors, 'tensor')}, ${formatBytes(bytes)}, all read and as config.json says`
    print([verificationTable(found), '', verdict, ...notes.map((note) => `Note: ${note}`)].join('\n'))
  }
  if (problems.length) throw new RunError(`Cannot vouch for ${dir}: found ${plural(problems.length, 'problem')}, expected none.`)
}
