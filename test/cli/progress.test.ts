import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Display, Standing } from '../../src/cli/display.ts'
import { layerProgress, runProgress } from '../../src/cli/progress.ts'
import type { LinearReport } from '../../src/modifiers/modifier.ts'

function recorder() {
  const said: string[] = []
  const logged: string[] = []
  const shown: Standing[] = []
  const display: Display = {
    say: (text) => said.push(text),
    log: (text) => logged.push(text),
    show: (standing) => shown.push(standing),
    stop: () => {},
  }
  return { said, logged, shown, display }
}

const report: LinearReport = { name: 'model.layers.0.up', method: 'GPTQ', scheme: 'W4A16 g128', error: 0.1, errorOf: 'outputs', seconds: 1 }

// The test runner may force colours on its own output.
beforeEach(() => void vi.stubEnv('FORCE_COLOR', ''))
afterEach(() => void vi.unstubAllEnvs())

describe('runProgress()', () => {
  test('foretells the rest from the linears done', () => {
    const { shown, display } = recorder()
    let now = 0
    const onProgress = runProgress(display, () => now)
    onProgress({ type: 'plan', model: 'm', output: 'o', layers: 2, linears: 8, needsInputs: true })
    onProgress({ type: 'layer:start', name: 'model.layers.0', index: 0, of: 2 })
    onProgress({ type: 'stage', layer: 'model.layers.0', stage: 'attention inputs', index: 0, of: 2 })
    expect(shown.at(-1)).toEqual({ done: 0, total: 8, label: 'model.layers.0 · attention inputs', etaSeconds: null, result: '' })
    now = 4000
    onProgress({ type: 'linear', report })
    onProgress({ type: 'linear', report })
    expect(shown.at(-1)).toMatchObject({ done: 2, total: 8, etaSeconds: 12, result: 'error 10.0 %' })
  })

  test("a line per layer has the layer's own seconds, its mean error and what is left", () => {
    const { logged, display } = recorder()
    const onProgress = runProgress(display)
    onProgress({ type: 'linear', report })
    onProgress({ type: 'linear', report: { ...report, error: 0.2 } })
    onProgress({ type: 'layer:done', name: 'model.layers.0', index: 0, of: 3, seconds: 2, etaSeconds: 4 })
    onProgress({ type: 'layer:done', name: 'model.layers.1', index: 1, of: 3, seconds: 5, etaSeconds: 2.5 })
    onProgress({ type: 'layer:done', name: 'model.layers.2', index: 2, of: 3, seconds: 6, etaSeconds: 0 })
    expect(logged).toEqual([
      'layer 1/3 model.layers.0: 2.00 s, mean error 15.0 %, about 4.00 s to go',
      'layer 2/3 model.layers.1: 3.00 s, about 2.50 s to go',
      'layer 3/3 model.layers.2: 1.00 s',
    ])
  })

  test('a fallback is said at once', () => {
    const { said, display } = recorder()
    runProgress(display)({ type: 'linear', report: { ...report, fallback: 'RTN: no damping helped' } })
    expect(said).toEqual(['warning: model.layers.0.up: RTN: no damping helped'])
  })
})

describe('layerProgress()', () => {
  test('shows the layer under way and logs those that are done', () => {
    const { shown, logged, display } = recorder()
    let now = 0
    const onLayer = layerProgress(display, 'scoring', () => now)
    onLayer(0, 2)
    now = 3000
    onLayer(1, 2)
    onLayer(2, 2)
    expect(shown.map(({ label, etaSeconds }) => [label, etaSeconds])).toEqual([
      ['scoring, layer 1 of 2', null],
      ['scoring, layer 2 of 2', 3],
      ['scoring, layer 2 of 2', 0],
    ])
    expect(logged).toEqual(['scoring: layer 1/2, 3.00 s', 'scoring: layer 2/2, 3.00 s'])
  })
})
