import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { seededUint32 } from '../../src/util/rng.ts'
import { TINY } from './model-copy.ts'
import { eventsOf, runCli, said, startCli } from './run-cli.ts'

let dir: string
let output: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'llmpress-interrupted-'))
  output = join(dir, 'out')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const GPTQ = ['--recipe', 'gptq-w4a16', '--num-calibration-samples', '48', '--max-seq-length', '128', '--engine', 'wasm']
const RTN = ['--recipe', 'W4A16']

const start = (folder: string, flags: readonly string[], env: Record<string, string> = {}) =>
  startCli(['oneshot', TINY, '--output', folder, ...flags], dir, env)
const run = (folder: string, flags: readonly string[], env: Record<string, string> = {}) => start(folder, flags, env).result

/** The bytes of what a run wrote, by name; not of the report and the card, which hold seconds and the folder's name, nor its scratch folder. */
async function filesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder))
    .filter((name) => !['llmpress-report.json', 'report.html', 'README.md', '.llmpress'].includes(name))
    .sort()
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')])))
}

async function expectSameFiles(one: string, two: string): Promise<void> {
  const [a, b] = await Promise.all([filesOf(one), filesOf(two)])
  expect(Object.keys(a)).toEqual(Object.keys(b))
  for (const name of Object.keys(a)) expect(a[name] === b[name], name).toBe(true)
}

describe('oneshot: asked to stop', { timeout: 180_000 }, () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s in a layer: finishes it, exits 75, and the same command goes on',
    async (signal) => {
      const process = start(output, GPTQ)
      await said(process, 'layers to compress')
      await said(process, 'engine: wasm')
      process.child.kill(signal)
      const { code, stdout, stderr } = await process.result
      expect(stderr).toContain('Stopping after the layer in hand')
      expect(stderr).toMatch(/^error: Stopped after layer 1 of 2: the same command goes on from there\.$/m)
      expect(stdout).toBe('')
      expect(code).toBe(75)
      expect(await readdir(output)).toEqual(['.llmpress'])
      const again = await run(output, GPTQ)
      expect(again.stderr).toContain('going on after layer 1 of 2')
      expect(again.stderr).not.toContain('layer 1/2')
      expect(again.code).toBe(0)
      await run(join(dir, 'whole'), GPTQ)
      await expectSameFiles(output, join(dir, 'whole'))
    },
  )

  test('twice: quits at once', async () => {
    // So many rows that the layer in hand takes longer than a second interruption has to wait.
    const process = start(output, [...GPTQ, '--num-calibration-samples', '400'])
    await said(process, 'engine: wasm')
    process.child.kill('SIGINT')
    await said(process, 'Stopping after the layer in hand')
    await setTimeout(400)
    process.child.kill('SIGINT')
    expect(await process.result).toMatchObject({ code: 130 })
    expect((await readdir(output)).filter((name) => name !== '.llmpress')).toEqual([])
    expect(await run(output, [...RTN, '--restart'])).toMatchObject({ code: 0 })
    expect(await readdir(output)).not.toContain('.llmpress')
  })

  test('another run into the folder is refused, names what differs, and --restart begins it', async () => {
    const process = start(output, GPTQ)
    await said(process, 'engine: wasm')
    process.child.kill('SIGINT')
    await process.result
    const other = await run(output, RTN)
    expect(other.stderr).toMatch(/^error: Cannot go on with the run .* the recipe and the calibration rows.*--restart/m)
    expect(other.code).toBe(2)
    expect(await run(output, [...RTN, '--restart'])).toMatchObject({ code: 0 })
    expect(await runCli(['verify', output, '--against', TINY])).toMatchObject({ code: 0 })
  })
})

describe('oneshot: killed', () => {
  test.each([
    ['GPTQ', GPTQ],
    ['rounding', RTN],
  ])('%s: once the checkpoint is up, the same command gives it and computes nothing', { timeout: 180_000 }, async (_, flags) => {
    const process = start(output, flags)
    while (!existsSync(join(output, 'config.json'))) await setTimeout(1)
    process.child.kill('SIGKILL')
    await process.result
    const before = await readFile(join(output, 'llmpress-report.json'), 'utf8')
    const { code, stdout, stderr } = await run(output, [...flags, '--json'])
    expect(stderr).toContain(`${output} has the result of this very run already, whole: nothing to compute`)
    expect(stderr).not.toMatch(/^layer|^done in/m)
    expect(code).toBe(0)
    const events = eventsOf<{ type: string; record?: unknown }>(stdout)
    expect(events.map(({ type }) => type)).toEqual(['plan', 'found', 'done'])
    expect(events[2].record).toEqual(JSON.parse(before))
    expect(await readdir(output)).not.toContain('.llmpress')
    expect(await readFile(join(output, 'llmpress-report.json'), 'utf8')).toBe(before)
    expect((await run(output, flags)).stdout).toMatch(/^Checkpoint +\S+out$/m)
    expect(await runCli(['verify', output, '--against', TINY])).toMatchObject({ code: 0 })
    const other = await run(output, ['--recipe', 'W8A16'])
    expect(other.stderr).toMatch(/^error: .* not empty .*--overwrite.* Another run made what is there: the recipe/m)
    expect(other.code).toBe(2)
  })

  // LLMPRESS_TEST_KILLS=40 for the long proof.
  const KILLS = Number(process.env.LLMPRESS_TEST_KILLS ?? 4) / 2
  // An entry after every layer: the runs of this test last seconds.
  const ENV = { LLMPRESS_JOURNAL_SECONDS: '0.000001' }

  test.each([
    ['GPTQ', GPTQ],
    ['rounding', RTN],
  ])(
    '%s: killed at random moments, it ends with the files of a run that was left alone',
    { timeout: Math.max(600, 90 * KILLS) * 1000 },
    async (name, flags) => {
      const whole = join(dir, 'whole')
      const started = performance.now()
      expect(await run(whole, flags, ENV)).toMatchObject({ code: 0 })
      const usual = performance.now() - started
      const next = seededUint32(name.length)
      let kills = 0
      for (let round = 0; kills < KILLS; round++) {
        const folder = join(dir, `out-${round}`)
        // Each round is one run, killed and called again until it gets through.
        // With every kill it gets more time, or a slow machine would never let it through.
        for (let done = false, times = 1; !done; times++) {
          const process = start(folder, flags, ENV)
          await Promise.race([process.result, setTimeout((next() / 2 ** 32) * usual * 1.2 * times)])
          process.child.kill('SIGKILL')
          const { code } = await process.result
          if (code !== 0) kills++
          // Killed once all was written, it has nothing left to go on with.
          done = code === 0 || (existsSync(join(folder, 'config.json')) && !existsSync(join(folder, '.llmpress')))
          if (done) continue
          // config.json comes last: with it everything is there.
          if (existsSync(join(folder, 'config.json'))) await expectSameFiles(folder, whole)
        }
        await expectSameFiles(folder, whole)
      }
      expect(kills).toBeGreaterThanOrEqual(KILLS)
    },
  )
})
