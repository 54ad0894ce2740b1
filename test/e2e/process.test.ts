import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { TINY } from './model-copy.ts'
import { runCli } from './run-cli.ts'

const cli = (file: string) => new URL(`../../dist/cli/${file}.js`, import.meta.url).href

/** Runs a module in a process of its own. */
function runModule(source: string): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  return { code: status, stdout, stderr }
}

/** A signal has reached its handlers some turns after it was sent. */
const SIGNAL = (name: string) => `process.kill(process.pid, '${name}'); await new Promise((resolve) => setTimeout(resolve, 100))`
const WITH_INTERRUPTS = `import { interruptible, quitOnSignals } from '${cli('interrupt')}'
quitOnSignals()
const report = (error) => console.log(error.name + ': ' + error.message)`

describe('tolerateClosedStreams()', () => {
  const start = `import { tolerateClosedStreams } from '${cli('output')}'
tolerateClosedStreams()
const fail = (stream, code) => stream.emit('error', Object.assign(new Error(code + ': it failed'), { code }))`

  test('says in one line that stdout cannot be written, exit code 1', () => {
    const { code, stderr } = runModule(`${start}\nfail(process.stdout, 'ENOSPC')`)
    expect(stderr).toBe('error: Cannot write the result to stdout: ENOSPC: it failed.\n')
    expect(code).toBe(1)
  })

  test('ends quietly when the reader of stdout does', () => {
    expect(runModule(`${start}\nfail(process.stdout, 'EPIPE')`)).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test.each(['EPIPE', 'ENOSPC', 'EIO'])('goes on when stderr gives %s', (code) => {
    expect(runModule(`${start}\nfail(process.stderr, '${code}')\nconsole.log('on')`)).toEqual({ code: 0, stdout: 'on\n', stderr: '' })
  })
})

describe('quitOnSignals()', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s before a command has begun ends the process at once', (name) => {
    const { code, stdout, stderr } = runModule(`${WITH_INTERRUPTS}\n${SIGNAL(name)}\nconsole.log('still here')`)
    expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: '', stderr: 'error: Interrupted.\n' })
  })

  test('is the first thing that the command line does', () => {
    // The signal is sent the moment the handler of the last one is put on: the commands are not loaded then.
    const preload = `process.on('newListener', (name) => name === 'SIGHUP' && process.kill(process.pid, 'SIGTERM'))`
    const main = fileURLToPath(cli('main'))
    const flags = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
    const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, main, 'plan', TINY, '-r', 'W4A16'], { encoding: 'utf8' })
    expect({ status, stdout, stderr }).toEqual({ status: 130, stdout: '', stderr: 'error: Interrupted.\n' })
  })
})

describe('interruptible()', () => {
  const until = `const aborted = (signal) => new Promise((resolve) => signal.addEventListener('abort', resolve))`

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s aborts the work, which cleans up', (name) => {
    const work = 'async (signal) => { await aborted(signal); console.log("cleaning"); signal.throwIfAborted() }'
    const { code, stdout } = runModule(`${WITH_INTERRUPTS}\n${until}
setTimeout(() => process.kill(process.pid, '${name}'), 20)
const alive = setInterval(() => {}, 1000)
await interruptible(${work}, 'Interrupted: all clean.').catch(report)
clearInterval(alive)`)
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'cleaning\nInterrupted: Interrupted: all clean.\n' })
  })

  test('says nothing of what is left when the work fails on its way out', () => {
    const work = 'async (signal) => { await aborted(signal); throw new Error("the disk failed") }'
    const { stdout } = runModule(`${WITH_INTERRUPTS}\n${until}
setTimeout(() => process.kill(process.pid, 'SIGTERM'), 20)
const alive = setInterval(() => {}, 1000)
await interruptible(${work}, 'Interrupted: all clean.').catch(report)
clearInterval(alive)`)
    expect(stdout).toBe('Interrupted: Interrupted. the disk failed\n')
  })

  test('a signal while the result is printed is no interruption; a second one ends the process', () => {
    const start = `${WITH_INTERRUPTS}\nconsole.log(await interruptible(async () => 'result'))\n${SIGNAL('SIGINT')}\n`
    expect(runModule(`${start}console.log('end')`)).toEqual({ code: 0, stdout: 'result\nend\n', stderr: '' })
    const later = 'await new Promise((resolve) => setTimeout(resolve, 400))'
    expect(runModule(`${start}${later}\n${SIGNAL('SIGINT')}\nconsole.log('end')`)).toMatchObject({ code: 130, stdout: 'result\n' })
  })

  test('a signal that comes twice at once, as npx passes it on, counts once', () => {
    const start = `${WITH_INTERRUPTS}\nconsole.log(await interruptible(async () => 'result'))\n`
    const twice = `${SIGNAL('SIGINT')}\n${SIGNAL('SIGINT')}\n`
    expect(runModule(`${start}${twice}console.log('end')`)).toEqual({ code: 0, stdout: 'result\nend\n', stderr: '' })
  })
})

describe('flags and arguments with empty values', () => {
  test.each([
    [['plan', TINY, '-r', 'W4A16', '-o', ''], '--output'],
    [['oneshot', TINY, '-r', 'W4A16', '-o', ' '], '--output'],
    [['plan', TINY, '-r', ''], '--recipe'],
    [['plan', TINY, '-r', 'W4A16', '--modifiers', ''], '--modifiers'],
    [['oneshot', TINY, '-r', 'W4A16', '--dataset', ''], '--dataset'],
    [['oneshot', '', '-r', 'W4A16'], '<model>'],
    [['verify', TINY, '--against', ''], '--against'],
    [['eval', TINY, '--perplexity', ''], '--perplexity'],
  ])('%j: names what is empty', async (args, name) => {
    expect(await runCli(args)).toEqual({
      code: 2,
      stdout: '',
      stderr: `error: Cannot use ${name}: found an empty text, expected a value.\n`,
    })
  })

  test('--threads 1000 is refused at once', async () => {
    const { code, stderr } = await runCli(['oneshot', TINY, '-r', 'W4A16', '--threads', '1000'])
    expect(stderr).toContain('from 1 to 64')
    expect(code).toBe(2)
  })

  test('--help says where errors go', async () => {
    expect((await runCli(['--help'])).stdout).toContain('On errors the message is on stderr and stdout stays empty')
  })
})
