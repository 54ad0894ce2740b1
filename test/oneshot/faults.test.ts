import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, existsSync, mkdtempSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { availableBytes } from '../../src/checkpoint/disk-space.ts'
import { CheckpointWriter } from '../../src/checkpoint/writer.ts'
import { exitCodeOf, messageOf } from '../../src/cli/exit.ts'
import { nativeFolder } from '../../src/engine/native-folder.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny, sameBytes, tinyWith } from './runs.ts'

useEngine('wasm')

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })

// An entry after every layer: the runs of these tests last less than the usual five seconds.
beforeEach(() => void vi.stubEnv('LLMPRESS_JOURNAL_SECONDS', '0.000001'))
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})

/** What a run rejects with. */
async function failureOf(run: Promise<unknown>): Promise<Error> {
  const error = await run.catch((thrown: unknown) => thrown)
  if (!(error instanceof Error)) throw new Error('expected the run to fail')
  return error
}

/** One line that says `message`, under the exit code. */
function expectClear(error: Error, code: number, message: RegExp): void {
  expect(error.message).toMatch(message)
  expect(exitCodeOf(error), error.message).toBe(code)
  expect(messageOf(error, { debug: false })).toBe(error.message)
  expect(error.message).not.toContain('\n')
}

/** Does something when the second of the two layers begins: the first is in the journal then. */
const atSecondLayer = (act: () => void) => (event: ProgressEvent) => {
  if (event.type === 'layer:start' && event.index === 1) act()
}

/** The same call again takes over the first layer and gives the bytes of a run that nothing happened to. */
async function expectToGoOn(recipe: object, output: string, model?: string): Promise<void> {
  const started: number[] = []
  const options = model === undefined ? {} : { model }
  await runTiny(recipe, { ...options, output, onProgress: (event) => event.type === 'layer:start' && started.push(event.index) })
  expect(started).toEqual([1])
  const { output: whole } = await runTiny(recipe, options)
  for (const name of ['model.safetensors', 'config.json', 'tokenizer.json'])
    expect(sameBytes(await readFile(join(output, name)), await readFile(join(whole, name))), name).toBe(true)
}

describe.each([
  ['GPTQ', GPTQ],
  ['rounding', RTN],
])('%s, when its model changes under it', (_, recipe) => {
  test('a shard that ends early: says where, keeps what is done, goes on once the file is back', async () => {
    const [model, output] = [await tinyWith({}), join(await temporaryFolder(), 'out')]
    const weights = join(model, 'model.safetensors')
    const content = await readFile(weights)
    const error = await failureOf(runTiny(recipe, { model, output, onProgress: atSecondLayer(() => truncateSync(weights, 400_000)) }))
    expect(error).toBeInstanceOf(RunError)
    expectClear(error, 1, /^Cannot read model\.layers\.1\.\S+ of .*model\.safetensors: at byte \d+ the file ends.*became shorter/)
    expect(await readdir(output)).toEqual(['.llmpress'])
    expect(await failureOf(runTiny(recipe, { model, output }))).toBeInstanceOf(UserError)
    const [access, modified] = [new Date(1e12), new Date(1e12)]
    await writeFile(weights, content)
    utimesSync(weights, access, modified)
    // Another time of change is another model, as far as the journal can know.
    expectClear(await failureOf(runTiny(recipe, { model, output })), 2, /the model differed then.*--restart/)
    await runTiny(recipe, { model, output, restart: true })
  })

  test('other bytes in place: ends at the end of the layer, which does not count as finished', async () => {
    const [model, output] = [await tinyWith({}), join(await temporaryFolder(), 'out')]
    const weights = join(model, 'model.safetensors')
    const [content, time] = [await readFile(weights), new Date(1.6e12)]
    utimesSync(weights, time, time)
    const rewrite = () => writeFileSync(weights, content)
    const error = await failureOf(runTiny(recipe, { model, output, onProgress: atSecondLayer(rewrite) }))
    expect(error).toBeInstanceOf(RunError)
    expectClear(error, 1, /^Cannot go on with .*model\.safetensors: it was changed since it was opened/)
    utimesSync(weights, time, time)
    await expectToGoOn(recipe, output, model)
  })

  test('a model that is removed or replaced by another file: what is open is read to its end', async () => {
    const [model, output] = [await tinyWith({}), join(await temporaryFolder(), 'out')]
    const record = await runTiny(recipe, { model, output, onProgress: atSecondLayer(() => rmSync(model, { recursive: true })) })
    expect(record.warnings).toEqual([])
  })
})

