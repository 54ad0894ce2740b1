// The process that bench-apart.ts measures a checkpoint in.
import { bench } from '../index.ts'
import type { BenchReply, BenchTask } from './bench-apart.ts'
import { exitCodeOf, messageOf } from './exit.ts'

const reply = (message: BenchReply) => process.send?.(message)

process.once('message', (task: BenchTask) => void measure(task))
// The one that asked is gone.
process.once('disconnect', () => process.exit(1))

async function measure({ folder, options }: BenchTask): Promise<void> {
  try {
    const found = await bench(folder, {
      ...options,
      onDownload: (event) => reply({ type: 'download', event }),
      onPass: (pass) => reply({ type: 'pass', pass }),
    })
    reply({ type: 'found', found })
  } catch (error) {
    reply({ type: 'failed', message: messageOf(error, { debug: false }) ?? String(error), isUsers: exitCodeOf(error) === 2 })
  }
  process.disconnect()
}
