import { resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { closingReport, linearsTable, perplexityChange, verificationTable } from '../../src/cli/tables.ts'
import type { LinearReport } from '../../src/modifiers/modifier.ts'
import type { RunRecord } from '../../src/report/record.ts'

function report(name: string, more: Partial<LinearReport> = {}): LinearReport {
  return { name, method: 'GPTQ', scheme: 'W4A16 g128', error: 0.0071, errorOf: 'outputs', seconds: 1.234, ...more }
}

const record: RunRecord = {
  llmpress: '0.1.0',
  model: 'my model',
  output: resolve('out'),
  recipe: { name: 'r', text: '' },
  hashes: { model: '', recipe: '', data: '' },
  sources: [],
  engine: { name: 'wasm', detail: 'WebAssembly SIMD, 1 thread', threads: 2 },
  seed: 0,
  data: {
    source: 'docs-text (built in)',
    rows: 64,
    tokens: 16_384,
    request: { dataset: 'docs-text', numCalibrationSamples: 64, maxSeqLength: 256 },
  },
  linears: [report('model.layers.0.mlp.up_proj')],
  rewritten: [],
  untouched: ['lm_head'],
  foreign: [],
  skipped: [],
  remarks: [],
  warnings: ['model.layers.0.mlp.up_proj: RTN: the Hessian is not positive definite at any damping'],
  size: { before: 1000, after: 400 },
  seconds: { data: 1, layers: 2, total: 3 },
  peakMemory: 5e8,
  files: [],
}

// The test runner may force colours on its own output.
beforeEach(() => void vi.stubEnv('FORCE_COLOR', ''))
afterEach(() => void vi.unstubAllEnvs())

describe('linearsTable()', () => {
  test("has a row per linear, the layer's number on its first", () => {
    const table = linearsTable([
      report('model.layers.0.mlp.up_proj', { rtnError: 0.02 }),
      report('model.layers.0.mlp.down_proj'),
      report('model.layers.1.mlp.up_proj', { method: 'RTN' }),
      report('lm_head'),
    ])
    expect(table.split('\n')).toEqual([
      'Layer  Linear         Method  Scheme      Output error     RTN  Seconds',
      '    0  mlp.up_proj    GPTQ    W4A16 g128       0.710 %  2.00 %     1.23',
      '       mlp.down_proj  GPTQ    W4A16 g128       0.710 %             1.23',
      '    1  mlp.up_proj    RTN     W4A16 g128       0.710 %             1.23',
      '       lm_head        GPTQ    W4A16 g128       0.710 %             1.23',
    ])
  })

  test('has no column for errors of rounding that nobody knows', () => {
    expect(linearsTable([report('lm_head')])).not.toContain('RTN')
  })

  test('fits 100 columns with the longest names and schemes', () => {
    const name = `model.layers.100.block_sparse_moe.experts.${'1'.repeat(40)}.down_proj`
    const table = linearsTable([report(name, { scheme: 'FP8 block 128x128 dynamic', rtnError: 1.234e-9 })])
    expect(Math.max(...table.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(100)
  })
})

describe('closingReport()', () => {
  test('has sizes, warnings, the place, and what to do next', () => {
    const text = closingReport(record)
    expect(text).toMatch(/Size +1\.0 kB → 400 B \(40\.0 %, 2\.50 times smaller\)/)
    expect(text).toMatch(/Warnings\n {2}model\.layers\.0\.mlp\.up_proj: RTN: the Hessian/)
    expect(text).toContain(resolve('out'))
    expect(text).toContain("npx llmpress verify ./out --against 'my model'")
    expect(text).toContain('vllm serve ./out')
  })

  test('says nothing of warnings when there are none', () => {
    expect(closingReport({ ...record, warnings: [] })).not.toContain('Warnings')
  })

  test('has the perplexity before and after where it is known', () => {
    const score = { perplexity: 20, text: 'docs-text (built in)', tokens: 24_480, windows: 96, window: 256, seconds: 1, warnings: [] }
    const scores = { before: score, after: { ...score, perplexity: 20.5 } }
    expect(closingReport(record, scores)).toMatch(
      /Perplexity +20\.00 → 20\.50 \(\+2\.50 %\) over 96 windows of 256 tokens of docs-text \(built in\)/,
    )
    expect(closingReport(record, scores)).toContain('--perplexity docs-text --window 256 --windows 96')
    expect(perplexityChange({ before: score, after: { ...score, perplexity: 19 } })).toContain('(-5.00 %)')
  })
})

describe('verificationTable()', () => {
  test('has errors only where there is an original', () => {
    const linears = [{ name: 'model.layers.0.up', scheme: 'W4A16 g128', error: 0.01 }]
    const verification = { linears, tensors: 1, bytes: 1, problems: [] }
    expect(verificationTable(verification)).toContain('1.00 %')
    expect(verificationTable({ ...verification, linears: [{ ...linears[0], error: null }] })).not.toContain('error')
  })
})
