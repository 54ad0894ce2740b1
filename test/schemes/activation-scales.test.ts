import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { DTYPE_BYTES, elementCount } from '../../src/numerics/dtype.ts'
import { decodeFloats } from '../../src/numerics/float-dtype.ts'
import { activationBytes, activationTensors, cacheBytes, cacheTensors } from '../../src/schemes/activation-scales.ts'
import { resolveArgs } from '../../src/schemes/args.ts'
import { args, scheme } from '../checkpoint/schemes.ts'

interface Activations {
  x: number[]
  cases: Record<string, { args: Partial<QuantizationArgs>; dynamic: boolean | 'local'; value?: number; zero?: number }>
}

const { x, cases }: Activations = JSON.parse(readFileSync(new URL('../oracles/activations.json', import.meta.url), 'utf8'))
const [low, high] = [Math.min(...x), Math.max(...x)]
const bytesOf = (bytes: Uint8Array | undefined) => bytes ?? new Uint8Array()

describe('activationBytes', () => {
  // What make_activations.py clips to.
  const RANGES = { static: { min: low * 0.8, max: high * 0.7 }, local: { min: low * 1.25, max: high * 1.25 } }

  test.each(Object.entries(cases).filter(([, { value }]) => value !== undefined))(
    'gives the scale of compressed-tensors: %s',
    (_, { args: parts, dynamic, value = 0, zero }) => {
      const inputs = scheme({ input_activations: args({ ...parts, dynamic }) })
      const bytes = activationBytes(inputs, 'F32', dynamic === 'local' ? RANGES.local : RANGES.static)
      const [scale] = decodeFloats(bytesOf(bytes.get(dynamic === 'local' ? 'input_global_scale' : 'input_scale')), 'F32')
      expect(Math.abs(scale / value - 1)).toBeLessThan(3e-7)
      expect(bytes.has('input_zero_point')).toBe(parts.symmetric === false)
      if (parts.symmetric === false) expect(new Int8Array(bytesOf(bytes.get('input_zero_point')))).toEqual(Int8Array.of(zero ?? 0))
    },
  )

  test('gives what activationTensors names, in its types', () => {
    const inputs: QuantizationArgs[] = [
      args({ type: 'float' }),
      args({ symmetric: false }),
      args({ num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, dynamic: 'local' }),
      args({ strategy: 'token', dynamic: true }),
    ]
    const suffixes = inputs.map((input_activations) => {
      const bytes = activationBytes(scheme({ input_activations }), 'BF16', { min: -1, max: 3 })
      const tensors = activationTensors(scheme({ input_activations }), 'BF16')
      expect([...bytes].map(([suffix, { length }]) => [suffix, length])).toEqual(
        tensors.map(({ suffix, dtype, shape }) => [suffix, elementCount(shape) * DTYPE_BYTES[dtype]]),
      )
      return tensors.map(({ suffix, dtype }) => `${suffix} ${dtype}`)
    })
    expect(suffixes).toEqual([['input_scale BF16'], ['input_scale BF16', 'input_zero_point I8'], ['input_global_scale F32'], []])
    expect(activationTensors(scheme({}), 'BF16')).toEqual([])
  })
})

describe('cacheBytes', () => {
  test('has one scale for all heads, or one a head, in the type of the model', () => {
    const tensor = resolveArgs({ type: 'float' }, 'kv_cache_scheme')
    expect(cacheTensors(tensor, 3, 'BF16')).toEqual([
      { suffix: 'k_scale', dtype: 'BF16', shape: [1] },
      { suffix: 'v_scale', dtype: 'BF16', shape: [1] },
    ])
    const heads = resolveArgs({ type: 'float', strategy: 'attn_head' }, 'kv_cache_scheme')
    expect(cacheTensors(heads, 2, 'F32').map(({ shape }) => shape)).toEqual([
      [2, 1, 1],
      [2, 1, 1],
    ])
    const ranges = {
      k: [
        { min: -448, max: 1 },
        { min: 2, max: 896 },
      ],
      v: [
        { min: 0, max: 448 },
        { min: -4480, max: 0 },
      ],
    }
    const bytes = cacheBytes(heads, 'F32', ranges)
    expect([...decodeFloats(bytesOf(bytes.get('k_scale')), 'F32')]).toEqual([1, 2])
    expect([...decodeFloats(bytesOf(bytes.get('v_scale')), 'F32')]).toEqual([1, 10])
  })
})
