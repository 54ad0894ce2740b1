import { describe, expect, test } from 'vitest'
import { ResidentModel } from '../../../src/eval/generation/resident-model.ts'
import { wasmMatrices } from '../../../src/kernels/wasm-matrices.ts'
import { openModel } from '../../../src/models/open-model.ts'
import { useEngine } from '../../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleNames, oracleRows, spread } from '../../models/oracles.ts'

useEngine('wasm')

const [row] = oracleRows('checkpoints/input_ids.safetensors', 'eval')
const TOKENS = row.length
/** Read at once, enough for the engine; the rest follows token by token. */
const FIRST = 50

/** Our logits from the last token of the first part on and those of transformers, in units of the latter's standard deviation. */
async function errorsByToken(name: string): Promise<number[]> {
  const expected = oracleFloats(`checkpoints/${name}/reference.safetensors`, 'logits')
  const unit = spread(expected)
  const source = await openModel(oracleFolder(`checkpoints/${name}`))
  const matrices = await wasmMatrices({ threads: 1 })
  const model = await ResidentModel.read(source, matrices)
  try {
    const { vocab } = source.model
    const errors: number[] = []
    const sequence = model.begin(1, TOKENS)
    for (let token = FIRST - 1; token < TOKENS; token++) {
      const logits = await sequence.read(token < FIRST ? row.subarray(0, FIRST) : row.subarray(token, token + 1))
      errors.push(largestDifference(logits, expected.subarray(token * vocab, (token + 1) * vocab)) / unit)
    }
    return errors
  } finally {
    model.dispose()
    await matrices.close()
    await source.close()
  }
}

/** As in reference-checkpoints.test.ts: the size of a step where an input falls to the other side of a middle between codes. */
const DYNAMIC: Record<string, number> = {
  'fp8-block': 0.05,
  'fp8-dynamic': 0.05,
  'fp8-kv-cache': 0.1,
  'rtn-w8a8': 0.3,
  'smoothquant-gptq-w8a8': 0.15,
}

describe('generating with the checkpoints of llm-compressor', () => {
  test.each(oracleNames('checkpoints'))('%s: logits token by token are those of transformers', async (name) => {
    const errors = await errorsByToken(name)
    expect(errors).toHaveLength(TOKENS - FIRST + 1)
    expect(Math.max(...errors)).toBeLessThan(DYNAMIC[name] ?? 1e-3)
  })
})
