import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, test } from 'vitest'
import { Contestant } from '../../src/eval/contestant.ts'
import { scoreRows } from '../../src/eval/score-rows.ts'
import { wholeRow } from '../../src/eval/scored-row.ts'
import { useEngine } from '../engine/engines.ts'
import { oracleFloats, oracleFolder, oracleRows } from '../models/oracles.ts'
import { openForTest, TINY } from '../oneshot/runs.ts'

const ROWS = oracleRows('checkpoints/input_ids.safetensors', 'eval')

useEngine('wasm')

describe('scoreRows', () => {
  // 64 rows of 64 and 20 of 48: three batches.
  const rows = Array.from({ length: 84 }, (_, i) => ROWS[i % 8].map((id, at) => (id + i * at) % 320).subarray(0, i < 64 ? 64 : 48))

  test('gives the same scores for blocks of any size, with fewer tensors for smaller ones', async () => {
    const source = await openForTest(TINY)
    const score = async (blockTokens: number) => {
      const steps: string[] = []
      let tensors = 0
      const onLayer = (layer: number, of: number) => {
        steps.push(`${layer}/${of}`)
        tensors = Math.max(tensors, tf.memory().numTensors)
      }
      const contestant = new Contestant(source)
      await scoreRows([contestant], null, rows.map(wholeRow), { onLayer, blockTokens })
      return { scores: contestant.scores, steps, tensors }
    }
    const before = tf.memory().numTensors
    const whole = await score(1 << 16)
    const blocks = await score(2048)
    expect(whole.scores).toHaveLength(64 * 63 + 20 * 47)
    expect(whole.steps).toEqual(['0/2', '1/2', '2/2'])
    expect(blocks.scores).toEqual(whole.scores)
    expect(blocks.steps).toEqual(['0/6', '1/6', '2/6', '2/6', '3/6', '4/6', '4/6', '5/6', '6/6'])
    expect(blocks.tensors).toBeLessThan(whole.tensors)
    expect(tf.memory().numTensors).toBe(before)
  })

  test("divergence from the original is what transformers' logits of both give", async () => {
    const two = ROWS.slice(0, 2)
    const name = 'rtn-w4a16'
    const [original, other] = [
      new Contestant(await openForTest(TINY)),
      new Contestant(await openForTest(oracleFolder(`checkpoints/${name}`))),
    ]
    await scoreRows([original, other], original, two.map(wholeRow))
    const q = oracleFloats(`checkpoints/${name}/reference.safetensors`, 'logits')
    const p = oracleFloats('checkpoints/original.safetensors', 'logits')
    const vocab = q.length / 128
    let [kl, agreed] = [0, 0]
    for (let token = 0; token < 128; token++) {
      if (token % 64 === 63) continue
      const [lp, lq] = [p, q].map((logits) => logSoftmax(logits.subarray(token * vocab, (token + 1) * vocab)))
      kl += lp.reduce((sum, value, i) => sum + Math.exp(value) * (value - lq[i]), 0)
      if (lp.indexOf(Math.max(...lp)) === lq.indexOf(Math.max(...lq))) agreed++
    }
    expect(other.divergence.tokens).toBe(126)
    expect(Math.abs(other.divergence.kl / kl - 1)).toBeLessThan(1e-3)
    expect(other.divergence.agreed).toBe(agreed)
  })

  test('a model beside itself has no divergence at all', async () => {
    const [original, same] = [new Contestant(await openForTest(TINY)), new Contestant(await openForTest(TINY))]
    await scoreRows([original, same], original, ROWS.slice(0, 2).map(wholeRow))
    expect(same.divergence.kl).toBe(0)
    expect(same.divergence.agreed).toBe(126)
    expect(same.divergence.hidden.map(({ difference }) => difference)).toEqual([0, 0, 0])
    expect(same.scores).toEqual(original.scores)
  })
})

function logSoftmax(logits: Float32Array): number[] {
  const most = Math.max(...logits)
  const norm = most + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0))
  return Array.from(logits, (value) => value - norm)
}
