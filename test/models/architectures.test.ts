import { describe, expect, test } from 'vitest'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFloats, oracleFolder, oracleNames, oracleRows, runForward } from './oracles.ts'

useEngine('wasm')

describe('forward against transformers in float32', () => {
  test.each(oracleNames('architectures'))('%s: hidden states of every layer and logits agree to 2e-4', async (name) => {
    const reference = `architectures/${name}/reference.safetensors`
    const { hidden, logits } = await runForward(oracleFolder(`architectures/${name}`), oracleRows(reference, 'input_ids'))
    expect(hidden.length).toBeGreaterThan(1)
    for (const [layer, states] of hidden.entries()) {
      expect(largestDifference(states, oracleFloats(reference, `hidden.${layer}`)), `hidden.${layer}`).toBeLessThan(2e-4)
    }
    expect(largestDifference(logits, oracleFloats(reference, 'logits')), 'logits').toBeLessThan(2e-4)
  })
})
