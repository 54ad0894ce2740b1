import { type Command, Option } from 'commander'
import { interruptible } from './interrupt.ts'
import { print } from './output.ts'

interface Flags {
  gpu?: boolean
  webgpu?: boolean
  force?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress native install
  $ llmpress native install --gpu --force
  $ llmpress native install --webgpu`

/** `llmpress native install`: puts an engine into the cache folder. */
export function addNative(program: Command): void {
  const native = program.command('native').summary('install a faster engine').description('Manages the engines beside WebAssembly.')
  native
    .command('install')
    .summary('put it into the cache folder')
    .description(
      'Puts an engine into the cache folder (see doctor), never into your project. Builds TensorFlow, which needs Linux, python3 with pip, and g++; with --webgpu, fetches prebuilt packages from npm alone.',
    )
    .option('--gpu', 'TensorFlow for NVIDIA GPUs (downloads about 3 GB)')
    .addOption(new Option('--webgpu', 'WebGPU instead, for the GPU of any vendor').conflicts('gpu'))
    .option('--force', 'do it again although it is there')
    .addHelpText('after', EXAMPLES)
    .action(runInstall)
}

async function runInstall({ gpu = false, webgpu = false, force = false }: Flags): Promise<void> {
  const { installNative, installWebgpu } = await import('../index.ts')
  const log = (line: string) => process.stderr.write(`${line}\n`)
  if (webgpu) {
    const { dir, adapter } = await interruptible((signal) => installWebgpu({ force, log, signal }))
    print(adapter === null ? `WebGPU, which finds no GPU here: ${dir}` : `WebGPU on ${adapter}: ${dir}`)
    return
  }
  const { dir, tensorflow } = await interruptible((signal) => installNative({ gpu, force, log, signal }))
  print(`TensorFlow ${tensorflow}${gpu ? ' for GPU' : ''}: ${dir}`)
}
