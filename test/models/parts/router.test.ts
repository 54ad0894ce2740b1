import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { softmaxRouter, topSoftmaxRouter } from '../../../src/models/parts/router.ts'
import { useEngine } from '../../engine/engines.ts'

useEngine('wasm')

const route = (make: typeof softmaxRouter, experts: number, weight: number[]) =>
  tf.tidy(() => {
    const router = make({ name: 'gate', hidden: 2, experts, chosen: 1, normalize: true })
    const parameter = (name: string) => (name.endsWith('.bias') ? tf.zeros([experts]) : tf.tensor2d(weight, [experts, 2]))
    const scope = { parameter } as never
    return [...router.route(tf.tensor2d([1, 2, -3, 1], [2, 2]), scope).dataSync()]
  })

describe.each([
  ['softmaxRouter', softmaxRouter],
  ['topSoftmaxRouter', topSoftmaxRouter as typeof softmaxRouter],
])('%s', (_, make) => {
  it('gives all to the only expert there is', () => {
    expect(route(make, 1, [0.5, -1])).toEqual([1, 1])
  })

  it('gives all to the better of two', () => {
    expect(route(make, 2, [1, 0, 0, 1])).toEqual([0, 1, 0, 1])
  })
})
