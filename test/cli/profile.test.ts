import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { profiled } from '../../src/cli/profile.ts'
import { span } from '../../src/util/span.ts'

interface TraceEvent {
  name: string
  cat: string
  ph: string
  ts: number
  dur: number
  args?: { gflops: number }
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmpress-profile-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function traceOf(work: () => Promise<unknown>): Promise<TraceEvent[]> {
  const file = join(folder, 'trace.json')
  await profiled(file, work)
  const events = JSON.parse(await readFile(file, 'utf8')) as TraceEvent[]
  return events.filter(({ ph }) => ph === 'X')
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

describe('profiled', () => {
  it('writes every span as a complete event, parts within the whole', async () => {
    const events = await traceOf(() =>
      span('stage', 'outer', async () => {
        await span('io', 'inner', () => pause(20))
        span('matmul', 'product', () => Math.sqrt(2), 1e9)
      }),
    )
    expect(events.map(({ name, cat }) => [cat, name])).toEqual([
      ['io', 'inner'],
      ['matmul', 'product'],
      ['stage', 'outer'],
    ])
    const [inner, product, outer] = events
    expect(inner.dur).toBeGreaterThan(15_000)
    expect(outer.ts).toBeLessThanOrEqual(inner.ts)
    expect(outer.ts + outer.dur).toBeGreaterThanOrEqual(product.ts)
    expect(product.args?.gflops).toBeGreaterThan(0)
  })

  it('writes more events than it holds at a time', async () => {
    const events = await traceOf(async () => {
      for (let i = 0; i < 1234; i++) span('step', `${i}`, () => i)
    })
    expect(events.map(({ name }) => name)).toEqual(Array.from({ length: 1234 }, (_, i) => `${i}`))
  })

  it('keeps what there is when the work fails, and hands the error on', async () => {
    const failing = traceOf(async () => {
      span('step', 'first', () => 1)
      throw new Error('no more')
    })
    await expect(failing).rejects.toThrow('no more')
    const events = JSON.parse(await readFile(join(folder, 'trace.json'), 'utf8')) as TraceEvent[]
    expect(events.at(-1)?.name).toBe('first')
  })

  it('writes over an earlier trace, and over nothing else', async () => {
    await traceOf(async () => span('step', 'once', () => 1))
    expect((await traceOf(async () => span('step', 'again', () => 2))).map(({ name }) => name)).toEqual(['again'])
    const recipe = join(folder, 'recipe.yaml')
    await writeFile(recipe, '- gptq: {}\n')
    await expect(profiled(recipe, async () => 1)).rejects.toThrow(/Cannot write the profile .*recipe\.yaml: found another file/)
    expect(await readFile(recipe, 'utf8')).toBe('- gptq: {}\n')
  })

  it('a full disk costs the trace and not the result', async () => {
    const said: string[] = []
    const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
    try {
      expect(await profiled('/dev/full', async () => span('step', 'work', () => 7))).toBe(7)
    } finally {
      stderr.mockRestore()
    }
    expect(said.join('')).toMatch(/^warning: the profile \/dev\/full is not whole: ENOSPC/)
  })

  it('is a user error before the work where the file cannot be made', async () => {
    let began = false
    const begin = async () => {
      began = true
    }
    await expect(profiled(join(folder, 'no', 'such', 'trace.json'), begin)).rejects.toThrow(/Cannot write the profile .*trace\.json/)
    expect(began).toBe(false)
  })
})
