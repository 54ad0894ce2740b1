import type { Command } from 'commander'
import { interruptible } from './interrupt.ts'
import { print } from './output.ts'

interface Flags {
  gpu?: boolean
  force?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress native install
  $ llmpress native install --gpu --force`

/** `llmpress native install`: builds the TensorFlow engine in the cache folder. */
export function addNative(program: Command): void {
  const native = program.command('native').summary('install the TensorFlow engine').description('Manages the TensorFlow engine.')
  native
    .command('install')
    .summary('build it in the cache folder')
    .description(
      'Builds the TensorFlow engine in the cache folder (see doctor), never in your project. Needs Linux, python3 with pip, and g++.',
    )
    .option('--gpu', 'for NVIDIA GPUs (downloads about 3 GB)')
    .option('--force', 'build it again although it is there')
    .addHelpText('after', EXAMPLES)
    .action(runInstall)
}

async function runInstall({ gpu = false, force = false }: Flags): Promise<void> {
  const { installNative } = await import('../index.ts')
  const log = (line: string) => process.stderr.write(`${line}\n`)
  const { dir, tensorflow } = await interruptible((signal) => installNative({ gpu, force, log, signal }))
  print(`TensorFlow ${tensorflow}${gpu ? ' for GPU' : ''}: ${dir}`)
}