describe('the output folder', () => {
  test.each([
    ['GPTQ', GPTQ],
    ['rounding', RTN],
  ])('%s: removed during the run, ends the run at the end of the layer', async (_, recipe) => {
    const parent = await temporaryFolder()
    const output = join(parent, 'out')
    const before = tf.memory().numTensors
    const error = await failureOf(runTiny(recipe, { output, onProgress: atSecondLayer(() => rmSync(output, { recursive: true })) }))
    expect(error).toBeInstanceOf(RunError)
    expectClear(error, 1, /^Cannot (go on writing|write) .*out.*removed meanwhile/)
    expect(await readdir(parent)).toEqual([])
    expect(tf.memory().numTensors).toBe(before)
    await runTiny(recipe, { output })
  })

  test('taken by another run meanwhile: is left to it, lock and files', async () => {
    const output = join(await temporaryFolder(), 'out')
    const lock = join(output, '.llmpress', 'lock')
    const error = await failureOf(
      runTiny(RTN, { output, onProgress: atSecondLayer(() => writeFileSync(lock, JSON.stringify({ run: 'other', pid: 1, host: 'h' }))) }),
    )
    expectClear(error, 1, /another run has taken the folder meanwhile/)
    expect(JSON.parse(await readFile(lock, 'utf8'))).toMatchObject({ run: 'other' })
    expect(existsSync(join(output, '.llmpress', 'model.safetensors'))).toBe(true)
  })

  test('wanted by two runs at once: the second is refused with the process of the first, which is not disturbed', async () => {
    const output = join(await temporaryFolder(), 'out')
    // The first, for as long as the second takes to be refused.
    const first = await CheckpointWriter.open(output, [])
    const error = await failureOf(runTiny(GPTQ, { output }))
    expectClear(error, 2, new RegExp(`another run \\(process ${process.pid} on .*\\) is writing there`))
    await first.writeFile('config.json', Buffer.from('{}'))
    await first.finish()
    expect(await readdir(output)).toEqual(['config.json'])
  })
})

/** Four layers, and an embedding of 2 MB. */
const SHIPPED = fileURLToPath(new URL('../../examples/models/docs-llama-4m', import.meta.url))
/** What lies beside the tensors: the tokenizer, the page, the journal. */
const BESIDE = 2 << 20

/** Mounting needs root; without it there are limits of file sizes, and rights. */
const canMount = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'llmpress-mount-'))
  const isMounted = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', folder]).status === 0
  if (isMounted) execFileSync('umount', [folder])
  rmSync(folder, { recursive: true })
  return isMounted
})()

/** A file system of its own in a temporary folder. */
async function mounted(options: string): Promise<string> {
  const folder = join(await temporaryFolder(), 'disk')
  await mkdir(folder)
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
  onTestFinished(() => void execFileSync('umount', [folder]))
  return folder
}

describe.runIf(canMount)('a disk', () => {
  test.each([
    ['GPTQ', GPTQ],
    ['rounding', RTN],
  ])('%s: that fills up during the run: says so, keeps the layers that are done, goes on once there is room', async (_, recipe) => {
    const disk = await mounted('size=4m')
    const [output, filler] = [join(disk, 'out'), join(disk, 'filler')]
    const fill = () => {
      try {
        for (;;) appendFileSync(filler, Buffer.alloc(4096))
      } catch {
        // Full.
      }
    }
    const error = await failureOf(runTiny(recipe, { output, onProgress: atSecondLayer(fill) }))
    expect(error).toBeInstanceOf(RunError)
    expectClear(error, 1, /^Cannot write .*out.*: the disk is full; free some space/)
    expect(await readdir(output)).toEqual(['.llmpress'])
    await rm(filler)
    await expectToGoOn(recipe, output)
  })

  test('with room for one checkpoint alone: a stopped run goes on, and begins again, though most of the room is taken by what it left', async () => {
    const recipe = recipeOf('QuantizationModifier', { scheme: 'W8A16' })
    const whole = await runTiny(recipe, { model: SHIPPED })
    const output = join(await mounted(`size=${whole.size.after + BESIDE}`), 'out')
    const halfway = () => {
      const stop = new AbortController()
      const onProgress = (event: ProgressEvent) => event.type === 'layer:done' && event.index === event.of - 2 && stop.abort()
      return { model: SHIPPED, output, stop: stop.signal, onProgress }
    }
    expectClear(await failureOf(runTiny(recipe, halfway())), 75, /^Stopped after layer/)
    expect(await availableBytes(output)).toBeLessThan(whole.size.after)
    expectClear(await failureOf(runTiny(recipe, { ...halfway(), restart: true })), 75, /^Stopped after layer/)
    await runTiny(recipe, { model: SHIPPED, output })
    expect(sameBytes(await readFile(join(output, 'model.safetensors')), await readFile(join(whole.output, 'model.safetensors')))).toBe(true)
  })

  test('that is too small is refused before compute', async () => {
    const output = join(await mounted('size=64k'), 'out')
    expectClear(await failureOf(runTiny(RTN, { output })), 2, /^Cannot write .*out: .* are free on its disk, expected/)
  })

  test('that is read-only is refused as output, and will do as the model', async () => {
    const disk = await mounted('size=4m')
    const model = join(disk, 'tiny')
    execFileSync('cp', ['-r', await tinyWith({}), model])
    execFileSync('mount', ['-o', 'remount,ro', disk])
    expectClear(await failureOf(runTiny(RTN, { output: join(disk, 'out') })), 2, /^Cannot write .*: the file system is read-only/)
    expect((await runTiny(GPTQ, { model })).warnings).toEqual([])
  })
})

