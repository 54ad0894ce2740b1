import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { advice, describeDiagnosis } from '../../src/cli/doctor.ts'
import type { Diagnosis } from '../../src/engine/doctor.ts'

const wasm: Diagnosis = {
  node: 'v20.20.2',
  cores: 2,
  engine: 'wasm',
  detail: 'WebAssembly SIMD, 1 thread',
  rejected: [{ engine: 'native', why: 'not installed\n  at all' }],
  gflops: 21.3,
  cacheDir: '/home/me/.cache/llmpress',
}

// The test runner may force colours on its own output.
beforeEach(() => void vi.stubEnv('FORCE_COLOR', ''))
afterEach(() => void vi.unstubAllEnvs())

describe('advice()', () => {
  test('on wasm: install the native engine', () => expect(advice(wasm).join()).toContain('llmpress native install'))
  test('on native and a long-term Node: nothing', () => expect(advice({ ...wasm, engine: 'native' })).toEqual([]))
  test('on an odd Node: which are tested', () => expect(advice({ ...wasm, engine: 'gpu', node: 'v23.1.0' }).join()).toContain('v23.1.0'))
})

describe('describeDiagnosis()', () => {
  test('says what runs, why not the better one in one line, and how fast', () => {
    const text = describeDiagnosis(wasm)
    expect(text).toMatch(/^Engine +wasm, WebAssembly SIMD, 1 thread$/m)
    expect(text).toMatch(/^Not native +not installed at all$/m)
    expect(text).toMatch(/^Speed +21\.3 GFLOPS/m)
  })
})
