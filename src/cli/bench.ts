import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { requireWritable } from '../checkpoint/require-writable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import type { EngineName } from '../engine/engine.ts'
import type { BenchOptions } from '../eval/bench/bench.ts'
import type { BenchResult } from '../eval/bench/bench-result.ts'
import { RunError, UserError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import { benchApart } from './bench-apart.ts'
import { colorsFor } from './colors.ts'
import { openDisplay } from './display.ts'
import { downloadProgress } from './downloads.ts'
import { exitCodeOf, messageOf } from './exit.ts'
import { wholeNumber } from './flags.ts'
import { formatBytes, formatSeconds } from './format.ts'
import { Interrupted, interruptible } from './interrupt.ts'
import { print, printJson } from './output.ts'
import { engineOption, jsonOption, localFilesOption, MODEL_HELP, threadsOption } from './shared-options.ts'
import { type Column, table } from './tables.ts'

interface Flags {
  http?: string
  model?: string
  prompts?: string
  maxNewTokens?: number
  timeout?: number
  outputPath: string
  engine: EngineName | 'auto'
  threads?: number
  localFilesOnly?: boolean
  json?: boolean
}

type Outcome = BenchResult | { model: string; error: string }

const EXAMPLES = `
Examples:
  $ llmpress bench ./model ./model-gptq-w4a16
  $ llmpress bench ./checkpoints                             # every checkpoint in the folder
  $ llmpress bench --http http://localhost:8000 --json       # a server with OpenAI's interface, such as vLLM`

/** `llmpress bench CHECKPOINT...`: how fast checkpoints answer, here or on a server. */
export function addBench(program: Command): void {
  program
    .command('bench')
    .summary('measure how fast checkpoints answer')
    .description(
      'Measures time to load, memory, and the time that prompts take one after the other and all at once, up to the first token and to the last. Writes a JSON document for each to perf_results/. One that fails does not stop the others.',
    )
    .argument('[checkpoint...]', `${MODEL_HELP}; a folder of checkpoints stands for all of them`)
    .option('--http <url>', 'measure a server with the interface of OpenAI instead; its key, if it asks for one, from OPENAI_API_KEY')
    .option('--model <name>', 'with --http: what the server calls the model (default: the first that it lists)')
    .option('--prompts <file>', 'prompts, one a line (default: five of the package)')
    .option('--max-new-tokens <n>', 'tokens to write for each prompt (default: 32)', wholeNumber(1))
    .option('--timeout <s>', 'with --http: seconds to wait for an answer (default: 120)', wholeNumber(1))
    .option('--output-path <dir>', 'where the documents go', 'perf_results')
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(localFilesOption())
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runBench)
}

async function runBench(checkpoints: string[], { json = false, outputPath, http, prompts: file, ...flags }: Flags): Promise<void> {
  if ((http === undefined) === (checkpoints.length === 0))
    throw new UserError('Cannot benchmark: expected checkpoints, or the address of a server by --http, and not both.')
  if (http === undefined && (flags.model !== undefined || flags.timeout !== undefined))
    throw new UserError('Cannot use --model and --timeout without --http: they are about a server.')
  const prompts = file === undefined ? {} : { prompts: await promptsOf(file) }
  const { bench, benchServer } = await import('../index.ts')
  const folders = http === undefined ? await expanded(checkpoints) : []
  // One by itself needs no other process.
  const measure: Measure =
    folders.length === 1
      ? bench
      : (folder, { onPass, onDownload, signal, ...options }) => benchApart({ folder, options }, { onPass, onDownload }, signal)
  const { model, timeout, maxNewTokens, ...local } = flags
  const { OPENAI_API_KEY: apiKey } = process.env
  const count = maxNewTokens === undefined ? {} : { maxNewTokens }
  const jobs: [string, (signal: AbortSignal) => Promise<BenchResult>][] =
    http === undefined
      ? folders.map((folder) => [folder, (signal) => here(measure, folder, { ...local, ...prompts, ...count, signal })])
      : [
          [
            http,
            (signal) =>
              benchServer(http, {
                ...prompts,
                ...count,
                ...(model && { model }),
                ...(timeout && { timeout }),
                ...(apiKey && { apiKey }),
                signal,
              }),
          ],
        ]
  // What cannot be written to is said before anything is measured.
  await requireWritable(outputPath, 'folder')
  const outcomes: Outcome[] = []
  const failures: unknown[] = []
  const fail = (name: string, error: unknown): string => {
    failures.push(error)
    const message = messageOf(error, { debug: false }) ?? String(error)
    process.stderr.write(`${colorsFor(process.stderr).red('error:')} ${name}: ${message}\n`)
    return message
  }
  // What was measured is printed, whether or not it can be written.
  const write = async (name: string, file: string, document: object) => {
    await writeDocument(outputPath, file, document).catch((error: unknown) => fail(name, error))
  }
  const files = fileNames(jobs.map(([name]) => name))
  await interruptible(async (signal) => {
    for (const [index, [name, run]] of jobs.entries()) {
      let found: BenchResult
      try {
        found = await run(signal)
      } catch (error) {
        if (signal.aborted || error instanceof Interrupted || jobs.length === 1) throw error
        outcomes.push({ model: name, error: fail(name, error) })
        continue
      }
      outcomes.push(found)
      for (const message of found.errors) fail(name, new RunError(message))
      await write(name, files[index], found)
    }
  })
  if (outcomes.length > 1) await write('summary', 'summary', { results: outcomes })
  if (json) printJson({ results: outcomes })
  else print(`${benchTable(outcomes)}\n\nwritten to ${outputPath}/`)
  if (failures.length > 0) process.exitCode = exitCodeOf(failures[0])
}

