import type { LinearReport } from '../../src/modifiers/modifier.ts'
import type { RunRecord } from '../../src/report/record.ts'
import type { StageStatistics } from '../../src/report/statistics.ts'

/** A record of two layers with two linears each, to be changed. */
export function recordOf(changes: Partial<RunRecord> = {}, linear: Partial<LinearReport> = {}): RunRecord {
  const names = [0, 1].flatMap((layer) => ['self_attn.v_proj', 'mlp.down_proj'].map((name) => `model.layers.${layer}.${name}`))
  return {
    llmpress: '0.1.0',
    model: 'org/name',
    output: '/models/out',
    recipe: { name: 'mine', text: 'QuantizationModifier:\n  ignore: [lm_head]\n  scheme: W4A16\n' },
    hashes: { model: 'a', recipe: 'b', data: 'none' },
    engine: { name: 'none', detail: 'nothing to multiply', threads: 2 },
    sources: [],
    seed: 0,
    data: null,
    linears: names.map((name) => ({ name, method: 'RTN', scheme: 'W4A16 g128', error: 0.01, errorOf: 'weights', seconds: 0.1, ...linear })),
    rewritten: [],
    untouched: ['lm_head'],
    foreign: [],
    skipped: [],
    remarks: [],
    warnings: [],
    size: { before: 1000, after: 400 },
    kinds: [{ kind: 'MLP', before: 1000, after: 400 }],
    seconds: { data: 0, layers: 1, total: 2 },
    peakMemory: 1e8,
    files: [{ name: 'config.json', bytes: 10, sha256: 'c' }],
    ...changes,
  }
}

/** What was measured of a record's linears, a stage for each. */
export function statisticsOf({ linears }: RunRecord): StageStatistics[] {
  return linears.map(({ name }) => ({
    stage: `${name.split('.').slice(0, 3).join('.')} · ${name.includes('mlp') ? 'mlp output' : 'attention inputs'}`,
    linears: [
      { name, min: -1, max: 1, low: -1, high: 1, counted: 300, total: 1200, before: Array(150).fill(2), after: Array(150).fill(2) },
    ],
    inputs: { tokens: 64, channels: 128, min: -3, max: 4, medianRms: 0.5, largest: [{ channel: 7, rms: 2 }] },
  }))
}
