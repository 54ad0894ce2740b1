import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { advice, describeDiagnosis, warnings } from '../../src/cli/doctor.ts'
import type { Diagnosis } from '../../src/engine/doctor.ts'
import { nvidiaGpus } from '../../src/engine/nvidia-gpus.ts'
import { requirements } from '../../src/engine/requirements.ts'

const wasm: Diagnosis = {
  node: 'v20.20.2',
  cores: 2,
  engine: 'wasm',
  detail: 'WebAssembly SIMD, 1 thread',
  rejected: [{ engine: 'native', why: 'not installed\n  at all' }],
  gflops: 21.3,
  gpus: [],
  requirements: [
    { name: 'Node', version: 'v20.20.2', range: '>=20.19', fits: true },
    { name: '@tensorflow/tfjs-core', version: '4.22.0', range: '^4.22.0', fits: true },
  ],
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

describe('warnings()', () => {
  const on = (capability: number) => warnings({ ...wasm, gpus: [{ name: 'NVIDIA A100', capability }] })
  test('of a GPU without FP8: what to take instead, and that it is emulated here', () => {
    expect(on(8)).toEqual([
      expect.stringMatching(/^NVIDIA A100 has compute capability 8\.0, .* from 8\.9 on: .*INT8 .*INT4 .*emulates FP8/),
    ])
    expect(on(8.6)).toHaveLength(1)
  })
  test.each([8.9, 9, 10, 12])('of a GPU with FP8 (%d): none', (capability) => expect(on(capability)).toEqual([]))
  test('of no GPU: none', () => expect(warnings(wasm)).toEqual([]))
  test('several GPUs of one kind are one warning', () => {
    const gpu = { name: 'NVIDIA T4', capability: 7.5 }
    expect(warnings({ ...wasm, gpus: [gpu, gpu] })).toHaveLength(1)
  })
  test('of versions that package.json does not allow', () => {
    expect(warnings({ ...wasm, requirements: requirements('v18.0.0', (name) => (name.endsWith('core') ? '3.9.0' : null)) })).toEqual([
      expect.stringMatching(/^Node is v18\.0\.0, expected >=\d/),
      expect.stringMatching(/^@tensorflow\/tfjs-core is 3\.9\.0, expected \^4/),
      expect.stringMatching(/^@tensorflow\/tfjs-backend-wasm is not there, expected \^4/),
    ])
  })
  test('of the versions that run this test: none', () => expect(warnings({ ...wasm, requirements: requirements() })).toEqual([]))
})

describe('nvidiaGpus()', () => {
  test('reads what the driver answers, and nothing where it does not', async () => {
    const answer = '8.9, NVIDIA GeForce RTX 4090\n9.0, NVIDIA H100 80GB HBM3\n[N/A], Tesla K80\n'
    expect(await nvidiaGpus(async () => answer)).toEqual([
      { name: 'NVIDIA GeForce RTX 4090', capability: 8.9 },
      { name: 'NVIDIA H100 80GB HBM3', capability: 9 },
    ])
    expect(await nvidiaGpus(async () => 'NVIDIA-SMI has failed because it could not communicate with the driver.')).toEqual([])
    expect(await nvidiaGpus(() => Promise.reject(new Error('ENOENT')))).toEqual([])
  })
})

describe('describeDiagnosis()', () => {
  test('has the GPU, the versions and the warnings', () => {
    const text = describeDiagnosis({ ...wasm, gpus: [{ name: 'NVIDIA A100', capability: 8 }] })
    expect(text).toMatch(/^GPU +NVIDIA A100, compute capability 8\.0$/m)
    expect(text).toMatch(/^Node +v20\.20\.2 \(>=20\.19\)$/m)
    expect(text).toMatch(/^@tensorflow\/tfjs-core +4\.22\.0 \(\^4\.22\.0\)$/m)
    expect(text).toMatch(/^Warnings\n {2}NVIDIA A100 has/m)
  })

  test('says what runs, why not the better one in one line, and how fast', () => {
    const text = describeDiagnosis(wasm)
    expect(text).toMatch(/^Engine +wasm, WebAssembly SIMD, 1 thread$/m)
    expect(text).toMatch(/^Not native +not installed at all$/m)
    expect(text).toMatch(/^Speed +21\.3 GFLOPS/m)
  })
})
