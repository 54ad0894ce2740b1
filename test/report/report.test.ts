import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { addToReport } from '../../src/report/add-to-report.ts'
import { reportPage } from '../../src/report/page.ts'
import { readRun } from '../../src/report/read-run.ts'
import { readRuns, report, reportFigures } from '../../src/report/report.ts'
import { reportRun } from '../../src/report/run-data.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { useEngine } from '../engine/engines.ts'
import { recipeOf, runTiny } from '../oneshot/runs.ts'
import { recordOf, statisticsOf } from './runs.ts'

useEngine('wasm')

const RTN = recipeOf('QuantizationModifier', { scheme: 'W4A16' })
const GPTQ = recipeOf('GPTQModifier', { scheme: 'W4A16' })

describe('report.html of a run', () => {
  test('holds the statistics of every linear and of what went in, and reads back', async () => {
    const { output, linears, size, kinds } = await runTiny(GPTQ)
    const { statistics, record } = await readRun(output)
    expect(record.linears).toEqual(linears)
    expect(statistics?.flatMap((stage) => stage.linears.map(({ name }) => name))).toEqual(linears.map(({ name }) => name))
    for (const { linears: own, inputs } of statistics ?? []) {
      expect(inputs).toMatchObject({ tokens: 16 * 64 })
      expect(inputs?.largest).toHaveLength(10)
      for (const { before, after, counted, low, high, min, max } of own) {
        expect([before, after].map((counts) => counts.reduce((sum, count) => sum + count))).toEqual([counted, counted])
        expect(before).toHaveLength(150)
        expect(low).toBeLessThanOrEqual(min)
        expect(high).toBeGreaterThanOrEqual(max)
      }
    }
    const total = (side: 'before' | 'after') => (kinds ?? []).reduce((sum, own) => sum + own[side], 0)
    expect({ before: total('before'), after: total('after') }).toEqual(size)
  })

  test('is one file of less than a megabyte and a half that names no other', async () => {
    const { output } = await runTiny(RTN)
    const path = join(output, 'report.html')
    const page = await readFile(path, 'utf8')
    expect((await stat(path)).size).toBeLessThan(1.5e6)
    // As booleans: a failure should not print a megabyte.
    expect(page.includes('default-src &#39;none&#39;')).toBe(true)
    expect(page.match(/(src|href)="(?!data:).*/g)).toBeNull()
    expect(page.match(/<\/script>/g)).toHaveLength(4)
    expect(page.includes('The recipe needs no data')).toBe(true)
  })
})

describe('readRun()', () => {
  test('without its page, or with that of another run, there are no statistics', async () => {
    const [one, two] = [await runTiny(RTN), await runTiny(recipeOf('QuantizationModifier', { scheme: 'W8A16' }))]
    await writeFile(join(one.output, 'report.html'), await readFile(join(two.output, 'report.html')))
    expect((await readRun(one.output)).statistics).toBeNull()
    await rm(join(one.output, 'report.html'))
    expect((await readRun(one.output)).statistics).toBeNull()
    expect((await report(one.output)).includes('No statistics of this run are there')).toBe(true)
  })

  test('a record of another form is refused, and which part of it', async () => {
    const { output } = await runTiny(RTN)
    const path = join(output, 'llmpress-report.json')
    await writeFile(path, JSON.stringify({ ...recordOf(), linears: [{ name: 7 }] }))
    await expect(readRun(output)).rejects.toThrow(CheckpointError)
    await expect(readRun(output)).rejects.toThrow('/linears/0')
  })
})

describe('reportPage()', () => {
  test('names that are markup stay text', async () => {
    const evil = '<img src=x onerror=alert(1)></script><script>alert(2)</script>'
    const record = recordOf({ model: evil, warnings: [evil], recipe: { name: evil, text: evil } })
    record.linears[0].name = evil
    const page = await reportPage([reportRun({ name: evil, record, statistics: statisticsOf(record) })])
    expect(page.includes('<img')).toBe(false)
    expect(page.includes('alert(2)</script>')).toBe(false)
    expect(page.match(/<\/script>/g)).toHaveLength(4)
  })

  test('shows what models wrote for a prompt side by side', async () => {
    const samples = [
      {
        prompt: 'I have a dream',
        texts: [
          { name: 'original', text: 'that' },
          { name: 'out', text: 'which' },
        ],
      },
    ]
    const page = await reportPage([reportRun({ name: 'out', record: recordOf(), statistics: null, samples })])
    expect(/Prompt: I have a dream.*original.*that.*out.*which/s.test(page)).toBe(true)
  })

  test('has at most 512 histograms, of the linears that lose most', () => {
    const record = recordOf()
    record.linears = Array.from({ length: 600 }, (_, i) => ({
      ...record.linears[0],
      name: `model.layers.${i}.mlp.up_proj`,
      error: i / 1000,
    }))
    const run = reportRun({ name: 'out', record, statistics: statisticsOf(record) })
    expect(run.withoutHistogram).toBe(88)
    expect(run.stages?.map(({ linears }) => linears[0].before.length)).toEqual([...Array(88).fill(0), ...Array(512).fill(150)])
  })
})

describe('addToReport()', () => {
  const sample = (prompt: string, text: string) => ({ prompt, texts: [{ name: 'out', text }] })
  const scores = {
    verdict: 'out is close to the original.',
    original: 'org/name',
    rows: [{ name: 'Perplexity on docs-text', unit: 'number' as const, value: 19.291, original: 17.262 }],
  }

  test('shows texts and scores, keeps what the page shows already, and takes the place of what was added for the same prompt', async () => {
    const { output } = await runTiny(RTN)
    const before = await readRun(output)
    await addToReport(output, { samples: [sample('One', 'first'), sample('Two', 'second')] })
    expect(await addToReport(output, { scores })).toBe(join(output, 'report.html'))
    await addToReport(output, { samples: [sample('One', 'third')] })
    expect(await readRun(output)).toEqual({ ...before, samples: [sample('Two', 'second'), sample('One', 'third')], scores })
    const page = await readFile(join(output, 'report.html'), 'utf8')
    expect(/Perplexity on docs-text.*19\.29.*the original 17\.26.*out is close to the original\./s.test(page)).toBe(true)
    expect(/Prompt: Two.*second.*Prompt: One.*third/s.test(page)).toBe(true)
  })

  test('makes a page that is gone anew, and refuses a folder that no run wrote', async () => {
    const { output } = await runTiny(RTN)
    await rm(join(output, 'report.html'))
    await addToReport(output, { scores })
    expect((await readRun(output)).scores).toEqual(scores)
    await rm(join(output, 'llmpress-report.json'))
    await expect(addToReport(output, { scores })).rejects.toThrow(CheckpointError)
  })
})

describe('reportFigures()', () => {
  const runs = ['one', 'two'].map((name) => {
    const record = recordOf({}, { rtnError: 0.02, damping: 0.02, dampingAsked: 0.01 })
    return reportRun({ name, record, statistics: statisticsOf(record) })
  })
  const names = ['size', 'errors', 'gain', 'ranges', 'outliers', 'damping', 'weights', 'channels']

  test('of one run: a file for each figure; those of several begin with their names', async () => {
    expect((await reportFigures([runs[0]], { format: 'csv' })).map(({ name }) => name)).toEqual(names.map((name) => `${name}.csv`))
    const files = await reportFigures(runs, { format: 'csv' })
    expect(files.map(({ name }) => name)).toEqual([
      ...['size', 'errors', 'kinds'].map((name) => `compare-${name}.csv`),
      ...['one', 'two'].flatMap((run) => names.map((name) => `${run}-${name}.csv`)),
    ])
  })

  test('SVG that is well-formed, PNG of twice as many pixels, CSV with all numbers, Markdown tables', async () => {
    for (const { name, content } of await reportFigures([runs[0]], { format: 'svg', theme: 'dark' })) {
      expect(content, name).toMatch(/^<svg width="960" height="\d+" [\s\S]*<\/svg>$/)
    }
    const [png] = await reportFigures([runs[0]], { format: 'png' })
    const bytes = Buffer.from(png.content)
    expect([bytes.toString('latin1', 1, 4), bytes.readUInt32BE(16)]).toEqual(['PNG', 1920])
    const csv = await reportFigures([runs[0]], { format: 'csv' })
    expect(String(csv.find(({ name }) => name === 'weights.csv')?.content).split('\r\n')).toHaveLength(152)
    expect(csv[0].content).toBe('Kind,Bytes before,Bytes after\r\nMLP,1000,400\r\n')
    const [markdown] = await reportFigures([runs[0]], { format: 'md' })
    expect(markdown.content).toContain('| Kind | Bytes before | Bytes after |\n|---|---:|---:|\n| MLP | 1000 | 400 |')
  })
})

describe('readRuns()', () => {
  test('runs in folders of the same name are told apart', async () => {
    const [one, two] = [await runTiny(RTN), await runTiny(RTN)]
    const names = (await readRuns([one.output, two.output])).map(({ name }) => name)
    expect(new Set(names).size).toBe(2)
    for (const name of names) expect(name).toMatch(/^llmpress-test-.*\/out$/)
  })
})
