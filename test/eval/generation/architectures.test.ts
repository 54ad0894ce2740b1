import { expect, test } from 'vitest'
import { forward } from '../../../src/eval/forward.ts'
import { ResidentModel } from '../../../src/eval/generation/resident-model.ts'
import { wasmMatrices } from '../../../src/kernels/wasm-matrices.ts'
import { openModel } from '../../../src/models/open-model.ts'
import { useEngine } from '../../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleNames, oracleRows, spread } from '../../models/oracles.ts'

useEngine('wasm')

/** Logits of every token of rows, token by token with the cache, after a first part at once. */
async function decoded(folder: string, rows: readonly Int32Array[], first: number): Promise<{ logits: Float32Array[]; recorded: boolean }> {
  const source = await openModel(folder)
  const matrices = await wasmMatrices({ threads: 1 })
  const model = await ResidentModel.read(source, matrices)
  try {
    const sequence = model.begin(rows.length, rows[0].length)
    const logits = [await sequence.read(Int32Array.from(rows.flatMap((row) => [...row.subarray(0, first)])))]
    for (let token = first; token < rows[0].length; token++) logits.push(await sequence.read(Int32Array.from(rows, (row) => row[token])))
    return { logits, recorded: model.recordable }
  } finally {
    model.dispose()
    await matrices.close()
    await source.close()
  }
}

test.each(oracleNames('architectures'))(
  '%s: logits token by token are those of the whole forward pass and of transformers',
  async (name) => {
    const folder = oracleFolder(`architectures/${name}`)
    const reference = `architectures/${name}/reference.safetensors`
    const rows = oracleRows(reference, 'input_ids')
    const source = await openModel(folder)
    const { vocab } = source.model
    const whole: Float32Array[] = []
    await forward(source, rows, { onLogits: (logits) => void whole.push(Float32Array.from(logits.dataSync())) })
    await source.close()
    const { length } = rows[0]
    expect(whole.length).toBe(1)
    const first = Math.floor(length / 3)
    const { logits: steps, recorded } = await decoded(folder, rows, first)
    // Experts are chosen by what a token is: such layers run through the engine each time.
    expect(recorded).toBe(!/deepseek|gpt_oss|llama4|mixtral|moe/.test(name))
    const expected = oracleFloats(reference, 'logits')
    expect(spread(expected)).toBeGreaterThan(0.01)
    for (const [step, logits] of steps.entries()) {
      const at = (row: number) => (row * length + first - 1 + step) * vocab
      for (const row of rows.keys()) {
        const own = logits.subarray(row * vocab, (row + 1) * vocab)
        expect(largestDifference(own, whole[0].subarray(at(row), at(row) + vocab)), `token ${step}, forward`).toBeLessThan(1e-4)
        expect(largestDifference(own, expected.subarray(at(row), at(row) + vocab)), `token ${step}, transformers`).toBeLessThan(2e-4)
      }
    }
  },
)
