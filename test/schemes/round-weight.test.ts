import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Kernels } from '../../src/kernels/kernels.ts'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { wasmKernels } from '../../src/kernels/wasm.ts'
import type { FloatDType } from '../../src/numerics/dtype.ts'
import { resolveSchemes, type SchemeOptions } from '../../src/schemes/resolve.ts'
import { roundToGrid } from '../../src/schemes/round-to-grid.ts'
import { roundWeight } from '../../src/schemes/round-weight.ts'
import { weightGrid } from '../../src/schemes/weight-grid.ts'

const reference = referenceKernels()
let wasm: Kernels
beforeAll(async () => {
  wasm = await wasmKernels({ threads: 2 })
})
afterAll(async () => {
  await reference.close()
  await wasm.close()
})

/** Heavy tails, so that clipping pays; a row of zeros; numbers that bfloat16 has, as stored weights are. */
function weightOf(rows: number, columns: number): Float32Array {
  const weight = Float32Array.from({ length: rows * columns }, (_, i) =>
    Math.floor(i / columns) === 2 ? 0 : Math.tan(Math.sin(i * 12.9898) * 1.5) * 0.02,
  )
  const bits = new Int32Array(weight.buffer)
  for (let i = 0; i < bits.length; i++) bits[i] &= 0xffff0000
  return weight
}

const integers = (weights: object, more: object = {}): SchemeOptions => ({
  config_groups: {
    group_0: { targets: ['Linear'], weights: { num_bits: 4, type: 'int', strategy: 'group', group_size: 32, ...weights }, ...more },
  },
})

/** Whether one pass through the kernels does it; else the kernels that passes of their own need are asked. */
const CASES: readonly (readonly [name: string, options: SchemeOptions, inOnePass: boolean])[] = [
  ['W4A16', { scheme: 'W4A16' }, true],
  ['W8A16', { scheme: 'W8A16' }, true],
  ['W8A8', { scheme: 'W8A8' }, true],
  ['FP8_DYNAMIC', { scheme: 'FP8_DYNAMIC' }, true],
  ['W4A16 in groups of 32', integers({}), true],
  ['three bits by channels', integers({ num_bits: 3, strategy: 'channel', group_size: null }), true],
  ['two bits', integers({ num_bits: 2 }), true],
  ['by minimum and maximum', integers({ observer: 'memoryless_minmax' }), true],
  ['with inputs quantized, so without signs', integers({}, { input_activations: { num_bits: 8, strategy: 'token', dynamic: true } }), true],
  ['W4A16_ASYM', { scheme: 'W4A16_ASYM' }, false],
  ['six bits', integers({ num_bits: 6 }), false],
  ['groups of four', integers({ group_size: 4 }), false],
  ['by the mean square', integers({ observer: 'mse' }), false],
  ['NVFP4A16', { scheme: 'NVFP4A16' }, false],
  ['MXFP4A16', { scheme: 'MXFP4A16' }, false],
  ['FP8 in blocks', { scheme: 'FP8_BLOCK' }, false],
]

describe.each(CASES)('roundWeight: %s', (_, options, inOnePass) => {
  test.each(['F32', 'F16', 'BF16'] as FloatDType[])(
    'scales in %s: what weightGrid and roundToGrid give, with both kernels',
    async (dtype) => {
      const [{ scheme }] = resolveSchemes({ targets: ['Linear'], ...options })
      const args = scheme.weights
      if (!args) throw new Error('the scheme leaves weights alone')
      const [rows, columns] = [7, 256]
      const matrix = { weight: weightOf(rows, columns), rows, columns, dtype }
      for (const signed of [true, false]) {
        const settings = { importance: null, signed, globalScale: null }
        const grid = await weightGrid(reference, matrix, scheme, args, settings)
        const expected = await roundToGrid(reference, matrix.weight, rows, columns, args, grid)
        for (const kernels of [reference, wasm]) {
          const asked: string[] = []
          const seen = {
            searchScales: (input: Parameters<Kernels['searchScales']>[0]) => kernels.searchScales(input),
            roundWeights: (input: Parameters<Kernels['roundWeights']>[0]) => {
              asked.push('roundWeights')
              return kernels.roundWeights(input)
            },
            roundGroups: (input: Parameters<Kernels['roundGroups']>[0]) => {
              asked.push('roundGroups')
              return kernels.roundGroups(input)
            },
          }
          expect(await roundWeight(seen, matrix, scheme, args, settings)).toEqual(expected)
          expect(asked).toEqual([inOnePass ? 'roundGroups' : 'roundWeights'])
        }
      }
    },
  )
})
