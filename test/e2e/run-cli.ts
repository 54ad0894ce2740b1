import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** The built command line as a process of its own, on the wasm engine: the cache that would hold a native one is empty. */
export function startCli(
  args: readonly string[],
  cwd = tmpdir(),
  extra: Readonly<Record<string, string>> = {},
): { child: ChildProcess; result: Promise<CliResult>; output: () => CliResult } {
  // The test runner may force colours on its own output.
  const { FORCE_COLOR: _, ...inherited } = process.env
  const env = { ...inherited, LLMPRESS_CACHE: join(tmpdir(), 'llmpress-no-cache'), NO_COLOR: '1', ...extra }
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: CliResult = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const result = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ ...output, code }))
  })
  return { child, result, output: () => output }
}

/** Runs the built command line to its end. */
export function runCli(args: readonly string[], cwd?: string): Promise<CliResult> {
  return startCli(args, cwd).result
}

/** Resolves once a started command line has written `text` to stderr; rejects when it ends without. */
export function said({ child, output }: ReturnType<typeof startCli>, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (output().stderr.includes(text)) resolve()
    }
    look()
    child.stderr?.on('data', look)
    child.on('close', () => reject(new Error(`ended without "${text}": ${output().stderr}`)))
  })
}

/** The events that a run printed under --json: one JSON object a line. */
export function eventsOf<T extends { type: string }>(stdout: string): T[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}
