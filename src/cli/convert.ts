import type { Command } from 'commander'
import type { Method } from '../checkpoint/layouts/layout.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { formatBytes, plural } from './format.ts'
import { interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { formatOption, jsonOption, localFilesOption, MODEL_HELP } from './shared-options.ts'

interface Flags {
  format: Method
  output?: string
  overwrite?: boolean
  localFilesOnly?: boolean
  json?: boolean
  quiet?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress convert ./model-gptq-w4a16 --format gptq
  $ llmpress convert ./Llama-2-7B-AWQ --format compressed-tensors --output ./out`

/** `llmpress convert DIR --format F`: the same codes in another format. */
export function addConvert(program: Command): void {
  program
    .command('convert')
    .summary('write a compressed checkpoint in another format')
    .description(
      'Writes a compressed checkpoint in another format: compressed-tensors, GPTQ or AWQ. Codes, scales and zero points stay what they are; where the other format cannot hold them, it is an error that says why.',
    )
    .argument('<dir>', MODEL_HELP)
    .addOption(formatOption().makeOptionMandatory())
    .option('-o, --output <dir>', 'the folder to write (default: ./{checkpoint name}-{format})')
    .option('--overwrite', 'replace a checkpoint in the output folder')
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .option('-q, --quiet', 'no progress')
    .addHelpText('after', EXAMPLES)
    .action(runConvert)
}

async function runConvert(dir: string, { json = false, quiet = false, ...flags }: Flags): Promise<void> {
  const { convert } = await import('../index.ts')
  const display = openDisplay({ quiet })
  try {
    const conversion = await interruptible(
      (signal) =>
        convert(dir, {
          ...flags,
          signal,
          onDownload: downloadProgress(display),
          onProgress: ({ name, index, of }) => display.show({ done: index, total: of, label: name, etaSeconds: null }),
        }),
      'Interrupted: no new checkpoint was left.',
    )
    if (json) printJson(conversion)
    else {
      const { from, format, output, linears, size, notes } = conversion
      const facts = `${plural(linears.length, 'linear')}, ${formatBytes(size.before)} -> ${formatBytes(size.after)}, all codes read back as they were`
      print([`${from} -> ${format}: ${output}`, facts, ...notes.map((note) => `Note: ${note}`)].join('\n'))
    }
  } finally {
    display.stop()
  }
}