type Told = Required<Pick<BenchOptions, 'onPass' | 'onDownload' | 'signal'>>
type Measure = (folder: string, options: BenchOptions & Told) => Promise<BenchResult>

async function here(measure: Measure, folder: string, options: BenchOptions & Pick<Told, 'signal'>): Promise<BenchResult> {
  const display = openDisplay({ quiet: false })
  try {
    return await measure(folder, {
      ...options,
      onDownload: downloadProgress(display),
      onPass: (pass) => display.log(`${basename(resolve(folder))}: ${pass}`),
    })
  } finally {
    display.stop()
  }
}

/** Each folder without a config.json of its own as the checkpoints in it. Errors: UserError for one without any. */
async function expanded(checkpoints: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const path of checkpoints) {
    if (!existsSync(path) || existsSync(join(path, 'config.json'))) found.push(path)
    else {
      // Links to checkpoints count, too: existsSync follows them.
      const inside = (await readdir(path)).filter((name) => existsSync(join(path, name, 'config.json')))
      if (inside.length === 0)
        throw new UserError(`Cannot benchmark ${path}: found neither a config.json nor folders that have one, expected a checkpoint.`)
      found.push(...inside.map((name) => join(path, name)).sort())
    }
  }
  return found
}

async function promptsOf(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch(({ code, message }: NodeJS.ErrnoException) => {
    const found = { EISDIR: 'it is a folder', ENOENT: 'there is no such file' }[code ?? ''] ?? message
    throw new UserError(`Cannot read the prompts in ${file}: ${found}, expected a text file with one a line.`)
  })
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (lines.length === 0) throw new UserError(`Cannot use the prompts in ${file}: found none, expected one a line.`)
  return lines
}

/** A name for the document of each; checkpoints of the same name in different folders are told apart by a number. */
function fileNames(names: readonly string[]): string[] {
  const taken = new Set(['summary'])
  return names.map((name) => {
    const own = (/^https?:/.test(name) ? name : basename(resolve(name))).replace(/[^\w.-]+/g, '_')
    let free = own
    for (let number = 2; taken.has(free); number++) free = `${own}-${number}`
    taken.add(free)
    return free
  })
}

async function writeDocument(folder: string, name: string, document: object): Promise<void> {
  const path = join(folder, `${name}.json`)
  try {
    await makeFolder(folder)
    await writeFile(path, `${JSON.stringify(document, null, 2)}\n`)
  } catch (cause) {
    throw writeError(cause, path)
  }
}

function benchTable(outcomes: readonly Outcome[]): string {
  const columns: Column[] = [
    { title: 'Checkpoint' },
    ...['Load', 'Weights', 'Memory', 'First token', 'Latency', 'Tokens/s', 'Batch tokens/s'].map(
      (title): Column => ({ title, align: 'right' }),
    ),
  ]
  const rows = outcomes.map((outcome) => {
    if ('error' in outcome) return [outcome.model, 'failed', '', '', '', '', '', '']
    const { load_seconds: load, memory, sequential, batch } = outcome
    return [
      outcome.model,
      load === null ? '' : formatSeconds(load),
      memory.weights === null ? '' : formatBytes(memory.weights),
      memory.sequential === null ? '' : formatBytes(memory.sequential),
      formatSeconds(sequential.first_token.median),
      formatSeconds(sequential.latency.median),
      sequential.tokens_per_second.toFixed(1),
      batch === null ? 'failed' : batch.tokens_per_second.toFixed(1),
    ]
  })
  return table(columns, rows)
}
