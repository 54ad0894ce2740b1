import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { claimOutput } from '../../src/checkpoint/output-folder.ts'
import { lockFile } from '../../src/checkpoint/output-lock.ts'
import { UserError } from '../../src/util/errors.ts'

let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmpress-lock-'))
  path = join(folder, 'lock')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const holder = (fields: object) => writeFile(path, JSON.stringify({ run: 'other', host: hostname(), started: null, ...fields }))

describe('lockFile()', () => {
  it('refuses a second run, of this process too, until the first releases it', async () => {
    const lock = await lockFile(path, folder)
    await expect(lockFile(path, folder)).rejects.toThrow(UserError)
    await expect(lockFile(path, folder)).rejects.toThrow(`process ${process.pid} on ${hostname()}`)
    await lock.release()
    await (await lockFile(path, folder)).release()
  })

  it('lets one of many that start together through', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lockFile(path, folder)))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('takes over the lock of a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'])
    await holder({ pid: child.pid })
    await expect(lockFile(path, folder)).rejects.toThrow(`process ${child.pid}`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await lockFile(path, folder)
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ pid: process.pid })
  })

  it('takes over a lock whose process number belongs to a later process', async () => {
    await holder({ pid: process.pid, started: '1' })
    await lockFile(path, folder)
    expect(JSON.parse(await readFile(path, 'utf8')).run).not.toBe('other')
  })

  it('takes over a lock that was not written to the end', async () => {
    await writeFile(path, '{"pid":')
    await lockFile(path, folder)
  })

  it('respects the lock of another machine', async () => {
    await holder({ pid: 1, host: 'elsewhere' })
    await expect(lockFile(path, folder)).rejects.toThrow('process 1 on elsewhere')
  })
})

describe('claimOutput()', () => {
  it('leaves the files of a run that is writing alone', async () => {
    const output = join(folder, 'out')
    const first = await claimOutput(output, false)
    await writeFile(join(output, '.llmpress', 'model.safetensors'), 'half')
    await expect(claimOutput(output, false)).rejects.toThrow('another run')
    expect(await readFile(join(output, '.llmpress', 'model.safetensors'), 'utf8')).toBe('half')
    await first.discard()
    await expect(readFile(output)).rejects.toThrow('ENOENT')
  })
})
