import { expect, test } from 'vitest'
import { ResidentModel } from '../../../src/eval/generation/resident-model.ts'
import type { Matrices } from '../../../src/kernels/matrices.ts'
import { wasmMatrices } from '../../../src/kernels/wasm-matrices.ts'
import { openModel } from '../../../src/models/open-model.ts'
import { useEngine } from '../../engine/engines.ts'
import { oracleFolder } from '../../models/oracles.ts'

useEngine('wasm')

/** Matrices that write down how many are multiplied by at once; `apart`: each by itself instead. */
function counted(matrices: Matrices, calls: number[], apart: boolean): Matrices {
  return {
    name: matrices.name,
    threads: matrices.threads,
    get bytes() {
      return matrices.bytes
    },
    add: (input) => matrices.add(input),
    values: (number) => matrices.values(number),
    close: () => matrices.close(),
    multiply: (numbers, x, tokens) => {
      calls.push(numbers.length)
      return apart ? numbers.flatMap((number) => matrices.multiply([number], x, tokens)) : matrices.multiply(numbers, x, tokens)
    },
  }
}

test.each(['tiny', 'gptq-awq/awq-w4-g32', 'bitsandbytes/nf4'])(
  '%s: q, k and v, gate and up are one product of a token, with the logits of products apart',
  async (name) => {
    const logitsOf = async (calls: number[], apart: boolean) => {
      const matrices = counted(await wasmMatrices({ threads: 1 }), calls, apart)
      const source = await openModel(oracleFolder(name))
      const model = await ResidentModel.read(source, matrices)
      const sequence = model.begin(1, 4)
      await sequence.read(Int32Array.of(1, 2))
      calls.length = 0
      const logits = (await sequence.read(Int32Array.of(3))).slice()
      const { layers } = source.model
      model.dispose()
      await matrices.close()
      await source.close()
      return { logits, layers }
    }
    const calls: number[] = []
    const { logits, layers } = await logitsOf(calls, false)
    expect(calls).toEqual([...Array.from({ length: layers }, () => [3, 1, 2, 1]).flat(), 1])
    expect((await logitsOf([], true)).logits).toEqual(logits)
  },
)