describe.runIf(process.getuid?.() !== 0)('a folder', () => {
  test('that may not be written is refused before compute', async () => {
    const folder = await temporaryFolder()
    chmodSync(folder, 0o500)
    expectClear(await failureOf(runTiny(RTN, { output: join(folder, 'out') })), 2, /permission denied/)
    chmodSync(folder, 0o700)
  })
})

test('a disk quota that is used up, as a limit of file sizes: one line, exit code 1, nothing left', async () => {
  const folder = await temporaryFolder()
  const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
  const model = await tinyWith({})
  // 100 kB in blocks of 1024; the signal that comes with the limit is ignored, as by programs that check their writes.
  const command = `trap '' XFSZ; ulimit -f 100; exec "$0" "$@"`
  const run = ['-c', command, process.execPath, main, 'oneshot', model, '--recipe', 'W4A16', '--output', join(folder, 'out'), '--quiet']
  const { status, stdout, stderr } = spawnSync('bash', run, { encoding: 'utf8' })
  expect(stderr).toMatch(/^error: Cannot write .*model\.safetensors: .*\n$/)
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(await readdir(folder)).toEqual([])
})

test('a kernel thread that dies ends the run and keeps the layers that are done', async () => {
  const output = join(await temporaryFolder(), 'out')
  const before = tf.memory().numTensors
  let isDue = false
  const post = Worker.prototype.postMessage
  const spy = vi.spyOn(Worker.prototype, 'postMessage').mockImplementation(function (this: Worker, ...message: unknown[]) {
    if (isDue) void this.terminate()
    else post.apply(this, message as [unknown])
  })
  const onProgress = atSecondLayer(() => {
    isDue = true
  })
  const error = await failureOf(runTiny(GPTQ, { output, onProgress }))
  spy.mockRestore()
  expect(error).toBeInstanceOf(RunError)
  expectClear(error, 1, /^Cannot run the kernels: worker \d ended with exit code 1/)
  expect(tf.memory().numTensors).toBe(before)
  await expectToGoOn(GPTQ, output)
})

describe('a native engine that is installed and does not load', () => {
  beforeEach(async () => {
    const cache = await temporaryFolder()
    vi.stubEnv('LLMPRESS_CACHE', cache)
    const folder = join(nativeFolder(false), 'node_modules', '@tensorflow', 'tfjs-node')
    await mkdir(join(folder, 'lib', 'napi-v8'), { recursive: true })
    await writeFile(join(folder, 'lib', 'napi-v8', 'tfjs_binding.node'), '')
    await writeFile(join(folder, 'package.json'), '{"name": "@tensorflow/tfjs-node", "main": "index.js"}')
    await writeFile(join(folder, 'index.js'), 'throw new Error("libtensorflow.so.2: cannot open")')
  })

  test('auto computes with wasm and warns, in the record too', async () => {
    const warnings: string[] = []
    const onProgress = (event: ProgressEvent) => event.type === 'warning' && warnings.push(event.message)
    const record = await runTiny(GPTQ, { engine: 'auto', onProgress })
    expect(record.engine.name).toBe('wasm')
    expect(record.warnings).toEqual([
      expect.stringMatching(/^the native engine is not used: .*libtensorflow\.so\.2: cannot open; wasm computes$/),
    ])
    expect(warnings).toEqual(record.warnings)
  })

  test('asked for by name, or under --strict, it is an error', async () => {
    const folder = await temporaryFolder()
    const output = join(folder, 'out')
    expectClear(await failureOf(runTiny(GPTQ, { engine: 'native', output })), 2, /^Cannot use the native engine: .*libtensorflow/)
    expectClear(await failureOf(runTiny(GPTQ, { engine: 'auto', strict: true, output })), 2, /under --strict: the native engine/)
    expect(await readdir(folder)).toEqual([])
  })
})
