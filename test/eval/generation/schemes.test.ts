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

interface Reading {
  folder: string
  row: Int32Array
  /** Of transformers, [tokens, vocab]. */
  expected: Float32Array
  /** Tokens that are read at once. */
  first: number
}

/** Our logits from the last token of the first part on and those of transformers, in units of the latter's standard deviation. */
async function errorsByToken({ folder, row, expected, first }: Reading): Promise<number[]> {
  const unit = spread(expected)
  const source = await openModel(oracleFolder(folder))
  const matrices = await wasmMatrices({ threads: 1 })
  const model = await ResidentModel.read(source, matrices)
  try {
    const { vocab } = source.model
    const errors: number[] = []
    const sequence = model.begin(1, row.length)
    for (let token = first - 1; token < row.length; token++) {
      const logits = await sequence.read(token < first ? row.subarray(0, first) : row.subarray(token, token + 1))
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
    const expected = oracleFloats(`checkpoints/${name}/reference.safetensors`, 'logits')
    const errors = await errorsByToken({ folder: `checkpoints/${name}`, row, expected, first: FIRST })
    expect(errors).toHaveLength(TOKENS - FIRST + 1)
    expect(Math.max(...errors)).toBeLessThan(DYNAMIC[name] ?? 1e-3)
  })
})

// Blocks by row, run over row ends (in halves, and in none that are held as codes), and Conv1D.
const FOUR_BIT = ['nf4', 'nf4-double', 'fp4', 'odd-nf4', 'odd-fp4', 'gpt2-nf4', 'gpt2-fp4-double']

describe('generating with the 4-bit checkpoints of transformers and bitsandbytes', () => {
  test.each(FOUR_BIT)('%s: logits token by token are theirs', async (name) => {
    const folder = `bitsandbytes/${name}`
    const [row] = oracleRows(`${folder}/logits.safetensors`, 'input_ids')
    const expected = oracleFloats(`${folder}/logits.safetensors`, 'logits')
    const errors = await errorsByToken({ folder, row, expected: expected.subarray(0, expected.length / 2), first: 2 })
    expect(errors).toHaveLength(row.length - 1)
    expect(Math.max(...errors)).toBeLessThan(2e-5)
  })

  test('weights are held in half a byte and their scales, but for blocks that no kernel takes', async () => {
    const held = async (name: string) => {
      const matrices = await wasmMatrices({ threads: 1 })
      const source = await openModel(oracleFolder(`bitsandbytes/${name}`))
      const model = await ResidentModel.read(source, matrices)
      const { bytes } = matrices
      model.dispose()
      await matrices.close()
      await source.close()
      return bytes
    }
    // q, k, v, o and the MLP of three matrices; the head's bfloat16.
    const weights = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 320 * 64
    expect(await held('nf4')).toBe(weights / 2 + (weights / 64) * 4 + 64 * 64 * 2)
    expect(await held('odd-nf4')).toBeGreaterThan(20 * 45 * 4)
  })
})
