import { spawn } from 'node:child_process'
import { RunError } from '../util/errors.ts'

/** What installs have in common. */
export interface InstallOptions {
  /** Do it again although it is there. */
  force?: boolean
  /** The cache folder; cacheDirectory() by default. */
  cacheDir?: string
  /** One line per step. */
  log?: (line: string) => void
  /** Stops the step under way and leaves nothing behind. */
  signal?: AbortSignal
}

/** What a step needs: where it runs, what it is for, how it is stopped. */
export interface Workshop {
  readonly dir: string
  /** `native`, as in `the native engine`. */
  readonly engine: string
  readonly signal: AbortSignal | undefined
}

/** Runs one command in the workshop and gives what it printed; RunError with the end of that when it fails. */
export async function step(shop: Workshop, command: string, args: string[]): Promise<string> {
  const { code, output } = await runCommand(command, args, shop.dir, shop.signal)
  if (code === 0) return output
  const end = output.trimEnd().split('\n').slice(-12).join('\n')
  throw new RunError(`Cannot install the ${shop.engine} engine: ${command} ${args[0]} ended with ${code ?? 'no exit code'}\n${end}`)
}

/** A command's exit code (null: not started or killed) and all it printed. Rejects only when `signal` aborts. */
export function runCommand(
  command: string,
  args: string[],
  cwd: string,
  signal: AbortSignal | undefined,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    let output = ''
    // npm is a batch file on Windows, which only a shell starts.
    const shell = process.platform === 'win32' && command === 'npm'
    const child = spawn(command, args, { cwd, signal, shell, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.on('error', (error) => (signal?.aborted ? reject(signal.reason) : resolve({ code: null, output: `${output}${error.message}` })))
    child.on('close', (code) => resolve({ code, output }))
  })
}
