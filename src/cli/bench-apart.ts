import { fork } from 'node:child_process'
import type { BenchOptions } from '../eval/bench/bench.ts'
import type { BenchResult } from '../eval/bench/bench-result.ts'
import { RunError, UserError } from '../util/errors.ts'

type Told = Required<Pick<BenchOptions, 'onPass' | 'onDownload'>>

/** What a process that measures is given. */
export interface BenchTask {
  readonly folder: string
  readonly options: Omit<BenchOptions, keyof Told | 'signal' | 'now'>
}

/** What it says: of its work as it goes on, and one of the last two at the end. */
export type BenchReply =
  | { readonly type: 'pass'; readonly pass: Parameters<Told['onPass']>[0] }
  | { readonly type: 'download'; readonly event: Parameters<Told['onDownload']>[0] }
  | { readonly type: 'found'; readonly found: BenchResult }
  | { readonly type: 'failed'; readonly message: string; readonly isUsers: boolean }

/**
 * `bench` in a process of its own: what an earlier checkpoint left in memory would count for a later one, some 30 MB of it with a model of
 * 4 million parameters. Errors: as `bench`, by their words; RunError for a process that dies.
 */
export function benchApart({ folder, options }: BenchTask, { onPass, onDownload }: Told, signal: AbortSignal): Promise<BenchResult> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('bench-child.js', import.meta.url), { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    const stop = () => child.kill('SIGKILL')
    signal.addEventListener('abort', stop, { once: true })
    child.once('error', reject)
    child.once('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) return reject(signal.reason)
      const how = killedBy ? `was ended by ${killedBy}` : `ended with ${code}`
      reject(new RunError(`Cannot benchmark ${folder}: the process that measures it ${how}, expected its figures.`))
    })
    child.on('message', (reply: BenchReply) => {
      if (reply.type === 'pass') onPass(reply.pass)
      else if (reply.type === 'download') onDownload(reply.event)
      else if (reply.type === 'found') resolve(reply.found)
      else reject(reply.isUsers ? new UserError(reply.message) : new RunError(reply.message))
    })
    child.send({ folder, options } satisfies BenchTask)
  })
}
