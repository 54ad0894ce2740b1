import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { fakeQuantize, fakeQuantizeCache } from '../../src/eval/fake-quantize.ts'
import { args } from '../checkpoint/schemes.ts'

const INPUT = [
  [-0.078125, 0.359375, -0.78125, 0.0703125, 0.6640625, -0.28515625],
  [16.20703125, -15.96875, 4.046875, 6.11328125, 7.60546875, -0.3359375],
  [-0.00390625, 0.00390625, 0, -0.01953125, 0.00390625, 0.00390625],
  [0, 0, 0, 0, 0, 0],
]

// What compressed-tensors 0.19 makes of INPUT: compute_dynamic_scales_and_zp, then fake_quantize, in float32.
const CASES = [
  {
    name: 'int8',
    parts: { type: 'int', symmetric: true },
    expected: [
      [-0.0796568617, 0.361519605, -0.784313738, 0.0674019605, 0.661764741, -0.287990212],
      [16.1434746, -16.0163593, 4.06764698, 6.10147047, 7.62683821, -0.381341904],
      [-0.00398284337, 0.00398284337, 0, -0.019454658, 0.00398284337, 0.00398284337],
      [0, 0, 0, 0, 0, 0],
    ],
  },
  {
    name: 'float8',
    parts: { type: 'float', symmetric: true },
    expected: [
      [-0.0767299086, 0.362723202, -0.78125, 0.0697544664, 0.669642866, -0.279017866],
      [16.2070312, -16.2070312, 4.05175781, 6.36704826, 7.52469301, -0.32558769],
      [-0.00383649557, 0.00383649557, 0, -0.01953125, 0.00383649557, 0.00383649557],
      [0, 0, 0, 0, 0, 0],
    ],
  },
  {
    name: 'int8 with zero points',
    parts: { type: 'int', symmetric: false },
    expected: [
      [-0.0793504938, 0.357077211, -0.782169163, 0.0680147111, 0.663143396, -0.283394605],
      [16.15098, -16.0248013, 4.037745, 6.05661774, 7.57077169, -0.378538609],
      [-0.00386029412, 0.00386029412, 0, -0.0194852948, 0.00386029412, 0.00386029412],
      [0, 0, 0, 0, 0, 0],
    ],
  },
] as const

test.each(CASES)('fakeQuantize gives the numbers of compressed-tensors for one scale a token: $name', ({ parts, expected }) => {
  const x = Float32Array.from(INPUT.flat())
  const values = fakeQuantize(x, INPUT.length, INPUT[0].length, args({ ...parts, num_bits: 8, strategy: 'token', dynamic: true }))
  for (const [i, value] of expected.flat().entries()) expect(Math.abs(values[i] - value)).toBeLessThanOrEqual(Math.abs(value) * 2e-7)
})

interface Activations {
  x: number[]
  cases: Record<string, { args: Partial<QuantizationArgs>; dynamic: boolean | 'local'; value?: number; zero?: number; y: number[] }>
}

const { x: ACTIVATIONS, cases }: Activations = JSON.parse(readFileSync(new URL('../oracles/activations.json', import.meta.url), 'utf8'))

test.each(Object.entries(cases))(
  'fakeQuantize gives the numbers of compressed-tensors: %s',
  (_, { args: parts, dynamic, value, zero, y }) => {
    const stored = value === undefined ? null : { value, zeroPoint: zero ?? 0 }
    const values = fakeQuantize(Float32Array.from(ACTIVATIONS), 2, 64, args({ ...parts, dynamic }), stored)
    const unit = Math.max(...y.map(Math.abs))
    for (const [i, expected] of y.entries()) expect(Math.abs(values[i] - expected), `element ${i}`).toBeLessThanOrEqual(unit * 2e-7)
  },
)

test('fakeQuantizeCache scales each head by its own, or all by one', () => {
  const x = Float32Array.of(1, 1.06, 1, 1.06)
  const float8 = args({ type: 'float' })
  expect([...fakeQuantizeCache(x, 1, float8, Float32Array.of(1))]).toEqual([1, 1, 1, 1])
  const byHead = [1, 1, Math.fround(0.9375 * Math.fround(1.06)), Math.fround(1.06)]
  expect([...fakeQuantizeCache(x, 1, float8, Float32Array.of(1, 1.06))]).toEqual(byHead)
  const twoRows = fakeQuantizeCache(Float32Array.of(...x, ...x), 2, float8, Float32Array.of(1, 1.06))
  expect([...twoRows]).toEqual([...byHead, ...byHead])
})
